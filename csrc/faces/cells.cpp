#include "cells.h"

#include <algorithm>
#include <cmath>

namespace fer_fast {
namespace {

struct Cell {
  float score;
  int64_t place;
};

// By falling score, at most kMostCells of them; equal scores keep their order.
std::vector<Cell> chosen_cells(const float* cells, int64_t count, float score) {
  std::vector<Cell> chosen;
  for (int64_t place = 0; place < count; ++place) {
    const float* cell = cells + place * kFaceColumns;
    if (!(cell[0] >= score)) continue;  // nor is a score that is no number one
    if (std::all_of(cell, cell + kFaceColumns, [](float value) { return std::isfinite(value); })) {
      chosen.push_back({cell[0], place});
    }
  }
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const Cell& one, const Cell& other) { return one.score > other.score; });
  if (chosen.size() > kMostCells) chosen.resize(kMostCells);
  return chosen;
}

struct Corner {
  float column, row, stride;
};

Corner corner_of(int64_t place, int64_t height, int64_t width) {
  for (const int64_t stride : kCellStrides) {
    const int64_t columns = width / stride, rows = height / stride;
    if (place < columns * rows) {
      return {static_cast<float>(place % columns), static_cast<float>(place / columns), static_cast<float>(stride)};
    }
    place -= columns * rows;
  }
  return {};
}

void read_face(const float* cell, const Corner& corner, float* face) {
  const float wide = std::exp(cell[3]) * corner.stride, high = std::exp(cell[4]) * corner.stride;
  face[0] = (corner.column + cell[1]) * corner.stride - wide / 2;
  face[1] = (corner.row + cell[2]) * corner.stride - high / 2;
  face[2] = wide;
  face[3] = high;
  for (int64_t i = 0; i < 10; i += 2) {
    face[4 + i] = (corner.column + cell[5 + i]) * corner.stride;
    face[5 + i] = (corner.row + cell[6 + i]) * corner.stride;
  }
  face[14] = cell[0];
}

bool can_be_face(const float* face, int64_t height, int64_t width) {
  const auto high = static_cast<float>(height), wide = static_cast<float>(width), most = 2 * std::max(high, wide);
  return std::all_of(face, face + kFaceColumns, [](float value) { return std::isfinite(value); }) && face[2] > 0 &&
         face[3] > 0 && face[2] <= most && face[3] <= most && face[0] < wide && face[1] < high &&
         face[0] + face[2] > 0 && face[1] + face[3] > 0;
}

// Boxes by column: the comparison of one with all that follow is then a register of them at a time.
class Boxes {
 public:
  explicit Boxes(const std::vector<float>& faces) : count_(faces.size() / kFaceColumns), repeated(count_, 0) {
    for (std::vector<double>* column : {&left_, &top_, &right_, &bottom_, &area_}) column->resize(count_);
    for (std::size_t i = 0; i < count_; ++i) {
      const float* face = &faces[i * kFaceColumns];
      const double x = face[0], y = face[1], wide = face[2], high = face[3];
      left_[i] = x;
      top_[i] = y;
      right_[i] = x + wide;
      bottom_[i] = y + high;
      area_[i] = wide * high;
    }
  }

  std::size_t count() const { return count_; }

  // Marks what lies behind `place` and overlaps it.
  void mark(std::size_t place, double overlap) {
    const double left = left_[place], top = top_[place], right = right_[place], bottom = bottom_[place];
    const double area = area_[place];
    for (std::size_t i = place + 1; i < count_; ++i) {
      const double across = std::max(0.0, std::min(right, right_[i]) - std::max(left, left_[i]));
      const double down = std::max(0.0, std::min(bottom, bottom_[i]) - std::max(top, top_[i]));
      const double both = across * down;
      const int64_t same = both > overlap * (area + area_[i] - both);
      repeated[i] |= same;
    }
  }

 private:
  std::size_t count_;
  std::vector<double> left_, top_, right_, bottom_, area_;

 public:
  std::vector<int64_t> repeated;  // as wide as a double, for the same register
};

}  // namespace

int64_t cell_count(int64_t height, int64_t width) {
  int64_t count = 0;
  for (const int64_t stride : kCellStrides) count += (height / stride) * (width / stride);
  return count;
}

std::vector<float> faces_in(const float* cells, int64_t height, int64_t width, double score, double overlap) {
  std::vector<float> faces;
  for (const Cell& cell : chosen_cells(cells, cell_count(height, width), static_cast<float>(score))) {
    float face[kFaceColumns];
    read_face(cells + cell.place * kFaceColumns, corner_of(cell.place, height, width), face);
    if (can_be_face(face, height, width)) faces.insert(faces.end(), face, face + kFaceColumns);
  }
  Boxes boxes(faces);
  std::vector<float> kept;
  for (std::size_t i = 0; i < boxes.count(); ++i) {
    if (boxes.repeated[i]) continue;
    boxes.mark(i, overlap);
    kept.insert(kept.end(), &faces[i * kFaceColumns], &faces[i * kFaceColumns] + kFaceColumns);
  }
  return kept;
}

}  // namespace fer_fast

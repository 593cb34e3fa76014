// Two steps. The part of the image that a crop shows becomes a patch, not turned, shrunk to as many pixels as the crop
// has there; then the crop is read off the patch, bilinearly. Of a crop that is not turned the patch is the crop.
#include "crops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace fer_fast {
namespace {

// A pixel, and a number more: a register holds four.
constexpr int64_t kLanes = 4;
typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntLanes __attribute__((vector_size(4 * kLanes)));

Lanes load(const float* in) {
  Lanes lanes;
  std::memcpy(&lanes, in, sizeof(lanes));
  return lanes;
}

// Rounds; the numbers are of 0 to 255.
void store_rgb(const Lanes& pixel, uint8_t* out) {
  const IntLanes rounded = __builtin_convertvector(pixel + 0.5f, IntLanes);
  for (int channel = 0; channel < 3; ++channel) out[channel] = static_cast<uint8_t>(rounded[channel]);
}

// Pixel i has its centre at first + i * step; a triangle that reaches `support` pixels is what Pillow resizes with.
// What lies outside of the image is the pixel at its edge.
void find_taps(double first, double step, double support, int64_t count, int64_t side, Taps& taps) {
  taps.windows.clear();
  taps.weights.clear();
  std::vector<double> exact;
  for (int64_t place = 0; place < count; ++place) {
    const double center = first + static_cast<double>(place) * step;
    const auto begin = static_cast<int64_t>(std::floor(center - support + 0.5));
    const auto end = static_cast<int64_t>(std::ceil(center + support - 0.5));
    const int64_t low = std::clamp<int64_t>(begin, 0, side - 1), high = std::clamp<int64_t>(end, 0, side - 1);
    exact.assign(static_cast<std::size_t>(high - low + 1), 0);
    double sum = 0;
    for (int64_t i = begin; i <= end; ++i) {
      const double weight = std::max(0.0, 1 - std::fabs(static_cast<double>(i) + 0.5 - center) / support);
      exact[static_cast<std::size_t>(std::clamp(i, low, high) - low)] += weight;
      sum += weight;
    }
    auto from = exact.cbegin(), to = exact.cend();  // without what has no weight: a copy reads one pixel
    while (to - from > 1 && *from == 0) ++from;
    while (to - from > 1 && *(to - 1) == 0) --to;
    taps.windows.push_back({low + (from - exact.cbegin()), to - from, static_cast<int64_t>(taps.weights.size())});
    for (; from != to; ++from) taps.weights.push_back(static_cast<float>(*from / sum));
  }
}

// The weighted sum of `count` rows. A row at a time: a compiler makes more of it than of several at once.
void add_rows(const uint8_t* rows, int64_t stride, const float* weights, int64_t count, int64_t bytes, float* out) {
  for (int64_t x = 0; x < bytes; ++x) out[x] = static_cast<float>(rows[x]) * weights[0];
  for (int64_t i = 1; i < count; ++i) {
    const uint8_t* row = rows + i * stride;
    for (int64_t x = 0; x < bytes; ++x) out[x] += static_cast<float>(row[x]) * weights[i];
  }
}

}  // namespace

// Of the patch, one side: its pixels' centres in the image, and where the crop's pixels lie between them.
struct Cropper::Side {
  double first, step;
  int64_t count;
  double support;
  float start, by_x, by_y;  // of the crop's pixel x, y: start + by_x * x + by_y * y

  // `row` is the matrix's, `along` its number of the same side.
  Side(const double* row, int along, double scale, int64_t size, bool turned) : support(scale) {
    const double last = static_cast<double>(size - 1), begin = row[2] + (row[0] + row[1]) / 2;
    first = begin;
    step = row[along];
    count = size;
    start = by_x = by_y = 0;
    if (!turned) return;
    const double low = begin + std::min(0.0, row[0] * last) + std::min(0.0, row[1] * last);
    const double high = begin + std::max(0.0, row[0] * last) + std::max(0.0, row[1] * last);
    // An image that is not shrunk keeps its own pixels.
    first = scale > 1 ? low : std::floor(low - 0.5) + 0.5;
    step = scale;
    count = static_cast<int64_t>((high - first) / scale) + 3;  // one more than is between: rounding may step over it
    start = static_cast<float>((begin - first) / scale);
    by_x = static_cast<float>(row[0] / scale);
    by_y = static_cast<float>(row[1] / scale);
  }
};

bool crop_fits(const double* matrix, int64_t size) {
  const auto side = static_cast<double>(size);
  for (const double x : {0.0, side}) {
    for (const double y : {0.0, side}) {
      for (const double* row : {matrix, matrix + 3}) {
        if (!(std::fabs(row[0] * x + row[1] * y + row[2]) <= kMaxCropReach)) return false;
      }
    }
  }
  return true;
}

// patch_ becomes [down.count][across.count][kLanes]; where a pixel of the picture has no byte, it holds anything.
void Cropper::fill_patch(const Picture& picture, const Side& across, const Side& down) {
  find_taps(across.first, across.step, across.support, across.count, picture.width, across_);
  find_taps(down.first, down.step, down.support, down.count, picture.height, down_);
  // Of a mirrored crop the columns fall; and two windows that begin at an edge may differ in where they end.
  const auto &one = across_.windows.front(), &other = across_.windows.back();
  const int64_t left = std::min(one.begin, other.begin);
  const int64_t bytes = (std::max(one.begin + one.count, other.begin + other.count) - left) * picture.pixel;
  line_.resize(std::max(line_.size(), static_cast<std::size_t>(bytes + kLanes)));  // a pixel is read as kLanes numbers
  patch_.resize(std::max(patch_.size(), static_cast<std::size_t>(across.count * down.count * kLanes)));
  float* out = patch_.data();
  for (const Taps::Window& rows : down_.windows) {
    const uint8_t* row = picture.data + rows.begin * picture.stride + left * picture.pixel;
    add_rows(row, picture.stride, &down_.weights[static_cast<std::size_t>(rows.weights)], rows.count, bytes,
             line_.data());
    for (const Taps::Window& columns : across_.windows) {
      const float* pixel = &line_[static_cast<std::size_t>((columns.begin - left) * picture.pixel)];
      const float* weight = &across_.weights[static_cast<std::size_t>(columns.weights)];
      Lanes sum = load(pixel) * weight[0];
      for (int64_t i = 1; i < columns.count; ++i) sum += load(pixel + i * picture.pixel) * weight[i];
      std::memcpy(out, &sum, sizeof(sum));
      out += kLanes;
    }
  }
}

// Where of the patch each pixel of a row lies is found for all of the row first: a register of pixels at a time.
void Cropper::read_patch(const Side& across, const Side& down, int64_t size, uint8_t* out) {
  places_.resize(static_cast<std::size_t>(size));
  shares_.resize(static_cast<std::size_t>(2 * size));
  int32_t* places = places_.data();
  float *rights = shares_.data(), *lowers = rights + size;
  const auto line = static_cast<int32_t>(across.count), count = static_cast<int32_t>(size);
  for (int64_t y = 0; y < size; ++y) {
    const float row_x = across.start + across.by_y * static_cast<float>(y);
    const float row_y = down.start + down.by_y * static_cast<float>(y);
    for (int32_t x = 0; x < count; ++x) {
      const float at_x = row_x + across.by_x * static_cast<float>(x), at_y = row_y + down.by_x * static_cast<float>(x);
      const auto left = static_cast<int32_t>(at_x), top = static_cast<int32_t>(at_y);
      places[x] = top * line + left;
      rights[x] = at_x - static_cast<float>(left);
      lowers[x] = at_y - static_cast<float>(top);
    }
    for (int32_t x = 0; x < count; ++x, out += 3) {
      const float* upper = patch_.data() + places[x] * kLanes;
      const float* lower = upper + line * kLanes;
      const Lanes above = load(upper) + (load(upper + kLanes) - load(upper)) * rights[x];
      const Lanes below = load(lower) + (load(lower + kLanes) - load(lower)) * rights[x];
      store_rgb(above + (below - above) * lowers[x], out);
    }
  }
}

void Cropper::cut(const Picture& picture, const double* matrix, int64_t size, uint8_t* out) {
  const double scale = std::max({1.0, std::hypot(matrix[0], matrix[3]), std::hypot(matrix[1], matrix[4])});
  const bool turned = matrix[1] != 0 || matrix[3] != 0;
  const Side across(matrix, 0, scale, size, turned), down(matrix + 3, 1, scale, size, turned);
  fill_patch(picture, across, down);
  const int64_t pixels = size * size;
  if (turned) {
    read_patch(across, down, size, out);
  } else {
    for (int64_t i = 0; i < pixels; ++i) store_rgb(load(patch_.data() + i * kLanes), out + 3 * i);
  }
  if (picture.pixel == 1) {
    for (int64_t i = 0; i < pixels; ++i) out[3 * i + 1] = out[3 * i + 2] = out[3 * i];
  }
}

}  // namespace fer_fast

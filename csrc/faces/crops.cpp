// Two steps. The part of the image that a crop shows is shrunk, without turning it, to as many pixels as the crop has
// there; then the crop is read off that, bilinearly. Where nothing shrinks the first step copies, and where nothing turns
// the second does.
#include "crops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

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

// Of one side of the patch: which pixels of the image make each of its own, and their weights.
struct Taps {
  struct Window {
    int64_t begin, count, weights;
  };
  std::vector<Window> windows;  // [patch]
  std::vector<float> weights;

  int64_t size() const { return static_cast<int64_t>(windows.size()); }
  int64_t begin() const { return std::min(windows.front().begin, windows.back().begin); }
  int64_t end() const {
    return std::max(windows.front().begin + windows.front().count, windows.back().begin + windows.back().count);
  }
};

// Pixel i of the patch has its centre at first + i * scale; a triangle of that support is what Pillow resizes with. What
// lies outside of the image is the pixel at its edge.
Taps taps_of(double first, double scale, int64_t count, int64_t side) {
  Taps taps;
  std::vector<double> exact;
  for (int64_t place = 0; place < count; ++place) {
    const double center = first + static_cast<double>(place) * scale;
    const auto begin = static_cast<int64_t>(std::floor(center - scale + 0.5));
    const auto end = static_cast<int64_t>(std::ceil(center + scale - 0.5));
    const int64_t low = std::clamp<int64_t>(begin, 0, side - 1), high = std::clamp<int64_t>(end, 0, side - 1);
    exact.assign(static_cast<std::size_t>(high - low + 1), 0);
    double sum = 0;
    for (int64_t i = begin; i <= end; ++i) {
      const double weight = std::max(0.0, 1 - std::fabs(static_cast<double>(i) + 0.5 - center) / scale);
      exact[static_cast<std::size_t>(std::clamp(i, low, high) - low)] += weight;
      sum += weight;
    }
    int64_t from = 0, to = high - low + 1;  // without what has no weight: a copy reads one pixel
    while (from + 1 < to && exact[static_cast<std::size_t>(from)] == 0) ++from;
    while (from + 1 < to && exact[static_cast<std::size_t>(to - 1)] == 0) --to;
    taps.windows.push_back({low + from, to - from, static_cast<int64_t>(taps.weights.size())});
    for (int64_t i = from; i < to; ++i) taps.weights.push_back(static_cast<float>(exact[static_cast<std::size_t>(i)] / sum));
  }
  return taps;
}

// From a crop's pixel to the patch's, both by index; and the patch's place in the image.
struct Plan {
  double scale;              // pixels of the image a pixel of the patch, at least 1
  double first_x, first_y;   // in the image, the centre of the patch's first pixel
  int64_t width, height;     // of the patch
  double across[3], down[3];  // patch x (y) = across[0] * x + across[1] * y + across[2]
};

Plan plan_of(const double* matrix, int64_t size) {
  Plan plan;
  plan.scale = std::max({1.0, std::hypot(matrix[0], matrix[3]), std::hypot(matrix[1], matrix[4])});
  const double last = static_cast<double>(size - 1);
  const auto place = [&](const double* row, double* to, double* first, int64_t* count) {
    const double start = row[2] + (row[0] + row[1]) / 2;  // the centre of the crop's first pixel
    const double low = start + std::min(0.0, row[0] * last) + std::min(0.0, row[1] * last);
    const double high = start + std::max(0.0, row[0] * last) + std::max(0.0, row[1] * last);
    // An image that is not shrunk keeps its own pixels; one that is has them where the crop's begin.
    *first = plan.scale > 1 ? low : std::floor(low - 0.5) + 0.5;
    *count = static_cast<int64_t>((high - *first) / plan.scale) + 2;
    to[0] = row[0] / plan.scale;
    to[1] = row[1] / plan.scale;
    to[2] = (start - *first) / plan.scale;
  };
  place(matrix, plan.across, &plan.first_x, &plan.width);
  place(matrix + 3, plan.down, &plan.first_y, &plan.height);
  return plan;
}

// Floats of the patch, [height][width][kLanes]; of what a pixel of the picture has no byte for, anything.
std::vector<float> patch_of(const Picture& picture, const Plan& plan) {
  const Taps across = taps_of(plan.first_x, plan.scale, plan.width, picture.width);
  const Taps down = taps_of(plan.first_y, plan.scale, plan.height, picture.height);
  const int64_t left = across.begin(), bytes = (across.end() - left) * picture.pixel;
  std::vector<float> line(static_cast<std::size_t>(bytes + kLanes), 0);  // a pixel is read as kLanes numbers
  std::vector<float> patch(static_cast<std::size_t>(plan.height * plan.width * kLanes));
  float* out = patch.data();
  for (const Taps::Window& rows : down.windows) {
    for (int64_t i = 0; i < rows.count; ++i) {
      const uint8_t* row = picture.data + (rows.begin + i) * picture.stride + left * picture.pixel;
      const float weight = down.weights[static_cast<std::size_t>(rows.weights + i)];
      float* sums = line.data();
      if (i == 0) {
        for (int64_t x = 0; x < bytes; ++x) sums[x] = static_cast<float>(row[x]) * weight;
      } else {
        for (int64_t x = 0; x < bytes; ++x) sums[x] += static_cast<float>(row[x]) * weight;
      }
    }
    for (const Taps::Window& columns : across.windows) {
      const float* pixel = &line[static_cast<std::size_t>((columns.begin - left) * picture.pixel)];
      const float* weight = &across.weights[static_cast<std::size_t>(columns.weights)];
      Lanes sum = load(pixel) * weight[0];
      for (int64_t i = 1; i < columns.count; ++i) sum += load(pixel + i * picture.pixel) * weight[i];
      std::memcpy(out, &sum, sizeof(sum));
      out += kLanes;
    }
  }
  return patch;
}

}  // namespace

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

void crop_face(const Picture& picture, const double* matrix, int64_t size, uint8_t* out) {
  const Plan plan = plan_of(matrix, size);
  const std::vector<float> patch = patch_of(picture, plan);
  const int64_t line = plan.width * kLanes;
  for (int64_t y = 0; y < size; ++y) {
    const double row_x = plan.across[1] * static_cast<double>(y) + plan.across[2];
    const double row_y = plan.down[1] * static_cast<double>(y) + plan.down[2];
    for (int64_t x = 0; x < size; ++x, out += 3) {
      const double at_x = row_x + plan.across[0] * static_cast<double>(x);
      const double at_y = row_y + plan.down[0] * static_cast<double>(x);
      // The last two columns and rows at most: rounding may step over the patch's edge.
      const int64_t left = std::clamp<int64_t>(static_cast<int64_t>(at_x), 0, plan.width - 2);
      const int64_t top = std::clamp<int64_t>(static_cast<int64_t>(at_y), 0, plan.height - 2);
      const auto right_share = static_cast<float>(at_x - static_cast<double>(left));
      const auto lower_share = static_cast<float>(at_y - static_cast<double>(top));
      const float* pixel = &patch[static_cast<std::size_t>(top * line + left * kLanes)];
      const Lanes upper = load(pixel) + (load(pixel + kLanes) - load(pixel)) * right_share;
      const Lanes lower = load(pixel + line) + (load(pixel + line + kLanes) - load(pixel + line)) * right_share;
      const IntLanes bytes = __builtin_convertvector(upper + (lower - upper) * lower_share + 0.5f, IntLanes);
      for (int channel = 0; channel < 3; ++channel) out[channel] = static_cast<uint8_t>(bytes[picture.order[channel]]);
    }
  }
}

}  // namespace fer_fast

// A face comes in, where its crop lies in the image goes out.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fer_fast {

enum class Framing : int32_t {
  kPoints,  // the five landmarks come to where a crop has them
  kBox,     // the box, squared on its longer side about its centre
  kLevel,   // that square, turned so that the eyes are level
};

// points, box or level.
std::optional<Framing> framing_named(std::string_view name);
const char* framing_name(Framing framing);

// The landmarks of a smaller face, its box's longer side in pixels of what the finder saw, are too coarse to crop by:
// its box is what is cropped.
constexpr double kLeastForLandmarks = 40;

// Whether a crop can be cut: a box of finite numbers, with width and height above 0.
bool has_box(const float* face);

// [2][3], from a crop of size x size pixels to the image, pixels' centres at halves in both. `face` is x, y, width,
// height, x and y of five landmarks, and has_box. Landmarks that fit no face of that box give the box.
void crop_matrix(const float* face, Framing framing, int64_t size, double* matrix);

}  // namespace fer_fast

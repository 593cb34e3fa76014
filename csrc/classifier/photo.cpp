#include "photo.h"

#include <algorithm>
#include <cmath>

#include "crops.h"
#include "reduce.h"
#include "resize.h"

namespace fer_fast {
namespace {

// As Python rounds: halves to even.
int64_t reduced(int64_t side, double factor) {
  return std::max<int64_t>(1, std::llrint(static_cast<double>(side) * factor));
}

int64_t whole_steps(int64_t side, int64_t step) { return (side + step - 1) / step * step; }

}  // namespace

Seen seen_of(const ImageView& photo, int64_t longest, int64_t step) {
  Seen seen;
  seen.width = photo.width;
  seen.height = photo.height;
  const int64_t longer = std::max(photo.width, photo.height);
  if (longer > longest) {
    const double factor = static_cast<double>(longest) / static_cast<double>(longer);
    seen.width = reduced(photo.width, factor);
    seen.height = reduced(photo.height, factor);
  }
  seen.canvas_width = whole_steps(seen.width, step);
  seen.canvas_height = whole_steps(seen.height, step);
  seen.pixels.resize(static_cast<std::size_t>(seen.canvas_width * seen.canvas_height * 3));
  reduce_to(photo, seen.width, seen.height, seen.pixels.data(), seen.canvas_width * 3);
  return seen;
}

Cut cut_of(const ImageView& photo, const Face& face, Framing framing, int64_t side, int64_t find_size) {
  float row[14] = {face.x, face.y, face.width, face.height};
  for (int i = 0; i < 5; ++i) {
    row[4 + 2 * i] = face.landmarks[i].x;
    row[5 + 2 * i] = face.landmarks[i].y;
  }
  const int64_t longer = std::max(photo.width, photo.height);
  const double reduction = static_cast<double>(longer) / static_cast<double>(std::min(longer, find_size));
  const bool coarse = std::max(face.width, face.height) < kLeastForLandmarks * reduction;
  Cut cut{&photo, {}};
  crop_matrix(row, coarse ? Framing::kBox : framing, side, cut.matrix);
  return cut;
}

void cut_faces(const Cut* cuts, int64_t count, int64_t side, uint8_t* out) {
  Cropper cropper;
  for (int64_t i = 0; i < count; ++i, out += side * side * 3) {
    const ImageView& photo = *cuts[i].photo;
    const int64_t pixel = bytes_a_pixel(photo.format), stride = photo.stride == 0 ? photo.width * pixel : photo.stride;
    cropper.cut({photo.data, photo.width, photo.height, stride, pixel}, cuts[i].matrix, side, out);
    if (photo.format != PixelFormat::kBgr8) continue;
    for (int64_t byte = 0; byte < side * side * 3; byte += 3) std::swap(out[byte], out[byte + 2]);
  }
}

}  // namespace fer_fast

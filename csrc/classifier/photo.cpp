#include "photo.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "reduce.h"
#include "resize.h"
#include "workspace.h"
#include "yuv.h"

namespace fer_fast {
namespace {

// As Python rounds: halves to even.
int64_t scaled(int64_t side, double factor) {
  return std::max<int64_t>(1, std::llrint(static_cast<double>(side) * factor));
}

// What the longer side of a photo becomes, as fer_fast/decode/views.py has it: a small photo is enlarged.
int64_t seen_side(int64_t longer, int64_t longest) { return std::min(std::max(longer, kLeastSeen), longest); }

struct Span {
  int64_t begin, count;
};

// Of one side of a frame, the pixels that a crop reads: `row` is the matrix's. At least one, at the edge.
Span span_of(const double* row, int64_t side, int64_t pixels) {
  const auto reach = static_cast<double>(side);
  const double low = row[2] + std::min(0.0, row[0] * reach) + std::min(0.0, row[1] * reach);
  const double high = row[2] + std::max(0.0, row[0] * reach) + std::max(0.0, row[1] * reach);
  const double more = std::hypot(row[0], row[1]) * 2 + 4;  // what is shrunk is a mean of neighbours
  const auto begin = std::clamp<int64_t>(static_cast<int64_t>(std::floor(low - more)), 0, pixels - 1);
  return {begin, std::clamp<int64_t>(static_cast<int64_t>(std::ceil(high + more)), begin + 1, pixels) - begin};
}

RgbView part_of(const Cut& cut, int64_t side, Workspace& space) {
  const Span across = span_of(cut.matrix, side, cut.photo->width), down = span_of(cut.matrix + 3, side, cut.photo->height);
  return {*cut.photo, across.begin, down.begin, across.count, down.count, space};
}

int64_t whole_steps(int64_t side, int64_t step) { return (side + step - 1) / step * step; }

}  // namespace

Seen seen_of(const ImageView& photo, int64_t longest, int64_t step) {
  Seen seen;
  seen.width = photo.width;
  seen.height = photo.height;
  const int64_t longer = std::max(photo.width, photo.height), wanted = seen_side(longer, longest);
  if (wanted != longer) {
    const double factor = static_cast<double>(wanted) / static_cast<double>(longer);
    seen.width = scaled(photo.width, factor);
    seen.height = scaled(photo.height, factor);
  }
  seen.canvas_width = whole_steps(seen.width, step);
  seen.canvas_height = whole_steps(seen.height, step);
  return seen;
}

void see(const ImageView& photo, const Seen& seen, uint8_t* out, Workspace& space) {
  if (seen.width != seen.canvas_width || seen.height != seen.canvas_height) std::fill_n(out, seen.bytes(), uint8_t{0});
  reduce_to(RgbView(photo, space).view(), seen.width, seen.height, out, seen.canvas_width * 3, space);
}

Cut cut_of(const ImageView& photo, const Face& face, Framing framing, int64_t side, int64_t find_size) {
  float row[14] = {face.x, face.y, face.width, face.height};
  for (int i = 0; i < 5; ++i) {
    row[4 + 2 * i] = face.landmarks[i].x;
    row[5 + 2 * i] = face.landmarks[i].y;
  }
  const int64_t longer = std::max(photo.width, photo.height);
  const double reduction = static_cast<double>(longer) / static_cast<double>(seen_side(longer, find_size));
  const bool coarse = std::max(face.width, face.height) < kLeastForLandmarks * reduction;
  Cut cut{&photo, {}};
  crop_matrix(row, coarse ? Framing::kBox : framing, side, cut.matrix);
  return cut;
}

Cut cut_of(const ImageView& frame, const Box& box, std::size_t index, int64_t side) {
  const float row[4] = {box.x, box.y, box.width, box.height};
  const auto refuse = [&](const std::string& rule) {
    std::ostringstream text;
    text << "box " << index << ": " << rule << ", not " << box.width << " x " << box.height << " at " << box.x << ", " << box.y;
    throw Error(ErrorCode::kInvalidArgument, text.str());
  };
  if (!has_box(row)) refuse("its numbers must be finite, width and height above 0");
  Cut cut{&frame, {}};
  crop_matrix(row, Framing::kBox, side, cut.matrix);
  if (!crop_fits(cut.matrix, side)) {
    refuse("its square must lie within " + std::to_string(static_cast<int64_t>(kMaxCropReach)) + " pixels of the frame");
  }
  return cut;
}

void cut_faces(const Cut* cuts, int64_t count, int64_t side, uint8_t* out, Workspace& space) {
  for (int64_t i = 0; i < count; ++i, out += side * side * 3) {
    const RgbView part = part_of(cuts[i], side, space);
    const ImageView& photo = part.view();
    double matrix[6];
    std::copy(cuts[i].matrix, cuts[i].matrix + 6, matrix);
    matrix[2] -= static_cast<double>(part.x());
    matrix[5] -= static_cast<double>(part.y());
    const int64_t pixel = bytes_a_pixel(photo.format), stride = photo.stride == 0 ? photo.width * pixel : photo.stride;
    space.cropper.cut({photo.data, photo.width, photo.height, stride, pixel}, matrix, side, out);
    if (photo.format != PixelFormat::kBgr8) continue;
    for (int64_t byte = 0; byte < side * side * 3; byte += 3) std::swap(out[byte], out[byte + 2]);
  }
}

}  // namespace fer_fast

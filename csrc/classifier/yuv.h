// A view of a camera's frame, brightness and colour apart, comes in, RGB pixels of a part of it go out.
#pragma once

#include "fer_fast/image.h"

namespace fer_fast {

struct Workspace;

bool is_yuv(PixelFormat format);

// A view as pixels that the rest of the library reads: of brightness and colour its RGB, which lies in the workspace until
// another does, of any other itself.
class RgbView {
 public:
  // The view has been checked.
  RgbView(const ImageView& image, Workspace& space) : RgbView(image, 0, 0, image.width, image.height, space) {}
  // Of a frame at least what lies in the part from column `x`, row `y` on; of others all.
  RgbView(const ImageView& image, int64_t x, int64_t y, int64_t width, int64_t height, Workspace& space);
  RgbView(const RgbView&) = delete;

  const ImageView& view() const { return view_; }
  // Where in the frame the view begins.
  int64_t x() const { return x_; }
  int64_t y() const { return y_; }

 private:
  ImageView view_;
  int64_t x_ = 0, y_ = 0;
};

}  // namespace fer_fast

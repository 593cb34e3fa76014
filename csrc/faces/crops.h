// An image and where its crops lie come in, the crops' RGB pixels go out.
#pragma once

#include <cstdint>

namespace fer_fast {

// Of a crop's side: while it is cut, up to 32 bytes a pixel of it are kept.
constexpr int64_t kMaxCropSide = 2048;
// Of the corners of a crop, in pixels of the image.
constexpr double kMaxCropReach = 1 << 20;

// An image in memory, of rows without gaps between their pixels.
struct Picture {
  const uint8_t* data;
  int64_t width, height;
  int64_t stride;  // bytes from a row to the next
  int64_t pixel;   // bytes of a pixel: 1, 3 or 4
  int order[3];    // where of a pixel's bytes red, green and blue are
};

// Whether all that a crop shows lies within kMaxCropReach, and no number in the matrix is none.
bool crop_fits(const double* matrix, int64_t size);

// Writes [size][size][3]. `matrix` is what crop_matrix gives, or any [2][3] that crop_fits. Bilinear, antialiased where
// the crop shrinks the image as Pillow's resize does; the image's edges are repeated.
void crop_face(const Picture& picture, const double* matrix, int64_t size, uint8_t* out);

}  // namespace fer_fast

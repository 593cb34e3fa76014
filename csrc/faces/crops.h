// An image and where its crops lie come in, the crops' RGB pixels go out.
#pragma once

#include <cstdint>
#include <vector>

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
  int64_t pixel;   // bytes of a pixel: 1 (grey), or 3 or 4 that begin with red, green and blue
};

// Whether all that a crop shows lies within kMaxCropReach, and no number in the matrix is none.
bool crop_fits(const double* matrix, int64_t size);

// Which pixels of a side of the image make each pixel of another, and their weights.
struct Taps {
  struct Window {
    int64_t begin, count, weights;
  };
  std::vector<Window> windows;
  std::vector<float> weights;
};

// Cuts one crop after the other, on one thread; what it needs in between it keeps for the next.
class Cropper {
 public:
  // Writes [size][size][3]. `matrix` is what crop_matrix gives, or any [2][3] that crop_fits. Bilinear, antialiased
  // where the crop shrinks the image as Pillow's resize does; the image's edges are repeated.
  void cut(const Picture& picture, const double* matrix, int64_t size, uint8_t* out);

 private:
  struct Side;
  void fill_patch(const Picture& picture, const Side& across, const Side& down);
  void read_patch(const Side& across, const Side& down, int64_t size, uint8_t* out);

  Taps across_, down_;
  std::vector<float> line_, patch_;
  std::vector<int32_t> places_;
  std::vector<float> shares_;
};

}  // namespace fer_fast

// What a launch of the image kernel is told: uint8 images, and what a network's first convolution shall read of them.
#pragma once

#include "fer_fast/tokens.h"

namespace fer_fast {

// How pixels lie in what is written. But for the last, sixteen bytes are read and written at a time.
enum class ImagePath : int32_t {
  kThree,   // channels last
  kFour,    // channels last, and zeros for a fourth
  kEight,   // channels last, and zeros up to an eighth
  kPlanes,  // one channel after the other
  kSingle,  // any of these, off the grid of sixteen bytes; an element at a time
};

// A block takes some pixels at once: as many bytes as 192 threads read sixteen each.
constexpr int32_t kImageShare = 1024;
// The most threads of a block, and how many such blocks a multiprocessor must hold at least.
constexpr int32_t kImageThreads = 256;
constexpr int32_t kImageBlocks = 4;

// Contiguous images and the call's wishes; nothing is owned.
struct ImageView {
  const uint8_t* pixels = nullptr;  // [batch, height, width, 3]
  int64_t batch = 0;
  int64_t height = 0;
  int64_t width = 0;
  const float* mean = nullptr;     // [3]
  const float* inv_std = nullptr;  // [3]
  void* out = nullptr;             // [batch, height, width, channels], or [batch, 3, height, width] as planes
  DType out_dtype = DType::kFloat32;
  int64_t channels = 3;  // 3, or 4 or 8 with zeros behind; 3 as planes
  bool planes = false;
};

// Passed by value, as the kernel's argument.
struct CudaImage {
  ImageView view;
  ImagePath path;
  int64_t pixels;  // of all images
  int64_t plane;   // of one
  int32_t blocks;
  int32_t threads;       // of a block
  int32_t shared_bytes;  // of a block
};

}  // namespace fer_fast

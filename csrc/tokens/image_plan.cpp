#include "image_plan.h"

#include <algorithm>
#include <cstdint>
#include <sstream>

#include "aligned.h"

namespace fer_fast {
namespace {

// Pixels whose bytes, read and written, are whole words of sixteen.
constexpr int64_t kPixelUnit = 16;
// Of a launch, at most: each takes one share after another.
constexpr int64_t kMostBlocks = 1 << 20;
// What the wide ways count in 32 bits.
constexpr int64_t kMostPixels = INT32_MAX / 8;

[[noreturn]] void refuse(const char* argument, const char* rule, int64_t got) {
  std::ostringstream message;
  message << argument << ": must be " << rule << ", got " << got;
  throw std::invalid_argument(message.str());
}

void check_image(const ImageView& view) {
  if (view.out_dtype == DType::kUInt8) throw DTypeError("out_dtype: must be float32, float16 or bfloat16, got uint8");
  if (view.planes && view.channels != 3) refuse("channels", "3 as planes", view.channels);
  if (view.channels != 3 && view.channels != 4 && view.channels != 8) refuse("channels", "3, 4 or 8", view.channels);
  check_aligned("out", view.out, element_size(view.out_dtype));
  check_aligned("mean", view.mean, sizeof(float));
  check_aligned("inv_std", view.inv_std, sizeof(float));
}

ImagePath path_of(const CudaImage& image) {
  const ImageView& view = image.view;
  const int64_t run = view.planes ? image.plane : image.pixels;  // written without a gap
  const bool on = on_grid(view.pixels, kWide) && on_grid(view.out, kWide) && run % kPixelUnit == 0;
  if (!on || image.pixels > kMostPixels) return ImagePath::kSingle;
  if (view.planes) return ImagePath::kPlanes;
  return view.channels == 3 ? ImagePath::kThree : view.channels == 4 ? ImagePath::kFour : ImagePath::kEight;
}

}  // namespace

CudaImage plan_cuda_image(const ImageView& view) {
  check_image(view);
  CudaImage image{};
  image.view = view;
  image.plane = view.height * view.width;
  image.pixels = view.batch * image.plane;
  image.path = path_of(image);
  // Each thread writes as many words as the others; of three channels always the same ones.
  const bool padded = image.path == ImagePath::kFour || image.path == ImagePath::kEight;
  image.threads = padded || image.path == ImagePath::kSingle ? kImageThreads : kImageShare * 3 / kWide;
  image.shared_bytes = image.path == ImagePath::kSingle ? 0 : kImageShare * 3 + 2 * kWide;
  const int64_t share = image.path == ImagePath::kSingle ? kImageThreads / view.channels : kImageShare;
  image.blocks = static_cast<int32_t>(std::min((image.pixels + share - 1) / share, kMostBlocks));
  return image;
}

}  // namespace fer_fast

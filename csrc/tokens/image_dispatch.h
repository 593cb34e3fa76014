// Which instance of the image kernel a planned call asks for: a plan comes in, launch(kernel) is called with it.
#pragma once

#include "image_kernel.h"

namespace fer_fast {
namespace {

template <typename Out, typename Launch>
void with_image_path(ImagePath path, const Launch& launch) {
  switch (path) {
    case ImagePath::kThree:
      return launch(image_kernel<Out, ImagePath::kThree>);
    case ImagePath::kFour:
      return launch(image_kernel<Out, ImagePath::kFour>);
    case ImagePath::kEight:
      return launch(image_kernel<Out, ImagePath::kEight>);
    case ImagePath::kPlanes:
      return launch(image_kernel<Out, ImagePath::kPlanes>);
    default:
      return launch(image_kernel<Out, ImagePath::kSingle>);
  }
}

template <typename Launch>
void with_image_kernel(const CudaImage& image, const Launch& launch) {
  switch (image.view.out_dtype) {
    case DType::kFloat16:
      return with_image_path<Half>(image.path, launch);
    case DType::kBFloat16:
      return with_image_path<BFloat16>(image.path, launch);
    default:
      return with_image_path<float>(image.path, launch);
  }
}

}  // namespace
}  // namespace fer_fast

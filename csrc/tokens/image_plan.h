// Plans the image kernel's launch: images and wishes come in, one launch goes out. Plain C++: no CUDA.
#pragma once

#include "cuda_image.h"

namespace fer_fast {

// Throws std::invalid_argument or DTypeError with the argument, the rule and what came.
CudaImage plan_cuda_image(const ImageView& view);

}  // namespace fer_fast

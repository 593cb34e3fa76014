// The image kernel by CUDA's runtime, where nvcc built it.
#pragma once

#include "cuda_image.h"

namespace fer_fast {

// Writes on `stream` (a cudaStream_t) of the current device, and returns before it is done. Throws as plan_cuda_image
// does, and std::runtime_error when CUDA refuses the launch.
void normalised_image_cuda(const ImageView& view, void* stream);

}  // namespace fer_fast

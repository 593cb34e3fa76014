// The kernels as a program for NVRTC, for where no nvcc built it: nothing comes in, source text goes out.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cuda_image.h"
#include "cuda_source.h"

namespace fer_fast {

// The entry that reads such a source and writes such tokens: fused_tokens_uint8_float16_runs.
std::string cuda_entry(DType source, DType out, CudaPath path);

// The entry that writes images so: normalised_image_float16_four.
std::string image_entry(DType out, ImagePath path);

// The translation unit: an entry for each that plan_cuda_tokens and plan_cuda_image can ask for.
std::string cuda_program();

// Name and text of all that it includes, the few of the standard library's that NVRTC lacks among them.
std::vector<std::pair<std::string, std::string>> cuda_headers();

}  // namespace fer_fast

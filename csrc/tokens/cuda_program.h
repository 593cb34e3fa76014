// The CUDA twin's kernel as a program for NVRTC, for where no nvcc built it: nothing comes in, source text goes out.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cuda_source.h"

namespace fer_fast {

// The entry that reads such a source and writes such tokens: fused_tokens_uint8_float16_runs.
std::string cuda_entry(DType source, DType out, CudaPath path);

// The translation unit: an entry for each that plan_cuda_tokens can ask for.
std::string cuda_program();

// Name and text of all that it includes, the few of the standard library's that NVRTC lacks among them.
std::vector<std::pair<std::string, std::string>> cuda_headers();

}  // namespace fer_fast

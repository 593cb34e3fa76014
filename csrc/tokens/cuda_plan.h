// Plans the CUDA twin's launches: views of device memory come in, one launch a source goes out. Plain C++: no CUDA.
#pragma once

#include "cuda_source.h"

namespace fer_fast {

// Fills plan[0, source_count), for tokens at `out`: contiguous [batch, grid * grid, K] of out_dtype. Checks first, as
// check_tokens does, and that what is pointed to is aligned to its own elements.
void plan_cuda_tokens(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                      CudaSource* plan);

}  // namespace fer_fast

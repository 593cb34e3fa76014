// The fused op on a card, for C++ callers: no CUDA types, so that any compiler can include it.
#pragma once

#include "fer_fast/tokens.h"

namespace fer_fast {

// Writes tokens, contiguous [batch, grid * grid, K] of out_dtype, on `stream` (a cudaStream_t) of the current device;
// returns before they are written. All pointers are device memory, aligned to their elements; on the grid of sixteen
// bytes the kernel is fastest. Checks as check_tokens does, and that; throws std::runtime_error when CUDA refuses a
// launch.
void fused_tokens_cuda(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                       void* stream);

}  // namespace fer_fast

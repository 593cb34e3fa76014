// The CUDA twin: plans what is asked for, and launches tokens_kernel.h once a source.
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "cuda_dispatch.h"
#include "cuda_plan.h"
#include "fer_fast/tokens_cuda.h"

namespace fer_fast {
namespace {

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string("fused_tokens: ") + what + " failed: " + cudaGetErrorString(status));
}

}  // namespace

void fused_tokens_cuda(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                       void* stream) {
  CudaSource plan[kMaxSources];
  plan_cuda_tokens(sources, source_count, grid, out, out_dtype, plan);
  for (int64_t s = 0; s < source_count; ++s) {
    const CudaSource& source = plan[s];
    if (source.blocks == 0) continue;
    with_kernel(source, out_dtype, [&](auto kernel) {
      kernel<<<source.blocks, source.threads, source.shared_bytes, static_cast<cudaStream_t>(stream)>>>(source);
    });
    check_cuda(cudaGetLastError(), "the launch");
  }
}

}  // namespace fer_fast

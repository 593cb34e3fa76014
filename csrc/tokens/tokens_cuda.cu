// The CUDA twin: checks, plans and launches tokens_kernel.h.
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "fer_fast/tokens_cuda.h"
#include "tokens_kernel.h"

namespace fer_fast {
namespace {

// More blocks than a multiprocessor holds at once, so that it is never short of one, yet few enough that each turns its
// loop.
constexpr int64_t kBlocksPerProcessor = 8;

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string("fused_tokens: ") + what + " failed: " + cudaGetErrorString(status));
}

int64_t multiprocessors() {
  int device = 0;
  int count = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
  return count;
}

}  // namespace

void fused_tokens_cuda(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                       void* stream) {
  check_tokens(sources, source_count, grid, out_dtype);
  const CudaTokens plan = plan_cuda_tokens(sources, source_count, grid, out, out_dtype);
  if (plan.token_count == 0) return;
  const int64_t most = multiprocessors() * kBlocksPerProcessor;
  const auto blocks = static_cast<unsigned>(plan.token_count < most ? plan.token_count : most);
  auto* const cuda_stream = static_cast<cudaStream_t>(stream);
  switch (out_dtype) {
    case DType::kFloat16:
      token_kernel<Half><<<blocks, kCudaThreads, 0, cuda_stream>>>(plan);
      break;
    case DType::kBFloat16:
      token_kernel<BFloat16><<<blocks, kCudaThreads, 0, cuda_stream>>>(plan);
      break;
    default:
      token_kernel<float><<<blocks, kCudaThreads, 0, cuda_stream>>>(plan);
  }
  check_cuda(cudaGetLastError(), "the launch");
}

}  // namespace fer_fast

// The CUDA twin's kernel body over every block and thread, on the host: what test_tokens.py calls without a GPU.
// The shim comes first: the kernel needs its keywords.
#include "kernel_shim.h"

#include "../../csrc/tokens/tokens_kernel.h"

using namespace fer_fast;

namespace {

template <typename Out>
void run_grid(const CudaTokens& plan, unsigned blocks) {
  run_blocks(blocks, kCudaThreads, [&plan] { token_kernel<Out>(plan); });
}

template <typename Body>
int with_message(char* message, int64_t message_size, const Body& body) {
  try {
    body();
    return 0;
  } catch (const std::invalid_argument& error) {
    strncpy(message, error.what(), static_cast<size_t>(message_size) - 1);
    return 1;
  }
}

}  // namespace

extern "C" {

// Each returns 0, or 1 with a message for a ValueError. Three blocks: few enough that the loop over tokens turns.
int shim_tokens(const SourceView* sources, int64_t source_count, int64_t grid, void* out, int32_t out_dtype,
                char* message, int64_t message_size) {
  const auto dtype = static_cast<DType>(out_dtype);
  return with_message(message, message_size, [&] {
    check_tokens(sources, source_count, grid, dtype);
    const CudaTokens plan = plan_cuda_tokens(sources, source_count, grid, out, dtype);
    if (dtype == DType::kFloat16) return run_grid<Half>(plan, 3);
    if (dtype == DType::kBFloat16) return run_grid<BFloat16>(plan, 3);
    run_grid<float>(plan, 3);
  });
}

int shim_tokens_cpu(const SourceView* sources, int64_t source_count, int64_t grid, void* out, int32_t out_dtype,
                    char* message, int64_t message_size) {
  return with_message(message, message_size,
                      [&] { fused_tokens_cpu(sources, source_count, grid, out, static_cast<DType>(out_dtype), 2); });
}

// How each source is read, so that a test can tell that the vectors were exercised.
int shim_path(const SourceView* sources, int64_t source_count, int64_t grid, int32_t out_dtype, int64_t source) {
  static char aligned[16] __attribute__((aligned(16)));
  const CudaTokens plan = plan_cuda_tokens(sources, source_count, grid, aligned, static_cast<DType>(out_dtype));
  return static_cast<int>(plan.paths[source]);
}
}

// Registers fer_fast::fused_tokens with torch and gives it its CPU twin.
#include <pthread.h>

#include <atomic>

#include "torch_arguments.h"

namespace fer_fast {
namespace {

// Torch's threads do not survive a fork, and waiting for them would never end.
std::atomic<bool> forked{false};
const int fork_watch = pthread_atfork(nullptr, nullptr, [] { forked = true; });

// Torch's own threads: others would fight with them for the cores while they spin after the last op.
void torch_threads(int64_t count, int64_t grain, int threads, ParallelTask task, void* context) {
  if (forked) return spawn_threads(count, grain, threads, task, context);
  STABLE_TORCH_ERROR_CODE_CHECK(torch_parallel_for(0, count, grain, task, context));
}

Tensor fused_tokens_torch(std::vector<Tensor> sources, std::vector<Tensor> means, std::vector<Tensor> inv_stds,
                          std::vector<int64_t> patches, int64_t grid, std::vector<bool> reduce_mean,
                          ScalarType out_dtype) {
  return with_named_errors([&] {
    const TorchArguments arguments = check_arguments(sources, means, inv_stds, patches, grid, reduce_mean, out_dtype);
    Tensor out = torch::stable::new_empty(sources[0], arguments.out_sizes, out_dtype);
    fused_tokens_cpu(arguments.sources.data(), static_cast<int64_t>(arguments.sources.size()), grid,
                     out.mutable_data_ptr(), arguments.out_dtype, static_cast<int>(torch::stable::get_num_threads()),
                     torch_threads);
    return out;
  });
}

}  // namespace
}  // namespace fer_fast

STABLE_TORCH_LIBRARY(fer_fast, library) {
  library.def(
      "fused_tokens(Tensor[] sources, Tensor[] means, Tensor[] inv_stds, int[] patches, int grid, bool[] reduce_mean, "
      "ScalarType out_dtype) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(fer_fast, CPU, library) {
  library.impl("fused_tokens", TORCH_BOX(&fer_fast::fused_tokens_torch));
}

// The kernels' bodies over every block and thread, on the host: what test_tokens.py, test_image.py and test_traffic.py
// call without a GPU. The shim comes first: the kernels need its keywords.
#include "kernel_shim.h"

#include "../../csrc/tokens/cuda_dispatch.h"
#include "../../csrc/tokens/cuda_plan.h"
#include "../../csrc/tokens/image_dispatch.h"
#include "../../csrc/tokens/image_plan.h"

using namespace fer_fast;

namespace fer_fast {
namespace {

uint4 cuda_shared[48 * 1024 / sizeof(uint4)];  // what the kernel declares: of one block at a time

void run(const CudaSource& source, DType out_dtype, int64_t most_blocks) {
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(source.blocks, most_blocks));
  with_kernel(source, out_dtype,
              [&](auto kernel) { run_blocks(blocks, static_cast<unsigned>(source.threads), [&] { kernel(source); }); });
}

void run(const CudaImage& image, int64_t most_blocks) {
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(image.blocks, most_blocks));
  with_image_kernel(
      image, [&](auto kernel) { run_blocks(blocks, static_cast<unsigned>(image.threads), [&] { kernel(image); }); });
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
}  // namespace fer_fast

extern "C" {

// Each returns 0, or 1 with a message for a ValueError. At most three blocks a launch: few enough that the loop over
// shares turns.
int shim_tokens(const SourceView* sources, int64_t source_count, int64_t grid, void* out, int32_t out_dtype,
                char* message, int64_t message_size) {
  const auto dtype = static_cast<DType>(out_dtype);
  return with_message(message, message_size, [&] {
    CudaSource plan[kMaxSources];
    plan_cuda_tokens(sources, source_count, grid, out, dtype, plan);
    for (int64_t s = 0; s < source_count; ++s) run(plan[s], dtype, 3);
  });
}

int shim_tokens_cpu(const SourceView* sources, int64_t source_count, int64_t grid, void* out, int32_t out_dtype,
                    char* message, int64_t message_size) {
  return with_message(message, message_size,
                      [&] { fused_tokens_cpu(sources, source_count, grid, out, static_cast<DType>(out_dtype), 2); });
}

// How a source is planned, so that a test can tell which way it is read, and how many blocks share it.
void shim_plan(const SourceView* sources, int64_t source_count, int64_t grid, void* out, int32_t out_dtype,
               int64_t source, int32_t* found) {
  CudaSource plan[kMaxSources];
  plan_cuda_tokens(sources, source_count, grid, out, static_cast<DType>(out_dtype), plan);
  const CudaSource& planned = plan[source];
  const int32_t numbers[] = {static_cast<int32_t>(planned.path), planned.blocks, planned.threads, planned.shared_bytes};
  std::copy(std::begin(numbers), std::end(numbers), found);
}

// What one source's launch moves, as the card would: stores, then loads.
void shim_traffic(const SourceView* sources, int64_t source_count, int64_t grid, void* out, int32_t out_dtype,
                  int64_t source, ShimTraffic* found) {
  CudaSource plan[kMaxSources];
  plan_cuda_tokens(sources, source_count, grid, out, static_cast<DType>(out_dtype), plan);
  shim_store_traffic = shim_load_traffic = {};
  run(plan[source], static_cast<DType>(out_dtype), plan[source].blocks);
  found[0] = shim_store_traffic;
  found[1] = shim_load_traffic;
}

// The image kernel, its blocks no more than `most_blocks`, and what it moves: stores, then loads. Returns its path, or
// -1 with a message for a ValueError.
int shim_image(const ImageView* view, int64_t most_blocks, ShimTraffic* found, char* message, int64_t message_size) {
  int path = -1;
  with_message(message, message_size, [&] {
    const CudaImage image = plan_cuda_image(*view);
    shim_store_traffic = shim_load_traffic = {};
    run(image, most_blocks);
    found[0] = shim_store_traffic;
    found[1] = shim_load_traffic;
    path = static_cast<int>(image.path);
  });
  return path;
}
}

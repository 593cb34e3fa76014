// The fused op for C++ callers: an image and ResNet taps come in, a Vision Transformer's patch tokens go out.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace fer_fast {

enum class DType : int32_t { kFloat32, kFloat16, kBFloat16, kUInt8 };

// As many as ResNet-18 offers: the image and its four taps.
constexpr int64_t kMaxSources = 5;
// Of an image's side and of grid * patch: sampling positions stay exact in fp32, and no index below overflows.
constexpr int64_t kMaxSide = 1 << 16;

// One source of tokens, [batch, channels, height, width] in any memory order; nothing is owned. Strides are in
// elements.
struct SourceView {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;
  int64_t batch = 0;
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t batch_stride = 0;
  int64_t channel_stride = 0;
  int64_t height_stride = 0;
  int64_t width_stride = 0;
  const float* mean = nullptr;     // [mean_size]
  const float* inv_std = nullptr;  // [inv_std_size]
  int64_t mean_size = 0;           // channels, or 1 with reduce_mean
  int64_t inv_std_size = 0;        // as mean_size
  int64_t patch = 1;
  bool reduce_mean = false;  // replaces the channels by their mean, before anything else
};

// The caller's fault, of a type rather than of a value: Python's TypeError. Values give std::invalid_argument.
class DTypeError : public std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Throws std::invalid_argument or DTypeError with the argument, the rule and what came. Reads no pixel and no
// statistic.
void check_tokens(const SourceView* sources, int64_t source_count, int64_t grid, DType out_dtype);

// The length of a token, K: the sum over sources of (reduce_mean ? 1 : channels) * patch^2.
int64_t token_width(const SourceView* sources, int64_t source_count);

// Runs task(begin, end, context) over disjoint ranges that cover [0, count), none but the last shorter than `grain`.
using ParallelTask = void (*)(int64_t begin, int64_t end, void* context);
using ParallelFor = void (*)(int64_t count, int64_t grain, int threads, ParallelTask task, void* context);

// Starts `threads - 1` threads and joins them: no state outlives the call, so that it is safe after fork and from any
// thread.
void spawn_threads(int64_t count, int64_t grain, int threads, ParallelTask task, void* context);

// Writes tokens, contiguous [batch, grid * grid, K] of out_dtype. Checks as check_tokens does, and that `out` is not
// null.
void fused_tokens_cpu(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                      int threads = 1, ParallelFor parallel_for = spawn_threads);

// The instruction sets that the CPU kernel is compiled for. One is chosen at run time: the best that the processor has,
// or the one that the environment variable FER_FAST_CPU_LEVEL names (baseline, avx2, avx512). All give the same bits.
enum class CpuLevel : int32_t { kBaseline, kAvx2, kAvx512 };

const char* cpu_level_name(CpuLevel level);
bool cpu_level_supported(CpuLevel level);
CpuLevel cpu_level();
// For tests. Throws std::invalid_argument when the processor or the build lacks it.
void set_cpu_level(CpuLevel level);

}  // namespace fer_fast

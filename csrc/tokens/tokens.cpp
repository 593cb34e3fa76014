// Checks the fused op's arguments and plans a call: views come in, a plan for the CPU kernel goes out.
#include "fer_fast/tokens.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "tokens_math.h"
#include "tokens_plan.h"

namespace fer_fast {
namespace {

// Per source: staged rows are read back before they leave the second-level cache, 1 MiB and more on today's servers.
constexpr int64_t kStageFloats = 32 * 1024;
// Output larger than this is not in a cache by the time that the projection reads it. Written past the caches, it costs
// no read of what it overwrites: a third of the traffic.
constexpr int64_t kStreamBytes = 4 * 1024 * 1024;
// Bytes of output below which another thread costs more than it saves.
constexpr int64_t kGrainBytes = 64 * 1024;

template <typename Error = std::invalid_argument, typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

int64_t token_channels(const SourceView& source) { return source.reduce_mean ? 1 : source.channels; }

void check_statistic(const char* name, int64_t index, const float* data, int64_t size, const SourceView& source) {
  const int64_t wanted = token_channels(source);
  if (size != wanted) {
    fail(name, "[", index, "]: must have ", wanted,
         source.reduce_mean ? " element (reduce_mean)" : " elements, one a channel", ", got ", size);
  }
  if (data == nullptr) fail(name, "[", index, "]: must not be null");
}

void check_source(const SourceView& source, int64_t index, int64_t batch, int64_t grid) {
  if (source.batch < 0) fail("sources[", index, "]: batch must be at least 0, got ", source.batch);
  if (source.dtype == DType::kUInt8 && source.channels != 3) {
    fail("sources[", index, "]: a uint8 image must be [batch, height, width, 3], got ", source.channels, " channels");
  }
  if (source.batch != batch) {
    fail("sources[", index, "]: every source must have the batch of the first, ", batch, ", got ", source.batch);
  }
  if (source.channels < 1 || source.height < 1 || source.width < 1) {
    fail("sources[", index, "]: channels, height and width must be at least 1, got ", source.channels, " x ",
         source.height, " x ", source.width);
  }
  if (source.height > kMaxSide || source.width > kMaxSide) {
    fail("sources[", index, "]: height and width must be at most ", kMaxSide, ", got ", source.height, " x ",
         source.width);
  }
  if (source.patch < 1 || source.patch > kMaxSide / grid) {
    fail("patches[", index, "]: must be at least 1, with grid * patch at most ", kMaxSide, ", got ", source.patch,
         " with grid ", grid);
  }
  if (source.data == nullptr && batch > 0) fail("sources[", index, "]: data must not be null");
  check_statistic("means", index, source.mean, source.mean_size, source);
  check_statistic("inv_stds", index, source.inv_std, source.inv_std_size, source);
}

// Owns what a TokensPlan points to. Deques, because growing must not move what is already pointed to.
struct PlanStorage {
  std::deque<std::vector<Taps>> taps;
  std::deque<std::vector<float>> floats;
};

const Taps* plan_taps(int64_t in_size, int64_t out_size, PlanStorage& storage) {
  std::vector<Taps>& taps = storage.taps.emplace_back(static_cast<size_t>(out_size));
  std::vector<float>& weights = storage.floats.emplace_back();
  for (int64_t i = 0; i < out_size; ++i) {
    const Span span = resample_span(i, in_size, out_size);
    const float total = resample_total(span);
    for (int64_t tap = 0; tap < span.count; ++tap) weights.push_back(resample_weight(span, tap) / total);
    taps[static_cast<size_t>(i)] = Taps{span.first, span.count, nullptr};
  }
  const float* next = weights.data();
  for (Taps& tap : taps) {
    tap.weights = next;
    next += tap.count;
  }
  return taps.data();
}

const float* plan_run(const float* statistic, int64_t channels, int64_t patch, PlanStorage& storage) {
  std::vector<float>& run = storage.floats.emplace_back();
  run.reserve(static_cast<size_t>(channels * patch));
  for (int64_t i = 0; i < patch; ++i) run.insert(run.end(), statistic, statistic + channels);
  return run.data();
}

// Takes its part of the scratch, rounded up so that every part starts on a cache line.
int64_t take_scratch(int64_t floats, TokensPlan& plan) {
  const int64_t offset = plan.scratch_floats;
  plan.scratch_floats += (floats + 15) / 16 * 16;
  return offset;
}

// Input rows to stage at once: a whole token row at least, and as many more as fit.
int64_t plan_stage_rows(const SourcePlan& source, int64_t grid) {
  const int64_t patch = source.view.patch;
  int64_t rows = kStageFloats / (source.view.width * source.channels);
  for (int64_t ty = 0; ty < grid; ++ty) {
    const Taps& last = source.vertical[(ty + 1) * patch - 1];
    rows = std::max(rows, last.first + last.count - source.vertical[ty * patch].first);
  }
  return std::min(rows, source.view.height);
}

SourcePlan plan_source(const SourceView& view, int64_t column, TokensPlan& plan, PlanStorage& storage) {
  SourcePlan source{};
  source.view = view;
  source.column = column;
  source.channels = token_channels(view);
  source.side = plan.grid * view.patch;
  source.resized = view.height != source.side || view.width != source.side;
  const bool channels_last = view.channels == 1 || view.channel_stride == 1;
  source.staged = view.reduce_mean || !channels_last || (view.width > 1 && view.width_stride != view.channels);
  source.vertical = plan_taps(view.height, source.side, storage);
  source.horizontal = plan_taps(view.width, source.side, storage);
  source.mean_run = plan_run(view.mean, source.channels, view.patch, storage);
  source.inv_std_run = plan_run(view.inv_std, source.channels, view.patch, storage);
  const int64_t row_floats = view.width * source.channels;
  if (source.staged) {
    source.stage_rows = plan_stage_rows(source, plan.grid);
    source.stage_offset = take_scratch(source.stage_rows * row_floats, plan);
  }
  if (source.resized) source.blend_offset = take_scratch(view.patch * row_floats, plan);
  return source;
}

constexpr std::align_val_t kScratchAlignment{64};

struct Call {
  TokensPlan plan;
  TokenRows kernel;
  std::atomic<bool> out_of_memory{false};
};

void run_rows(int64_t begin, int64_t end, void* context) {
  Call& call = *static_cast<Call*>(context);
  const auto bytes = static_cast<size_t>(call.plan.scratch_floats) * sizeof(float);
  void* scratch = ::operator new(bytes, kScratchAlignment, std::nothrow);
  if (scratch == nullptr) {  // a worker thread must not throw
    call.out_of_memory = true;
    return;
  }
  call.kernel(call.plan, begin, end, static_cast<float*>(scratch));
  ::operator delete(scratch, kScratchAlignment);
}

int64_t element_size(DType dtype) { return dtype == DType::kFloat32 ? 4 : dtype == DType::kUInt8 ? 1 : 2; }

}  // namespace

void check_tokens(const SourceView* sources, int64_t source_count, int64_t grid, DType out_dtype) {
  if (source_count < 1 || source_count > kMaxSources)
    fail("sources: must be 1 to ", kMaxSources, ", got ", source_count);
  if (grid < 1 || grid > kMaxSide) fail("grid: must be 1 to ", kMaxSide, ", got ", grid);
  if (out_dtype == DType::kUInt8) fail<DTypeError>("out_dtype: must be float32, float16 or bfloat16, got uint8");
  for (int64_t s = 0; s < source_count; ++s) check_source(sources[s], s, sources[0].batch, grid);
}

int64_t token_width(const SourceView* sources, int64_t source_count) {
  int64_t width = 0;
  for (int64_t s = 0; s < source_count; ++s) width += token_channels(sources[s]) * sources[s].patch * sources[s].patch;
  return width;
}

void fused_tokens_cpu(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                      int threads, ParallelFor parallel_for) {
  check_tokens(sources, source_count, grid, out_dtype);
  const int64_t batch = sources[0].batch;
  if (out == nullptr && batch > 0) fail("out: must not be null");
  if (threads < 1) fail("threads: must be at least 1, got ", threads);
  if (batch == 0) return;

  PlanStorage storage;
  Call call{};
  call.kernel = token_rows_kernel();
  call.plan.source_count = source_count;
  call.plan.grid = grid;
  call.plan.width = token_width(sources, source_count);
  call.plan.out = out;
  call.plan.out_dtype = out_dtype;
  int64_t column = 0;
  for (int64_t s = 0; s < source_count; ++s) {
    call.plan.sources[s] = plan_source(sources[s], column, call.plan, storage);
    column += call.plan.sources[s].channels * sources[s].patch * sources[s].patch;
  }
  const int64_t token_bytes = call.plan.width * element_size(out_dtype);
  bool aligned = token_bytes % 64 == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
  for (int64_t s = 0; s < source_count; ++s) {
    aligned = aligned && call.plan.sources[s].column * element_size(out_dtype) % 64 == 0;
  }
  call.plan.stream = aligned && batch * grid * grid * token_bytes >= kStreamBytes;
  if (call.plan.stream) call.plan.token_offset = take_scratch(call.plan.width, call.plan);
  const int64_t row_bytes = grid * token_bytes;
  parallel_for(batch * grid, std::max<int64_t>(1, kGrainBytes / row_bytes), threads, run_rows, &call);
  if (call.out_of_memory) throw std::bad_alloc();
}

}  // namespace fer_fast

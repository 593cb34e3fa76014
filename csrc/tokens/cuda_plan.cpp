#include "cuda_plan.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "aligned.h"
#include "tokens_math.h"

namespace fer_fast {
namespace {

// Of a share's pixels: small enough that a multiprocessor holds some blocks, one reading while another writes.
constexpr int64_t kShareBytes = 16 * 1024;
// Of a block: every card has it without being asked.
constexpr int64_t kSharedBytes = 48 * 1024;
// Of planes: two neighbouring columns of a pixel in 16 bits, which fill a sector of 32 bytes.
constexpr int64_t kPlaneChannels = 16;
// Of a launch, at most: far more than any card runs at once, each of which takes one share after another.
constexpr int64_t kBlocks = 1 << 20;
// Of grid * patch where taps are kept: whatever more could not fit.
constexpr int64_t kMostSide = kSharedBytes / (2 * 12);
// Tokens that a thread writes at least, so that what it knows of its column is worth the trouble.
constexpr int64_t kTurns = 4;
// What the wide ways count in 32 bits: a source's elements of a token, and an image's shares. No model comes near.
constexpr int64_t kMostCounted = INT32_MAX;

void check_addresses(const SourceView* sources, int64_t source_count, const void* out, DType out_dtype) {
  if (out == nullptr && sources[0].batch > 0) throw std::invalid_argument("out: must not be null");
  check_aligned("out", out, element_size(out_dtype));
  for (int64_t s = 0; s < source_count; ++s) {
    const std::string index = "[" + std::to_string(s) + "]";
    check_aligned("sources" + index, sources[s].data, element_size(sources[s].dtype));
    check_aligned("means" + index, sources[s].mean, sizeof(float));
    check_aligned("inv_stds" + index, sources[s].inv_std, sizeof(float));
  }
}

// The largest divisor of `whole` up to `most` that is a multiple of `unit`; the smallest where none is so small.
int64_t part_of(int64_t whole, int64_t most, int64_t unit = 1) {
  int64_t part = 0;
  for (int64_t candidate = unit; candidate <= whole; candidate += unit) {
    if (whole % candidate == 0 && (part == 0 || candidate <= most)) part = candidate;
  }
  return part;
}

int64_t side_of(const CudaSource& source) { return source.grid * source.view.patch; }

bool right_size(const CudaSource& source) {
  return source.view.height == side_of(source) && source.view.width == side_of(source);
}

// ---- What a share is, by path; false: not by this one ----

bool share_runs(CudaSource& source, int64_t lanes) {
  const SourceView& view = source.view;
  const int64_t run = view.patch * view.channels;
  const int64_t token = view.patch * run * element_size(view.dtype);  // bytes
  if (!right_size(source) || run % lanes != 0 || token > kSharedBytes) return false;
  source.channels = static_cast<int32_t>(view.channels);
  source.span = static_cast<int32_t>(part_of(source.grid, kShareBytes / token));
  source.rows = 1;
  if (source.span == source.grid) {
    source.rows = static_cast<int32_t>(part_of(source.grid, kShareBytes / (token * source.grid)));
  }
  source.runs = static_cast<int32_t>(source.rows * view.patch);
  source.run_length = static_cast<int32_t>(source.span * run);
  source.run_stride = view.height_stride;
  if (view.height_stride == source.run_length) {  // rows without a gap between
    source.run_length *= source.runs;
    source.runs = 1;
  }
  return true;
}

bool share_pixels(CudaSource& source, int64_t lanes) {
  const SourceView& view = source.view;
  const int64_t pixels = view.height * view.width;
  const int64_t pixel_bytes = pixels * element_size(view.dtype);  // of a channel
  const bool dense = view.height == 1 || view.height_stride == view.width * view.channels;
  if (right_size(source) || !dense) return false;
  const int64_t unit = std::max(lanes, kWide / element_size(view.dtype));
  const int64_t channels = part_of(view.channels, kShareBytes / pixel_bytes, unit);
  if (channels == 0 || channels * pixel_bytes > kSharedBytes) return false;
  source.channels = static_cast<int32_t>(channels);
  source.rows = source.span = source.grid;
  const bool whole = channels == view.channels;
  source.runs = static_cast<int32_t>(whole ? 1 : pixels);
  source.run_length = static_cast<int32_t>(whole ? pixels * channels : channels);
  source.run_stride = view.channels;
  return true;
}

bool share_planes(CudaSource& source) {
  const SourceView& view = source.view;
  const int64_t plane = view.height * view.width;
  const int64_t plane_bytes = plane * element_size(view.dtype);
  if (view.width_stride != 1 || view.height_stride != view.width || view.channel_stride != plane) return false;
  const int64_t channels = part_of(view.channels, kShareBytes / plane_bytes, kPlaneChannels);
  int64_t rows = source.grid;
  int64_t bytes = channels * plane_bytes;
  if (bytes > kShareBytes && right_size(source)) {  // a band of them, then
    rows = part_of(source.grid, kShareBytes * source.grid / bytes);
    bytes = bytes / source.grid * rows;
  }
  if (channels == 0 || bytes > kSharedBytes) return false;
  source.channels = static_cast<int32_t>(channels);
  source.rows = static_cast<int32_t>(rows);
  source.span = source.grid;
  const bool whole = rows == source.grid;
  source.runs = whole ? 1 : source.channels;
  source.run_length = static_cast<int32_t>(whole ? channels * plane : rows * view.patch * view.width);
  source.run_stride = plane;
  return true;
}

// ---- What holds for each ----

// Whether each run of each share starts and ends on the grid of sixteen bytes.
bool runs_on_grid(const CudaSource& source) {
  const SourceView& view = source.view;
  const int64_t size = element_size(view.dtype);
  const auto step = [&](bool taken, int64_t elements) { return !taken || elements * size % kWide == 0; };
  return on_grid(view.data, kWide) && step(true, source.run_length) && step(source.runs > 1, source.run_stride) &&
         step(view.batch > 1, view.batch_stride) &&
         step(source.rows < source.grid, source.rows * view.patch * view.height_stride) &&
         step(source.span < source.grid, source.span * view.patch * view.width_stride) &&
         step(source.channels < view.channels, source.channels * view.channel_stride);
}

// An image's three statistics are read one by one, all others sixteen bytes at a time.
bool statistics_on_grid(const CudaSource& source) {
  const bool packed =
      source.channels % 4 == 0 && on_grid(source.view.mean, kWide) && on_grid(source.view.inv_std, kWide);
  return source.view.dtype == DType::kUInt8 || packed;
}

int64_t most_taps(const CudaSource& source) {
  if (right_size(source)) return 0;
  const int64_t side = side_of(source);
  int64_t most = 1;
  for (int64_t i = 0; i < side; ++i) {
    most = std::max(most, resample_span(i, source.view.height, side).count);
    most = std::max(most, resample_span(i, source.view.width, side).count);
  }
  return most;
}

int64_t shares_of_image(const CudaSource& source) {
  return (source.grid / source.rows) * int64_t{source.grid / source.span} * (source.view.channels / source.channels);
}

int64_t share_bytes(const CudaSource& source) {
  const int64_t pixels = int64_t{source.runs} * source.run_length * element_size(source.view.dtype);
  const int64_t statistics = (2 * int64_t{source.channels} * 4 + kWide - 1) / kWide * kWide;
  const int64_t side = source.taps > 0 ? side_of(source) : 0;
  return pixels + statistics + 2 * side * (8 + 4 * source.taps);  // kernel: shared memory's parts
}

int64_t block_count(const CudaSource& source) {
  const int64_t share = source.path == CudaPath::kSingle ? source.threads * kTurns : 1;
  return std::min((source.shares + share - 1) / share, kBlocks);
}

// As many slots as fit, so long as every thread has its turns and hardly one is idle: in the last turn, or for want of
// threads in the last warp.
void set_threads(CudaSource& source, int64_t lanes) {
  constexpr int32_t kWarp = 32;
  source.columns = static_cast<int32_t>(source.channels * source.view.patch * source.view.patch / lanes);
  const int32_t rounds = (source.columns + kCudaThreads - 1) / kCudaThreads;
  source.owners = (source.columns + rounds - 1) / rounds;
  if (source.path == CudaPath::kPlanes) source.owners += source.owners % 2;  // in pairs
  const int32_t tokens = source.rows * source.span;
  source.slots = 1;
  for (int32_t slots = 2; slots * source.owners <= kCudaThreads && slots * kTurns <= tokens; ++slots) {
    const int32_t turns = (tokens + slots - 1) / slots;
    const int32_t held = (slots * source.owners + kWarp - 1) / kWarp * kWarp;
    if (10 * tokens * source.owners >= 9 * turns * held) source.slots = slots;
  }
  source.threads = source.owners * source.slots;
}

bool share_out(CudaSource& source, int64_t column, DType out_dtype) {
  const SourceView& view = source.view;
  const int64_t lanes = kWide / element_size(out_dtype);
  const bool out_on_grid = on_grid(source.out, kWide) && source.token_stride % lanes == 0 && column % lanes == 0;
  if (view.reduce_mean || !out_on_grid || view.channels > kMostCounted / (view.patch * view.patch)) return false;
  const bool channels_last = view.channel_stride == 1 && (view.width == 1 || view.width_stride == view.channels);
  if (channels_last && share_runs(source, lanes)) {
    source.path = CudaPath::kRuns;
  } else if (channels_last && view.dtype != DType::kUInt8 && share_pixels(source, lanes)) {
    source.path = CudaPath::kPixels;
  } else if (view.dtype != DType::kUInt8 && share_planes(source)) {
    source.path = CudaPath::kPlanes;
  } else {
    return false;
  }
  if (!runs_on_grid(source) || !statistics_on_grid(source)) return false;
  if (!right_size(source) && side_of(source) > kMostSide) return false;
  if (shares_of_image(source) > kMostCounted) return false;
  source.taps = static_cast<int32_t>(most_taps(source));
  if (share_bytes(source) > kSharedBytes) return false;
  source.shared_bytes = static_cast<int32_t>(share_bytes(source));
  set_threads(source, lanes);
  source.shares = view.batch * shares_of_image(source);
  return true;
}

}  // namespace

void plan_cuda_tokens(const SourceView* sources, int64_t source_count, int64_t grid, void* out, DType out_dtype,
                      CudaSource* plan) {
  check_tokens(sources, source_count, grid, out_dtype);
  check_addresses(sources, source_count, out, out_dtype);
  const int64_t width = token_width(sources, source_count);
  int64_t column = 0;
  for (int64_t s = 0; s < source_count; ++s) {
    CudaSource source{};
    source.view = sources[s];
    source.grid = static_cast<int32_t>(grid);
    source.out = static_cast<char*>(out) + column * element_size(out_dtype);
    source.token_stride = width;
    const int64_t size = (sources[s].reduce_mean ? 1 : sources[s].channels) * sources[s].patch * sources[s].patch;
    plan[s] = source;
    if (!share_out(plan[s], column, out_dtype)) {
      plan[s] = source;
      plan[s].path = CudaPath::kSingle;
      plan[s].threads = kCudaThreads;
      plan[s].shares = sources[s].batch * grid * grid * size;
    }
    plan[s].blocks = static_cast<int32_t>(block_count(plan[s]));
    column += size;
  }
}

}  // namespace fer_fast

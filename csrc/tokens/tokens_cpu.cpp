// The CPU twin's kernel: a plan comes in, token rows go out. Compiled once an instruction set, as FER_FAST_CPU_LEVEL_NAME.
//
// No standard library beyond memcpy: an inline std function compiled here with AVX-512 could be the copy that the linker keeps.
#include "tokens_math.h"
#include "tokens_plan.h"

namespace fer_fast {
namespace {

// Channels-last pixels: row y starts at data + (y - first_row) * row_stride.
template <typename In>
struct Rows {
  const In* data;
  int64_t first_row;
  int64_t row_stride;

  const In* row(int64_t y) const { return data + (y - first_row) * row_stride; }
};

template <typename Out>
Out* patch_row(const TokensPlan& plan, const SourcePlan& source, int64_t b, int64_t y) {
  const int64_t patch = source.view.patch;
  const int64_t token = (b * plan.grid + y / patch) * plan.grid;
  return static_cast<Out*>(plan.out) + token * plan.width + source.column + (y % patch) * patch * source.channels;
}

template <typename In, typename Out>
void normalise_run(const In* __restrict in, const float* __restrict mean, const float* __restrict inv_std,
                   Out* __restrict out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) from_float(normalise(to_float(in[i]), mean[i], inv_std[i]), &out[i]);
}

// The right size already: a patch's row is patch * channels neighbours on both sides.
template <typename In, typename Out>
void copy_row(const TokensPlan& plan, const SourcePlan& source, const In* in, Out* out) {
  const int64_t run = source.view.patch * source.channels;
  for (int64_t token = 0; token < plan.grid; ++token) {
    normalise_run(in + token * run, source.mean_run, source.inv_std_run, out + token * plan.width, run);
  }
}

// out = sum over taps of weight * row; [count] floats.
template <typename In>
void blend(const In* __restrict in, int64_t stride, const Taps& taps, float* __restrict out, int64_t count) {
  const float first = taps.weights[0];
  if (taps.count == 2) {  // every enlargement: one pass instead of two over `out`
    const float second = taps.weights[1];
    for (int64_t i = 0; i < count; ++i) out[i] = first * to_float(in[i]) + second * to_float(in[stride + i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i) out[i] = first * to_float(in[i]);
  for (int64_t tap = 1; tap < taps.count; ++tap) {
    const float weight = taps.weights[tap];
    const In* __restrict row = in + tap * stride;
    for (int64_t i = 0; i < count; ++i) out[i] += weight * to_float(row[i]);
  }
}

// Rows first, then columns: each runs over neighbouring channels, whatever the source's width.
template <typename In, typename Out>
void resample_row(const TokensPlan& plan, const SourcePlan& source, const Rows<In>& rows, int64_t y, float* scratch, Out* out) {
  const int64_t channels = source.channels;
  const int64_t patch = source.view.patch;
  const Taps& vertical = source.vertical[y];
  float* row = scratch;                                   // [width, channels]
  float* pixel = scratch + source.view.width * channels;  // [channels]
  blend(rows.row(vertical.first), rows.row_stride, vertical, row, source.view.width * channels);
  for (int64_t x = 0; x < source.side; ++x) {
    const Taps& horizontal = source.horizontal[x];
    blend(row + horizontal.first * channels, channels, horizontal, pixel, channels);
    Out* run = out + (x / patch) * plan.width + (x % patch) * channels;
    normalise_run(pixel, source.mean_run, source.inv_std_run, run, channels);
  }
}

template <typename In, typename Out>
void write_rows(const TokensPlan& plan, const SourcePlan& source, const Rows<In>& rows, int64_t b, int64_t begin, int64_t end,
                float* scratch) {
  for (int64_t y = begin; y < end; ++y) {
    Out* out = patch_row<Out>(plan, source, b, y);
    if (source.resized) {
      resample_row<In, Out>(plan, source, rows, y, scratch, out);
    } else {
      copy_row<In, Out>(plan, source, rows.row(y), out);
    }
  }
}

template <typename In>
void write_rows_as(const TokensPlan& plan, const SourcePlan& source, const Rows<In>& rows, int64_t b, int64_t begin,
                   int64_t end, float* scratch) {
  switch (plan.out_dtype) {
    case DType::kFloat16:
      return write_rows<In, Half>(plan, source, rows, b, begin, end, scratch);
    case DType::kBFloat16:
      return write_rows<In, BFloat16>(plan, source, rows, b, begin, end, scratch);
    default:
      return write_rows<In, float>(plan, source, rows, b, begin, end, scratch);
  }
}

// Any strides -> [pixels, channels] floats, in tiles so that both sides stay within a few cache lines.
template <typename In>
void stage_pixels(const In* in, int64_t pixels, int64_t pixel_stride, int64_t channels, int64_t channel_stride, float* out) {
  constexpr int64_t kTile = 16;
  for (int64_t c0 = 0; c0 < channels; c0 += kTile) {
    const int64_t c1 = c0 + kTile < channels ? c0 + kTile : channels;
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = c0; c < c1; ++c) out[p * channels + c] = to_float(in[p * pixel_stride + c * channel_stride]);
    }
  }
}

template <typename In>
void stage_means(const In* in, int64_t pixels, int64_t pixel_stride, int64_t channels, int64_t channel_stride, float* out) {
  for (int64_t p = 0; p < pixels; ++p) out[p] = channel_mean(in + p * pixel_stride, channels, channel_stride);
}

// Input rows [begin, end) -> fp32 [rows, width, channels of the tokens].
template <typename In>
void stage_rows(const SourcePlan& source, const In* image, int64_t begin, int64_t end, float* out) {
  const SourceView& view = source.view;
  const auto stage = view.reduce_mean ? stage_means<In> : stage_pixels<In>;
  const In* in = image + begin * view.height_stride;
  if (view.height_stride == view.width * view.width_stride) {  // one long row of pixels: fewer odd ends
    return stage(in, (end - begin) * view.width, view.width_stride, view.channels, view.channel_stride, out);
  }
  for (int64_t y = begin; y < end; ++y) {
    stage(in, view.width, view.width_stride, view.channels, view.channel_stride, out);
    in += view.height_stride;
    out += view.width * source.channels;
  }
}

// Output rows [begin, end) in chunks whose input rows fit the scratch; one output row always does.
template <typename In>
void write_staged(const TokensPlan& plan, const SourcePlan& source, const In* image, int64_t b, int64_t begin, int64_t end,
                  float* scratch) {
  const int64_t row_floats = source.view.width * source.channels;
  float* staged = scratch + plan.row_capacity;
  while (begin < end) {
    const int64_t first_row = source.vertical[begin].first;
    int64_t stop = begin;
    int64_t last_row = first_row;
    while (stop < end) {
      const int64_t needed = source.vertical[stop].first + source.vertical[stop].count;
      if (stop > begin && (needed - first_row) * row_floats > source.stage_capacity) break;
      last_row = needed;
      ++stop;
    }
    stage_rows<In>(source, image, first_row, last_row, staged);
    write_rows_as<float>(plan, source, Rows<float>{staged, first_row, row_floats}, b, begin, stop, scratch);
    begin = stop;
  }
}

template <typename In>
void write_source(const TokensPlan& plan, const SourcePlan& source, int64_t b, int64_t begin, int64_t end, float* scratch) {
  const In* image = static_cast<const In*>(source.view.data) + b * source.view.batch_stride;
  if (source.staged) return write_staged<In>(plan, source, image, b, begin, end, scratch);
  write_rows_as<In>(plan, source, Rows<In>{image, 0, source.view.height_stride}, b, begin, end, scratch);
}

void write_source_as(const TokensPlan& plan, const SourcePlan& source, int64_t b, int64_t begin, int64_t end, float* scratch) {
  switch (source.view.dtype) {
    case DType::kFloat32:
      return write_source<float>(plan, source, b, begin, end, scratch);
    case DType::kFloat16:
      return write_source<Half>(plan, source, b, begin, end, scratch);
    case DType::kBFloat16:
      return write_source<BFloat16>(plan, source, b, begin, end, scratch);
    case DType::kUInt8:
      return write_source<uint8_t>(plan, source, b, begin, end, scratch);
  }
}

}  // namespace

namespace FER_FAST_CPU_LEVEL_NAME {

void token_rows(const TokensPlan& plan, int64_t begin, int64_t end, float* scratch) {
  while (begin < end) {
    const int64_t b = begin / plan.grid;
    const int64_t first = begin - b * plan.grid;
    const int64_t rest = plan.grid - first;
    const int64_t rows = rest < end - begin ? rest : end - begin;
    for (int64_t s = 0; s < plan.source_count; ++s) {
      const SourcePlan& source = plan.sources[s];
      write_source_as(plan, source, b, first * source.view.patch, (first + rows) * source.view.patch, scratch);
    }
    begin += rows;
  }
}

}  // namespace FER_FAST_CPU_LEVEL_NAME
}  // namespace fer_fast

// The CPU twin's kernel: a plan comes in, token rows go out. Compiled once an instruction set, as
// FER_FAST_CPU_LEVEL_NAME.
//
// No standard library beyond memcpy: an inline std function compiled here with AVX-512 could be the copy that the
// linker keeps.
#include "tokens_lanes.h"
#include "tokens_plan.h"
#include "tokens_stage.h"

namespace fer_fast {
namespace {

// One source while a token row is written: channels-last rows, element (y, x, c) at data + y * row_stride + x *
// channels + c.
struct SourceRows {
  DType dtype;
  const void* data;
  int64_t row_stride;
  int64_t staged_begin;  // the input rows that the scratch holds of this image
  int64_t staged_end;
};

template <typename In, typename Out>
void normalise_run(const In* __restrict in, const float* __restrict mean, const float* __restrict inv_std,
                   Out* __restrict out, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store_lanes(normalise(load_lanes(in + i), load_lanes(mean + i), load_lanes(inv_std + i)), out + i);
  }
  for (; i < count; ++i) from_float(normalise(to_float(in[i]), mean[i], inv_std[i]), out + i);
}

// The sum over taps of weight * in[tap * stride]. Count is taps.count where it is known: two for every enlargement.
template <int Count, typename In>
FloatLanes blend_lanes(const In* in, int64_t stride, const Taps& taps) {
  const int64_t count = Count > 0 ? Count : taps.count;
  FloatLanes sum = taps.weights[0] * load_lanes(in);
  for (int64_t tap = 1; tap < count; ++tap) sum += taps.weights[tap] * load_lanes(in + tap * stride);
  return sum;
}

template <typename In>
float blend_one(const In* in, int64_t stride, const Taps& taps) {
  float sum = taps.weights[0] * to_float(in[0]);
  for (int64_t tap = 1; tap < taps.count; ++tap) sum += taps.weights[tap] * to_float(in[tap * stride]);
  return sum;
}

// Rows: [count] neighbours of one row, its taps a row apart.
template <int Count, typename In>
void blend_row(const In* __restrict in, int64_t stride, const Taps& taps, float* __restrict out, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store_lanes(blend_lanes<Count>(in + i, stride, taps), out + i);
  for (; i < count; ++i) out[i] = blend_one(in + i, stride, taps);
}

// Columns: the channels of one pixel, its taps a pixel apart; normalised on the way out.
template <int Count, typename Out>
void blend_pixel(const float* __restrict row, const Taps& taps, const SourcePlan& source, Out* __restrict out) {
  const int64_t channels = source.channels;
  const float* __restrict mean = source.mean_run;
  const float* __restrict inv_std = source.inv_std_run;
  const float* in = row + taps.first * channels;
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    const FloatLanes sum = blend_lanes<Count>(in + c, channels, taps);
    store_lanes(normalise(sum, load_lanes(mean + c), load_lanes(inv_std + c)), out + c);
  }
  for (; c < channels; ++c) from_float(normalise(blend_one(in + c, channels, taps), mean[c], inv_std[c]), out + c);
}

// Block (ty, tx) of a source that has the right size: a patch's row is patch * channels neighbours on both sides.
template <typename In, typename Out>
void copy_block(const SourcePlan& source, const SourceRows& rows, int64_t ty, int64_t tx, Out* out) {
  const int64_t run = source.view.patch * source.channels;
  const In* in = static_cast<const In*>(rows.data) + ty * source.view.patch * rows.row_stride + tx * run;
  for (int64_t dy = 0; dy < source.view.patch; ++dy) {
    normalise_run(in + dy * rows.row_stride, source.mean_run, source.inv_std_run, out + dy * run, run);
  }
}

template <typename Out>
void resize_block(const SourcePlan& source, const float* blended, int64_t tx, Out* out) {
  const int64_t patch = source.view.patch;
  for (int64_t dy = 0; dy < patch; ++dy) {
    const float* row = blended + dy * source.view.width * source.channels;
    for (int64_t dx = 0; dx < patch; ++dx) {
      const Taps& taps = source.horizontal[tx * patch + dx];
      Out* pixel = out + (dy * patch + dx) * source.channels;
      taps.count == 2 ? blend_pixel<2>(row, taps, source, pixel) : blend_pixel<0>(row, taps, source, pixel);
    }
  }
}

template <typename Out>
void write_block(const SourcePlan& source, const SourceRows& rows, const float* scratch, int64_t ty, int64_t tx,
                 Out* out) {
  if (source.resized) return resize_block(source, scratch + source.blend_offset, tx, out);
  switch (rows.dtype) {
    case DType::kFloat32:
      return copy_block<float>(source, rows, ty, tx, out);
    case DType::kFloat16:
      return copy_block<Half>(source, rows, ty, tx, out);
    case DType::kBFloat16:
      return copy_block<BFloat16>(source, rows, ty, tx, out);
    case DType::kUInt8:
      return copy_block<uint8_t>(source, rows, ty, tx, out);
  }
}

// Rows of the output's height, of the input's width, [patch, width, channels]: columns follow a token at a time.
template <typename In>
void blend_rows(const SourcePlan& source, const SourceRows& rows, int64_t ty, float* blended) {
  const int64_t row_floats = source.view.width * source.channels;
  for (int64_t dy = 0; dy < source.view.patch; ++dy) {
    const Taps& taps = source.vertical[ty * source.view.patch + dy];
    const In* in = static_cast<const In*>(rows.data) + taps.first * rows.row_stride;
    float* row = blended + dy * row_floats;
    taps.count == 2 ? blend_row<2>(in, rows.row_stride, taps, row, row_floats)
                    : blend_row<0>(in, rows.row_stride, taps, row, row_floats);
  }
}

// Brings input rows [begin, end) into the scratch, and as many of the following as fit before `limit`.
template <typename In>
void stage(const SourcePlan& source, int64_t b, int64_t begin, int64_t limit, float* scratch, SourceRows& rows) {
  const int64_t stop = begin + source.stage_rows < limit ? begin + source.stage_rows : limit;
  const In* image = static_cast<const In*>(source.view.data) + b * source.view.batch_stride;
  float* staged = scratch + source.stage_offset;
  rows.row_stride = source.view.width * source.channels;
  if (source.view.reduce_mean) {
    for_each_matrix(source.view, image, begin, stop, 1, staged, mean_pixels<In>);
    rows.dtype = DType::kFloat32;
    rows.data = staged - begin * rows.row_stride;
  } else {
    In* transposed = reinterpret_cast<In*>(staged);
    for_each_matrix(source.view, image, begin, stop, source.channels, transposed, transpose_pixels<In>);
    rows.data = transposed - begin * rows.row_stride;
  }
  rows.staged_begin = begin;
  rows.staged_end = stop;
}

// Makes token row `ty` of image `b` readable; token rows up to `last` follow in this call.
template <typename In>
void prepare_rows(const SourcePlan& source, int64_t b, int64_t ty, int64_t last, float* scratch, SourceRows& rows) {
  const int64_t patch = source.view.patch;
  const Taps& final_taps = source.vertical[last * patch - 1];
  const Taps& bottom = source.vertical[(ty + 1) * patch - 1];
  const int64_t begin = source.vertical[ty * patch].first;
  if (source.staged && (begin < rows.staged_begin || bottom.first + bottom.count > rows.staged_end)) {
    stage<In>(source, b, begin, final_taps.first + final_taps.count, scratch, rows);
  }
  if (!source.resized) return;
  if (source.view.reduce_mean) return blend_rows<float>(source, rows, ty, scratch + source.blend_offset);
  blend_rows<In>(source, rows, ty, scratch + source.blend_offset);
}

void prepare(const SourcePlan& source, int64_t b, int64_t ty, int64_t last, float* scratch, SourceRows& rows) {
  switch (source.view.dtype) {
    case DType::kFloat32:
      return prepare_rows<float>(source, b, ty, last, scratch, rows);
    case DType::kFloat16:
      return prepare_rows<Half>(source, b, ty, last, scratch, rows);
    case DType::kBFloat16:
      return prepare_rows<BFloat16>(source, b, ty, last, scratch, rows);
    case DType::kUInt8:
      return prepare_rows<uint8_t>(source, b, ty, last, scratch, rows);
  }
}

int64_t byte_size(DType dtype) { return dtype == DType::kFloat32 ? 4 : dtype == DType::kUInt8 ? 1 : 2; }

SourceRows image_rows(const SourcePlan& source, int64_t b) {
  const SourceView& view = source.view;
  const char* data = static_cast<const char*>(view.data) + b * view.batch_stride * byte_size(view.dtype);
  return SourceRows{view.dtype, data, view.height_stride, 0, 0};
}

// Asks for this token's share of what the next token row reads. Sixteen image rows at once are more streams than the
// processor's own prefetcher follows.
void prefetch_next(const TokensPlan& plan, const SourcePlan& source, const SourceRows& rows, int64_t b, int64_t ty,
                   int64_t tx) {
  const SourceView& view = source.view;
  if (source.staged || rows.row_stride != view.width * source.channels) return;
  const int64_t size = byte_size(view.dtype);
  const char* data = static_cast<const char*>(rows.data);
  if (++ty == plan.grid) {
    if (b + 1 == view.batch) return;
    data += view.batch_stride * size;
    ty = 0;
  }
  const int64_t first = source.vertical[ty * view.patch].first;
  const int64_t share = view.patch * rows.row_stride * size / plan.grid + 1;
  const char* start = data + first * rows.row_stride * size + tx * share;
  for (int64_t i = 0; i < share; i += 64) __builtin_prefetch(start + i);
}

// Token rows [begin, end) of one image. A token is written whole, from its first byte to its last: a power-of-two K
// would have the runs of neighbouring tokens compete for the same cache sets, half written.
template <typename Out>
void write_image(const TokensPlan& plan, int64_t b, int64_t begin, int64_t end, float* scratch) {
  SourceRows rows[kMaxSources];
  for (int64_t s = 0; s < plan.source_count; ++s) rows[s] = image_rows(plan.sources[s], b);
  Out* out = static_cast<Out*>(plan.out) + (b * plan.grid + begin) * plan.grid * plan.width;
  const bool stream = kStreams && plan.stream;
  Out* near = reinterpret_cast<Out*>(scratch + plan.token_offset);
  for (int64_t ty = begin; ty < end; ++ty) {
    for (int64_t s = 0; s < plan.source_count; ++s) {
      const SourcePlan& source = plan.sources[s];
      const int64_t bytes = source.channels * source.view.patch * source.view.patch * static_cast<int64_t>(sizeof(Out));
      prepare(source, b, ty, end, scratch, rows[s]);
      for (int64_t tx = 0; tx < plan.grid; ++tx) {
        Out* block = out + tx * plan.width + source.column;
        prefetch_next(plan, source, rows[s], b, ty, tx);
        write_block(source, rows[s], scratch, ty, tx, stream ? near : block);
        if (stream) stream_copy(near, block, bytes);
      }
    }
    out += plan.grid * plan.width;
  }
}

}  // namespace

namespace FER_FAST_CPU_LEVEL_NAME {

void token_rows(const TokensPlan& plan, int64_t begin, int64_t end, float* scratch) {
  while (begin < end) {
    const int64_t b = begin / plan.grid;
    const int64_t first = begin - b * plan.grid;
    const int64_t last = plan.grid < first + end - begin ? plan.grid : first + end - begin;
    switch (plan.out_dtype) {
      case DType::kFloat16:
        write_image<Half>(plan, b, first, last, scratch);
        break;
      case DType::kBFloat16:
        write_image<BFloat16>(plan, b, first, last, scratch);
        break;
      default:
        write_image<float>(plan, b, first, last, scratch);
    }
    begin += last - first;
  }
  if (plan.stream) fence_stream();
}

}  // namespace FER_FAST_CPU_LEVEL_NAME
}  // namespace fer_fast

// Where a thread's column of sixteen bytes comes from: a share in shared memory comes in, the column's floats of one
// token after another go out. For tokens_kernel.h.
#pragma once

#include "cuda_source.h"
#include "cuda_words.h"

namespace fer_fast {
namespace {

// A block's shared memory, and its parts in this order; cuda_plan.cpp counts its bytes.
template <typename In>
struct Shared {
  In* pixels;      // [runs, run_length]
  float* mean;     // [channels]
  float* inv_std;  // [channels]
  // Of the rows, then of the columns, where the source is resized:
  int32_t* first;  // [2, side]
  int32_t* count;  // [2, side]
  float* weights;  // [2, side, taps]

  __device__ __forceinline__ Shared(const CudaSource& source, uint4* memory) {
    const int32_t side = source.grid * static_cast<int32_t>(source.view.patch);
    pixels = reinterpret_cast<In*>(memory);
    memory += source.runs * source.run_length / kLanes<In>;
    mean = reinterpret_cast<float*>(memory);
    inv_std = mean + source.channels;
    first = reinterpret_cast<int32_t*>(memory + (2 * source.channels + 3) / 4);
    count = first + 2 * side;
    weights = reinterpret_cast<float*>(count + 2 * side);
  }
};

// What an output pixel of either axis draws on: the same for all channels and images, so once a block.
template <typename In>
__device__ __forceinline__ void stage_taps(const CudaSource& source, const Shared<In>& shared) {
  if (source.taps == 0) return;
  const int32_t side = source.grid * static_cast<int32_t>(source.view.patch);
  FER_FAST_ROLLED
  for (auto i = static_cast<int32_t>(threadIdx.x); i < 2 * side; i += static_cast<int32_t>(blockDim.x)) {
    const bool of_rows = i < side;
    const Span span =
        of_rows ? resample_span(i, source.view.height, side) : resample_span(i - side, source.view.width, side);
    const float total = resample_total(span);
    shared.first[i] = static_cast<int32_t>(span.first);
    shared.count[i] = static_cast<int32_t>(span.count);
    FER_FAST_ROLLED
    for (int32_t tap = 0; tap < span.count; ++tap) {
      shared.weights[i * source.taps + tap] = resample_weight(span, tap) / total;
    }
  }
}

// Lanes of a column: side by side in memory, or `stride` apart.
template <bool kAdjacent, int32_t Lanes, typename In>
__device__ __forceinline__ void read_lanes(const In* from, int32_t stride, float (&values)[Lanes]) {
  if constexpr (kAdjacent) {
    const auto neighbours = *reinterpret_cast<const Neighbours<In, Lanes>*>(from);
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < Lanes; ++lane) values[lane] = to_float(neighbours.numbers[lane]);
  } else {
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < Lanes; ++lane) values[lane] = to_float(from[lane * stride]);
  }
}

template <typename In, int32_t Lanes, CudaPath kPath>
struct Column;

// A piece of a patch's row: the run goes on where the next pixel begins.
template <typename In, int32_t Lanes>
struct Column<In, Lanes, CudaPath::kRuns> {
  int32_t offset;  // in the source's part of a token
  float mean[Lanes];
  float inv_std[Lanes];
  const In* first;     // of the share's first token
  int32_t row_step;    // to the next row of tokens
  int32_t token_step;  // to the next token

  __device__ __forceinline__ Column(const CudaSource& source, const Shared<In>& shared, int32_t /*channel*/,
                                    int32_t within)
      : offset(within) {
    const auto patch = static_cast<int32_t>(source.view.patch);
    token_step = patch * source.channels;
    row_step = patch * source.span * token_step;
    const int32_t dy = within / token_step;
    const int32_t inside = within - dy * token_step;
    first = shared.pixels + dy * source.span * token_step + inside;
    int32_t c = inside % source.channels;
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < Lanes; ++lane) {
      mean[lane] = shared.mean[c];
      inv_std[lane] = shared.inv_std[c];
      c = c + 1 == source.channels ? 0 : c + 1;
    }
  }

  __device__ __forceinline__ void read(int32_t row, int32_t x, float (&values)[Lanes]) const {
    read_lanes<true>(first + row * row_step + x * token_step, 1, values);
  }
};

// Neighbouring channels of one pixel of a patch: side by side in memory (kPixels), or a plane apart (kPlanes).
template <typename In, int32_t Lanes, bool kAdjacent>
struct PixelColumn {
  int32_t offset;  // in the source's part of a token
  float mean[Lanes];
  float inv_std[Lanes];
  const Shared<In>& shared;
  const In* first;  // its first lane, of the share's first pixel
  int32_t patch, side, taps;
  int32_t dy, dx;
  int32_t height_stride, width_stride, lane_stride;

  __device__ __forceinline__ PixelColumn(const CudaSource& source, const Shared<In>& shared, int32_t channel,
                                         int32_t within)
      : shared(shared), patch(static_cast<int32_t>(source.view.patch)), side(source.grid * patch), taps(source.taps) {
    const int32_t pixel = within / source.channels;
    const int32_t c = within - pixel * source.channels;
    dy = pixel / patch;
    dx = pixel - dy * patch;
    offset = pixel * static_cast<int32_t>(source.view.channels) + channel + c;
    lane_stride = kAdjacent ? 1 : source.runs * source.run_length / source.channels;
    width_stride = kAdjacent ? source.channels : 1;
    height_stride = static_cast<int32_t>(source.view.width) * width_stride;
    first = shared.pixels + c * lane_stride;
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < Lanes; ++lane) {
      mean[lane] = shared.mean[c + lane];
      inv_std[lane] = shared.inv_std[c + lane];
    }
  }

  __device__ __forceinline__ void read(int32_t row, int32_t x, float (&values)[Lanes]) const {
    const int32_t pixel_y = row * patch + dy;
    const int32_t pixel_x = x * patch + dx;
    if (kAdjacent || taps > 0) {
      blend(pixel_y, side + pixel_x, values);
    } else {
      read_lanes<kAdjacent>(first + pixel_y * height_stride + pixel_x * width_stride, lane_stride, values);
    }
  }

  // The same sums in the same order as token_element; y and x count into the taps.
  __device__ __forceinline__ void blend(int32_t y, int32_t x, float (&values)[Lanes]) const {
    const In* pixels = first + shared.first[y] * height_stride + shared.first[x] * width_stride;
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < Lanes; ++lane) values[lane] = 0.0f;
    FER_FAST_ROLLED
    for (int32_t i = 0; i < shared.count[x]; ++i) {
      float column[Lanes] = {};
      FER_FAST_ROLLED
      for (int32_t j = 0; j < shared.count[y]; ++j) {
        float read[Lanes];
        read_lanes<kAdjacent>(pixels + j * height_stride + i * width_stride, lane_stride, read);
        const float weight = shared.weights[y * taps + j];
        FER_FAST_UNROLLED
        for (int32_t lane = 0; lane < Lanes; ++lane) column[lane] += weight * read[lane];
      }
      const float weight = shared.weights[x * taps + i];
      FER_FAST_UNROLLED
      for (int32_t lane = 0; lane < Lanes; ++lane) values[lane] += weight * column[lane];
    }
  }
};

template <typename In, int32_t Lanes>
struct Column<In, Lanes, CudaPath::kPixels> : PixelColumn<In, Lanes, true> {
  using PixelColumn<In, Lanes, true>::PixelColumn;
};

template <typename In, int32_t Lanes>
struct Column<In, Lanes, CudaPath::kPlanes> : PixelColumn<In, Lanes, false> {
  using PixelColumn<In, Lanes, false>::PixelColumn;
};

}  // namespace
}  // namespace fer_fast

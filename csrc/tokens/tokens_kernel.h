// The CUDA twin's kernel: one source comes in, its columns of all tokens go out. A block brings a share of the source
// to shared memory, then each thread owns a column of sixteen bytes and writes it token after token.
//
// CUDA's keywords and intrinsics aside it is plain C++, so that the tests run this very body on the host.
#pragma once

#include "cuda_columns.h"
#include "cuda_source.h"
#include "cuda_words.h"

namespace fer_fast {
namespace {

// Loads of a thread that are on their way before the first is waited for.
constexpr int32_t kInFlight = 4;

// Where a share is.
struct SharePlace {
  int64_t b;
  int32_t ty;  // its first token
  int32_t tx;
  int32_t channel;  // its first
};

__device__ __forceinline__ SharePlace place_of(const CudaSource& source, int64_t share) {
  const auto chunks = static_cast<int32_t>(source.view.channels / source.channels);
  const int32_t spans = source.grid / source.span;
  const int32_t bands = source.grid / source.rows;
  const int64_t image = share / (chunks * spans * bands);
  const auto rest = static_cast<int32_t>(share - image * (chunks * spans * bands));
  return {image, rest / chunks / spans * source.rows, rest / chunks % spans * source.span,
          rest % chunks * source.channels};
}

// Whatever is read by __ldg is written by nobody while the kernel runs.
template <typename In>
__device__ __forceinline__ void stage_pixels(const CudaSource& source, const SharePlace& place, In* to) {
  const SourceView& view = source.view;
  const In* first = static_cast<const In*>(view.data) + place.b * view.batch_stride +
                    place.channel * view.channel_stride + place.ty * view.patch * view.height_stride +
                    place.tx * view.patch * view.width_stride;
  const auto* const from = reinterpret_cast<const uint4*>(first);
  const int64_t stride = source.run_stride / kLanes<In>;
  const int32_t length = source.run_length / kLanes<In>;
  const int32_t all = source.runs * length;
  const auto step = static_cast<int32_t>(blockDim.x);
  FER_FAST_ROLLED
  for (auto i = static_cast<int32_t>(threadIdx.x); i < all; i += kInFlight * step) {
    uint4 words[kInFlight];
    FER_FAST_UNROLLED
    for (int32_t k = 0; k < kInFlight; ++k) {
      const int32_t word = i + k * step;
      const int32_t run = word / length;
      if (word < all) words[k] = __ldg(from + run * stride + (word - run * length));
    }
    FER_FAST_UNROLLED
    for (int32_t k = 0; k < kInFlight; ++k) {
      const int32_t word = i + k * step;
      if (word < all) reinterpret_cast<uint4*>(to)[word] = words[k];
    }
  }
}

template <typename In>
__device__ __forceinline__ void stage_statistics(const CudaSource& source, const SharePlace& place, float* mean,
                                                 float* inv_std) {
  const float* means = source.view.mean + place.channel;
  const float* inv_stds = source.view.inv_std + place.channel;
  const auto first = static_cast<int32_t>(threadIdx.x);
  const auto step = static_cast<int32_t>(blockDim.x);
  if constexpr (sizeof(In) == 1) {  // an image's three: twelve bytes are no sixteen
    FER_FAST_ROLLED
    for (int32_t c = first; c < source.channels; c += step) {
      mean[c] = __ldg(means + c);
      inv_std[c] = __ldg(inv_stds + c);
    }
  } else {
    FER_FAST_ROLLED
    for (int32_t i = first; i < source.channels / 4; i += step) {
      reinterpret_cast<uint4*>(mean)[i] = __ldg(reinterpret_cast<const uint4*>(means) + i);
      reinterpret_cast<uint4*>(inv_std)[i] = __ldg(reinterpret_cast<const uint4*>(inv_stds) + i);
    }
  }
}

// A share's tokens, from shared memory. They are neighbours: one row's, or whole rows'.
template <typename In, typename Out, CudaPath kPath>
__device__ __forceinline__ void write_share(const CudaSource& source, const SharePlace& place,
                                            const Shared<In>& shared) {
  constexpr int32_t kOut = kLanes<Out>;
  const auto thread = static_cast<int32_t>(threadIdx.x);
  int32_t owner = thread % source.owners;
  int32_t slot = thread / source.owners;
  if (kPath == CudaPath::kPlanes) {  // pairs of columns, then tokens side by side: shared memory is read side by side
    slot = thread / 2 % source.slots;
    owner = thread / 2 / source.slots * 2 + thread % 2;
  }
  const int64_t first_token = (place.b * source.grid + place.ty) * source.grid + place.tx;
  FER_FAST_ROLLED
  for (int32_t i = owner; i < source.columns; i += source.owners) {
    const Column<In, kOut, kPath> column(source, shared, place.channel, i * kOut);
    int32_t row = slot / source.span;  // of tokens, in the share
    int32_t x = slot % source.span;
    Out* out = static_cast<Out*>(source.out) + (first_token + slot) * source.token_stride + column.offset;
    FER_FAST_ROLLED
    while (row < source.rows) {
      float values[kOut];
      column.read(row, x, values);
      FER_FAST_UNROLLED
      for (int32_t lane = 0; lane < kOut; ++lane) {
        values[lane] = normalise(values[lane], column.mean[lane], column.inv_std[lane]);
      }
      store(values, out);
      out += source.slots * source.token_stride;
      for (x += source.slots; x >= source.span; x -= source.span) ++row;
    }
  }
}

template <typename In, typename Out>
__device__ __forceinline__ void write_elements(const CudaSource& source) {
  const SourceView& view = source.view;
  const int64_t channels = view.reduce_mean ? 1 : view.channels;
  const int64_t size = channels * view.patch * view.patch;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < source.shares; i += step) {
    const int64_t token = i / size;
    const int64_t within = i - token * size;
    const int64_t pixel = within / channels;
    const int64_t row = token / source.grid;  // of all images' rows of tokens
    const float value = token_element<In>(
        view, source.grid * view.patch, row / source.grid, row % source.grid * view.patch + pixel / view.patch,
        (token - row * source.grid) * view.patch + pixel % view.patch, within - pixel * channels);
    from_float(value, static_cast<Out*>(source.out) + token * source.token_stride + within);
  }
}

// A block takes one share after another.
template <typename In, typename Out, CudaPath kPath>
__device__ __forceinline__ void take_shares(const CudaSource& source) {
  if constexpr (kPath == CudaPath::kSingle) {
    write_elements<In, Out>(source);
  } else {
    for (int64_t share = blockIdx.x; share < source.shares; share += gridDim.x) {
      const SharePlace place = place_of(source, share);
      const Shared<In> shared(source, cuda_shared);
      stage_pixels(source, place, shared.pixels);
      stage_statistics<In>(source, place, shared.mean, shared.inv_std);
      if (kPath != CudaPath::kRuns) stage_taps(source, shared);
      __syncthreads();
      write_share<In, Out, kPath>(source, place, shared);
      __syncthreads();  // before the next share overwrites what is shared
    }
  }
}

// By nvcc; NVRTC is given entries of plain names, by cuda_program.
template <typename In, typename Out, CudaPath kPath>
__global__ void __launch_bounds__(kCudaThreads, kCudaBlocks) token_kernel(const CudaSource source) {
  take_shares<In, Out, kPath>(source);
}

}  // namespace
}  // namespace fer_fast

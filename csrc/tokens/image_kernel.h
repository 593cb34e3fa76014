// The image kernel: uint8 images come in, what a network's first convolution reads goes out, normalised, in its dtype
// and in its memory order. A block brings some pixels to shared memory, then its threads write sixteen bytes each.
//
// As tokens_kernel.h, plain C++ but for CUDA's keywords and intrinsics, so that the tests run it on the host.
#pragma once

#include "cuda_image.h"
#include "cuda_words.h"

namespace fer_fast {
namespace {

// A block's shared memory.
struct ImageShare {
  uint8_t* pixels;    // [count, 3]
  float* statistics;  // the means, then the inverse deviations
  int64_t first;      // of all images' pixels
  int32_t count;

  __device__ __forceinline__ ImageShare(const CudaImage& image, int64_t share, uint4* memory) {
    pixels = reinterpret_cast<uint8_t*>(memory);
    statistics = reinterpret_cast<float*>(memory + kImageShare * 3 / kLanes<uint8_t>);
    first = share * kImageShare;
    const int64_t left = image.pixels - first;
    count = left < kImageShare ? static_cast<int32_t>(left) : kImageShare;
  }

  __device__ __forceinline__ void stage(const ImageView& view) const {
    const auto* const from = reinterpret_cast<const uint4*>(view.pixels + first * 3);
    const auto thread = static_cast<int32_t>(threadIdx.x);
    if (thread < count * 3 / kLanes<uint8_t>) reinterpret_cast<uint4*>(pixels)[thread] = __ldg(from + thread);
    if (thread < 6) statistics[thread] = __ldg(thread < 3 ? view.mean + thread : view.inv_std + thread - 3);
  }
};

// The pixels of a word of `Lanes` elements, channels last; 0 where there is no such channel.
template <int32_t kChannels, int32_t Lanes>
__device__ __forceinline__ void read_word(const uint8_t* pixels, int32_t word, float (&values)[Lanes]) {
  if constexpr (kChannels == 3) {
    const auto bytes = reinterpret_cast<const Neighbours<uint8_t, Lanes>*>(pixels)[word];
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < Lanes; ++lane) values[lane] = to_float(bytes.numbers[lane]);
  } else {
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < Lanes; ++lane) {
      const int32_t element = word * Lanes + lane;
      const int32_t c = element % kChannels;
      values[lane] = c < 3 ? to_float(pixels[element / kChannels * 3 + c]) : 0.0f;
    }
  }
}

// Channels last: a word is some elements of the whole, one after the other.
template <typename Out, int32_t kChannels>
__device__ __forceinline__ void write_pixels(const ImageView& view, const ImageShare& share) {
  constexpr int32_t kOut = kLanes<Out>;
  const auto thread = static_cast<int32_t>(threadIdx.x);
  float mean[kOut], inv_std[kOut];  // a thread's words all begin at the same channel: image_plan.cpp sees to that
  FER_FAST_UNROLLED
  for (int32_t lane = 0; lane < kOut; ++lane) {
    const int32_t c = (thread * kOut + lane) % kChannels;
    mean[lane] = c < 3 ? share.statistics[c] : 0.0f;
    inv_std[lane] = c < 3 ? share.statistics[3 + c] : 0.0f;
  }
  Out* const out = static_cast<Out*>(view.out) + share.first * kChannels;
  const int32_t words = share.count * kChannels / kOut;
  FER_FAST_ROLLED
  for (int32_t word = thread; word < words; word += static_cast<int32_t>(blockDim.x)) {
    float values[kOut];
    read_word<kChannels>(share.pixels, word, values);
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < kOut; ++lane) values[lane] = normalise(values[lane], mean[lane], inv_std[lane]);
    store(values, out + word * kOut);
  }
}

// One channel after the other: a word is neighbours of one channel, and of one image, whose pixels are whole words.
template <typename Out>
__device__ __forceinline__ void write_planes(const CudaImage& image, const ImageShare& share) {
  constexpr int32_t kOut = kLanes<Out>;
  const int32_t words = share.count / kOut;  // of a channel
  FER_FAST_ROLLED
  for (auto word = static_cast<int32_t>(threadIdx.x); word < 3 * words; word += static_cast<int32_t>(blockDim.x)) {
    const int32_t c = word / words;
    const int32_t pixel = (word - c * words) * kOut;
    const float mean = share.statistics[c];
    const float inv_std = share.statistics[3 + c];
    float values[kOut];
    FER_FAST_UNROLLED
    for (int32_t lane = 0; lane < kOut; ++lane) {
      values[lane] = normalise(to_float(share.pixels[(pixel + lane) * 3 + c]), mean, inv_std);
    }
    const int64_t b = (share.first + pixel) / image.plane;
    store(values, static_cast<Out*>(image.view.out) + (2 * b + c) * image.plane + share.first + pixel);
  }
}

template <typename Out>
__device__ __forceinline__ void write_image_elements(const CudaImage& image) {
  const ImageView& view = image.view;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < image.pixels * view.channels; i += step) {
    int64_t pixel = i / view.channels;
    int64_t c = i - pixel * view.channels;
    if (view.planes) {
      const int64_t plane = i / image.plane;  // of all images' channels
      c = plane % 3;
      pixel = i - (plane - plane / 3) * image.plane;
    }
    const float value = c < 3 ? normalise(to_float(view.pixels[pixel * 3 + c]), view.mean[c], view.inv_std[c]) : 0.0f;
    from_float(value, static_cast<Out*>(view.out) + i);
  }
}

// A block takes one share after another.
template <typename Out, ImagePath kPath>
__device__ __forceinline__ void take_pixels(const CudaImage& image) {
  if constexpr (kPath == ImagePath::kSingle) {
    write_image_elements<Out>(image);
  } else {
    const int64_t shares = (image.pixels + kImageShare - 1) / kImageShare;
    for (int64_t i = blockIdx.x; i < shares; i += gridDim.x) {
      const ImageShare share(image, i, cuda_shared);
      share.stage(image.view);
      __syncthreads();
      if constexpr (kPath == ImagePath::kPlanes) {
        write_planes<Out>(image, share);
      } else {
        write_pixels<Out, kPath == ImagePath::kThree ? 3 : kPath == ImagePath::kFour ? 4 : 8>(image.view, share);
      }
      __syncthreads();  // before the next share overwrites what is shared
    }
  }
}

// By nvcc; NVRTC is given entries of plain names, by cuda_program.
template <typename Out, ImagePath kPath>
__global__ void __launch_bounds__(kImageThreads, kImageBlocks) image_kernel(const CudaImage image) {
  take_pixels<Out, kPath>(image);
}

}  // namespace
}  // namespace fer_fast

// Brings input rows of any strides to channels-last rows in the scratch: transposed, or reduced to their mean. For
// tokens_cpu.cpp.
#pragma once

#include "tokens_lanes.h"

namespace fer_fast {
namespace {

// Neighbouring rows of a source as one matrix: element (p, c) at data[p * pixel_stride + c * channel_stride].
template <typename In>
struct Pixels {
  const In* data;
  int64_t count;
  int64_t pixel_stride;
  int64_t channels;
  int64_t channel_stride;
};

template <typename In>
void gather(const Pixels<In>& in, int64_t p0, int64_t p1, int64_t c0, int64_t c1, In* out) {
  for (int64_t p = p0; p < p1; ++p) {
    for (int64_t c = c0; c < c1; ++c) {
      out[p * in.channels + c] = in.data[p * in.pixel_stride + c * in.channel_stride];
    }
  }
}

// -> [count, channels]. Planes of pixels (NCHW) go in 8 x 8 blocks, anything else element by element.
template <typename In>
void transpose_pixels(const Pixels<In>& in, In* out) {
  constexpr int64_t kLine =
      64 / sizeof(In);  // channels that fill a cache line: written once, not eight channels at a time
  int64_t whole_pixels = 0;
  int64_t whole_channels = 0;
  if constexpr (sizeof(In) > 1) {
    if (in.pixel_stride == 1) {
      whole_pixels = in.count / 8 * 8;
      whole_channels = in.channels / kLine * kLine;
    }
    for (int64_t c = 0; c < whole_channels; c += kLine) {
      for (int64_t p = 0; p < whole_pixels; p += 8) {
        for (int64_t i = c; i < c + kLine; i += 8) {
          const In* block = in.data + i * in.channel_stride + p;
          transpose_block(block, in.channel_stride, out + p * in.channels + i, in.channels);
        }
      }
      gather(in, whole_pixels, in.count, c, c + kLine, out);
    }
  }
  gather(in, 0, in.count, whole_channels, in.channels, out);
}

// Sixteen partial sums, whatever the register, so that every instruction set gives the same bits.
template <typename In>
float channels_last_mean(const In* pixel, int64_t channels) {
  constexpr int kSums = 16 / kLanes;
  FloatLanes sums[kSums] = {};
  int64_t c = 0;
  for (; c + 16 <= channels; c += 16) {
    for (int i = 0; i < kSums; ++i) sums[i] += load_lanes(pixel + c + i * kLanes);
  }
  float sum = 0.0f;
  for (int i = 0; i < 16; ++i) sum += sums[i / kLanes][i % kLanes];
  for (; c < channels; ++c) sum += to_float(pixel[c]);
  return sum / static_cast<float>(channels);
}

// -> [count], the mean over channels. Planes go a register of pixels at a time.
template <typename In>
void mean_pixels(const Pixels<In>& in, float* out) {
  int64_t p = 0;
  if (in.pixel_stride == 1) {
    for (; p + kLanes <= in.count; p += kLanes) {
      FloatLanes sum = {};
      for (int64_t c = 0; c < in.channels; ++c) sum += load_lanes(in.data + c * in.channel_stride + p);
      store_lanes(sum / static_cast<float>(in.channels), out + p);
    }
  }
  for (; p < in.count; ++p) {
    const In* pixel = in.data + p * in.pixel_stride;
    out[p] = in.channel_stride == 1 ? channels_last_mean(pixel, in.channels)
                                    : channel_mean(pixel, in.channels, in.channel_stride);
  }
}

// Input rows [begin, end) of an image: one matrix where the rows follow each other, so that blocks have fewer odd ends.
template <typename In, typename Out, typename Body>
void for_each_matrix(const SourceView& view, const In* image, int64_t begin, int64_t end, int64_t out_channels,
                     Out* out, const Body& body) {
  const bool joined = view.height_stride == view.width * view.width_stride;
  const int64_t step = joined ? end - begin : 1;
  for (int64_t y = begin; y < end; y += step) {
    const In* data = image + y * view.height_stride;
    body(Pixels<In>{data, step * view.width, view.width_stride, view.channels, view.channel_stride}, out);
    out += step * view.width * out_channels;
  }
}

}  // namespace
}  // namespace fer_fast

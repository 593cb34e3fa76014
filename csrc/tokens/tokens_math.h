// One output element of the fused op: the only arithmetic, shared by the CPU and the CUDA twin.
//
// Everything here has internal linkage. The CPU kernel is compiled once an instruction set; were these functions
// `inline`, the linker would keep one copy of each, perhaps the AVX-512 one, and run it on a processor without.
#pragma once

#include <cstdint>
#include <cstring>

#include "fer_fast/tokens.h"

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define FER_FAST_HOST_DEVICE __host__ __device__ __forceinline__
// Loops over taps and channels: unrolled, they spill registers on sm_90 and triple the time to compile.
#define FER_FAST_ROLLED _Pragma("unroll 1")
#define FER_FAST_UNROLLED _Pragma("unroll")
#else
#define FER_FAST_HOST_DEVICE inline
#define FER_FAST_ROLLED
#define FER_FAST_UNROLLED
#endif

namespace fer_fast {
namespace {

struct Half {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

template <typename To, typename From>
FER_FAST_HOST_DEVICE To same_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "same_bits needs one size");
  To result;
  memcpy(&result, &value, sizeof(result));
  return result;
}

// The conversions below take one number, or the CPU kernel's lanes of them: Word is uint32_t, Float is float, or
// vectors of these. In integers, because compilers have that at every instruction set, and because it holds under
// flush-to-zero too.

template <typename Float, typename Word>
FER_FAST_HOST_DEVICE Float float_from_bfloat16(Word bits) {
  return same_bits<Float>(bits << 16);
}

template <typename Float, typename Word>
FER_FAST_HOST_DEVICE Float float_from_half(Word bits) {
  const Word sign = (bits & 0x8000u) << 16;
  const Word magnitude = (bits & 0x7fffu) << 13;
  const Word normal = magnitude + 0x38000000u;            // exponent + 127 - 15
  const Word special = magnitude + 0x70000000u;           // infinity and NaN: exponent 255
  const Word half_unit = (magnitude & 0u) + 0x38800000u;  // 2^-14, the smallest normal
  const Float subnormal = same_bits<Float>(magnitude + 0x38800000u) - same_bits<Float>(half_unit);
  const Word finite = magnitude < 0x00800000u ? same_bits<Word>(subnormal) : normal;
  return same_bits<Float>((magnitude >= 0x0f800000u ? special : finite) | sign);
}

// To nearest, ties to even, as PyTorch rounds; every NaN becomes the quiet one.
template <typename Word, typename Float>
FER_FAST_HOST_DEVICE Word bfloat16_from_float(Float value) {
  const Word bits = same_bits<Word>(value);
  const Word rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Word quiet_nan = (bits & 0u) + 0x7fc0u;
  return (bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded;
}

template <typename Word, typename Float>
FER_FAST_HOST_DEVICE Word half_from_float(Float value) {
  const Word bits = same_bits<Word>(value);
  const Word magnitude = bits & 0x7fffffffu;
  const Word infinity = (bits & 0u) + 0x7c00u;
  const Word special = magnitude > 0x7f800000u ? infinity + 0x0200u : infinity;
  const Word subnormal =
      same_bits<Word>(same_bits<Float>(magnitude) + 0.5f) - 0x3f000000u;           // the adder rounds to 2^-24
  const Word normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;  // exponent - 112, then to even
  const Word finite = magnitude < 0x38800000u ? subnormal : normal;
  return (magnitude >= 0x47800000u ? special : finite) | ((bits >> 16) & 0x8000u);
}

FER_FAST_HOST_DEVICE float to_float(float value) { return value; }

FER_FAST_HOST_DEVICE float to_float(uint8_t value) { return static_cast<float>(value); }

FER_FAST_HOST_DEVICE float to_float(BFloat16 value) { return float_from_bfloat16<float>(uint32_t{value.bits}); }

// On a card, its own conversions are used, in PTX because that needs no header of CUDA's. They too round to nearest,
// ties to even, and know subnormals; only a NaN has other bits.
FER_FAST_HOST_DEVICE float to_float(Half value) {
#ifdef __CUDA_ARCH__
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#else
  return float_from_half<float>(uint32_t{value.bits});
#endif
}

FER_FAST_HOST_DEVICE void from_float(float value, float* out) { *out = value; }

FER_FAST_HOST_DEVICE void from_float(float value, BFloat16* out) {
  out->bits = static_cast<uint16_t>(bfloat16_from_float<uint32_t>(value));
}

FER_FAST_HOST_DEVICE void from_float(float value, Half* out) {
#ifdef __CUDA_ARCH__
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out->bits) : "f"(value));
#else
  out->bits = static_cast<uint16_t>(half_from_float<uint32_t>(value));
#endif
}

template <typename Float>
FER_FAST_HOST_DEVICE Float normalise(Float value, Float mean, Float inv_std) {
  return (value - mean) * inv_std;
}

// The input pixels that one output pixel of an axis draws on: [first, first + count).
struct Span {
  int64_t first;
  int64_t count;
  float centre;
  float inv_scale;  // 1 when enlarging: a triangle one input pixel wide
};

// PyTorch's antialiased bilinear filter (F.interpolate, align_corners=False, antialias=True), formula for formula and
// in fp32 like it: a triangle of half-width max(1, in / out) at the half-pixel centre, cut at the borders.
FER_FAST_HOST_DEVICE Span resample_span(int64_t index, int64_t in_size, int64_t out_size) {
  if (in_size == out_size) return Span{index, 1, static_cast<float>(index) + 0.5f, 1.0f};
  const float scale = static_cast<float>(in_size) / static_cast<float>(out_size);
  const float support = scale >= 1.0f ? scale : 1.0f;
  const float centre = scale * (static_cast<float>(index) + 0.5f);
  int64_t first = static_cast<int64_t>(centre - support + 0.5f);
  int64_t end = static_cast<int64_t>(centre + support + 0.5f);
  first = first < 0 ? 0 : first;
  end = end > in_size ? in_size : end;
  return Span{first, end - first, centre, scale >= 1.0f ? 1.0f / scale : 1.0f};
}

// Not yet normalised: divide by resample_total.
FER_FAST_HOST_DEVICE float resample_weight(const Span& span, int64_t tap) {
  const float offset = (static_cast<float>(span.first + tap) - span.centre + 0.5f) * span.inv_scale;
  const float distance = offset < 0.0f ? -offset : offset;
  return distance < 1.0f ? 1.0f - distance : 0.0f;
}

FER_FAST_HOST_DEVICE float resample_total(const Span& span) {
  float total = 0.0f;
  FER_FAST_ROLLED
  for (int64_t tap = 0; tap < span.count; ++tap) total += resample_weight(span, tap);
  return total;
}

template <typename In>
FER_FAST_HOST_DEVICE float channel_mean(const In* pixel, int64_t channels, int64_t channel_stride) {
  float sum = 0.0f;
  FER_FAST_ROLLED
  for (int64_t c = 0; c < channels; ++c) sum += to_float(pixel[c * channel_stride]);
  return sum / static_cast<float>(channels);
}

// One element of the output pixel (y, x) of the resized source: before the patches are cut, after normalisation.
template <typename In>
FER_FAST_HOST_DEVICE float token_element(const SourceView& source, int64_t side, int64_t b, int64_t y, int64_t x,
                                         int64_t c) {
  const Span rows = resample_span(y, source.height, side);
  const Span columns = resample_span(x, source.width, side);
  const float row_total = resample_total(rows);
  const float column_total = resample_total(columns);
  const In* plane = static_cast<const In*>(source.data) + b * source.batch_stride + c * source.channel_stride;
  float value = 0.0f;
  FER_FAST_ROLLED
  for (int64_t i = 0; i < columns.count; ++i) {
    float column = 0.0f;
    FER_FAST_ROLLED
    for (int64_t j = 0; j < rows.count; ++j) {
      const In* pixel = plane + (rows.first + j) * source.height_stride + (columns.first + i) * source.width_stride;
      const float weight = resample_weight(rows, j) / row_total;
      column += weight *
                (source.reduce_mean ? channel_mean(pixel, source.channels, source.channel_stride) : to_float(*pixel));
    }
    value += resample_weight(columns, i) / column_total * column;
  }
  return normalise(value, source.mean[c], source.inv_std[c]);
}

}  // namespace
}  // namespace fer_fast

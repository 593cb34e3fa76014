// A register of numbers at a time, by the compiler's vector types: one source for every instruction set. For
// tokens_cpu.cpp.
#pragma once

#include "tokens_math.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// GCC 12 and Clang have it; older compilers take a loop.
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define FER_FAST_SHUFFLE
#endif
#endif

namespace fer_fast {
namespace {

// One register of floats: wider vectors are legal everywhere, but GCC takes their comparisons apart.
#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float FloatLanes __attribute__((vector_size(4 * kLanes)));
typedef uint32_t WordLanes __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntLanes __attribute__((vector_size(4 * kLanes)));
typedef uint16_t ShortLanes __attribute__((vector_size(2 * kLanes)));
typedef uint8_t ByteLanes __attribute__((vector_size(kLanes)));

template <typename Lanes>
inline Lanes load_bits(const void* in) {
  Lanes lanes;
  memcpy(&lanes, in, sizeof(lanes));
  return lanes;
}

inline FloatLanes load_lanes(const float* in) { return load_bits<FloatLanes>(in); }

inline FloatLanes load_lanes(const uint8_t* in) {
  // A step at a time: GCC takes bytes to words in one step element by element, four times slower.
  const ShortLanes shorts = __builtin_convertvector(load_bits<ByteLanes>(in), ShortLanes);
  return __builtin_convertvector(__builtin_convertvector(shorts, IntLanes), FloatLanes);
}

inline FloatLanes load_lanes(const BFloat16* in) {
  return float_from_bfloat16<FloatLanes>(__builtin_convertvector(load_bits<ShortLanes>(in), WordLanes));
}

inline FloatLanes load_lanes(const Half* in) {
  return float_from_half<FloatLanes>(__builtin_convertvector(load_bits<ShortLanes>(in), WordLanes));
}

inline void store_lanes(FloatLanes lanes, float* out) { memcpy(out, &lanes, sizeof(lanes)); }

inline void store_lanes(FloatLanes lanes, BFloat16* out) {
  const ShortLanes bits = __builtin_convertvector(bfloat16_from_float<WordLanes>(lanes), ShortLanes);
  memcpy(out, &bits, sizeof(bits));
}

inline void store_lanes(FloatLanes lanes, Half* out) {
  const ShortLanes bits = __builtin_convertvector(half_from_float<WordLanes>(lanes), ShortLanes);
  memcpy(out, &bits, sizeof(bits));
}

// Copies past the caches, [bytes], both ends and the length on 64 bytes; fence_stream makes it visible to other
// threads.
#if defined(__SSE2__)
constexpr bool kStreams = true;

inline void stream_copy(const void* in, void* out, int64_t bytes) {
  const auto* from = static_cast<const char*>(in);
  auto* to = static_cast<char*>(out);
  for (int64_t i = 0; i < bytes; i += 4 * kLanes) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i), _mm512_load_si512(from + i));
#elif defined(__AVX2__)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm256_load_si256(reinterpret_cast<const __m256i*>(from + i)));
#else
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), _mm_load_si128(reinterpret_cast<const __m128i*>(from + i)));
#endif
  }
}

inline void fence_stream() { _mm_sfence(); }
#else
constexpr bool kStreams = false;

inline void stream_copy(const void* in, void* out, int64_t bytes) { memcpy(out, in, static_cast<size_t>(bytes)); }

inline void fence_stream() {}
#endif

template <size_t Size>
struct ShuffleRow;
template <>
struct ShuffleRow<2> {
  typedef uint16_t Type __attribute__((vector_size(16)));
};
template <>
struct ShuffleRow<4> {
  typedef uint32_t Type __attribute__((vector_size(32)));
};

// An 8 x 8 block of elements of 2 or 4 bytes: in[row * in_stride + column] -> out[column * out_stride + row].
template <typename Element>
inline void transpose_block(const Element* in, int64_t in_stride, Element* out, int64_t out_stride) {
#ifdef FER_FAST_SHUFFLE
  using Row = typename ShuffleRow<sizeof(Element)>::Type;
  Row rows[8];
  for (int i = 0; i < 8; ++i) memcpy(&rows[i], in + i * in_stride, sizeof(Row));
  for (int round = 0; round < 3; ++round) {  // interleaving rows i and i + 4 three times is a transposition
    Row next[8];
    for (int i = 0; i < 4; ++i) {
      next[2 * i] = __builtin_shufflevector(rows[i], rows[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    memcpy(rows, next, sizeof(rows));
  }
  for (int i = 0; i < 8; ++i) memcpy(out + i * out_stride, &rows[i], sizeof(Row));
#else
  for (int row = 0; row < 8; ++row) {
    for (int column = 0; column < 8; ++column) out[column * out_stride + row] = in[row * in_stride + column];
  }
#endif
}

}  // namespace
}  // namespace fer_fast

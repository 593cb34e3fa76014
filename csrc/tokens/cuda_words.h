// Sixteen bytes of numbers, for the kernels on a card: floats come in, a word of memory goes out.
//
// CUDA's own uint4 and intrinsics, because nvcc splits an assignment of any other struct of sixteen bytes.
#pragma once

#include "tokens_math.h"

namespace fer_fast {
namespace {

// Sixteen bytes of such numbers.
template <typename Number>
constexpr int32_t kLanes = 16 / sizeof(Number);

// Two neighbours in memory, the first in the lower half.
__device__ __forceinline__ uint32_t pair_of(float first, float second, Half*) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  Half halves[2];
  from_float(first, &halves[0]);
  from_float(second, &halves[1]);
  return halves[0].bits | uint32_t{halves[1].bits} << 16;
#endif
}

__device__ __forceinline__ uint32_t pair_of(float first, float second, BFloat16*) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  return bfloat16_from_float<uint32_t>(first) | bfloat16_from_float<uint32_t>(second) << 16;
#endif
}

__device__ __forceinline__ void store(const float (&values)[4], float* out) {
  __stwb(reinterpret_cast<uint4*>(out), make_uint4(same_bits<uint32_t>(values[0]), same_bits<uint32_t>(values[1]),
                                                   same_bits<uint32_t>(values[2]), same_bits<uint32_t>(values[3])));
}

template <typename Out>
__device__ __forceinline__ void store(const float (&values)[8], Out* out) {
  __stwb(reinterpret_cast<uint4*>(out),
         make_uint4(pair_of(values[0], values[1], out), pair_of(values[2], values[3], out),
                    pair_of(values[4], values[5], out), pair_of(values[6], values[7], out)));
}

// Neighbours in shared memory, which a thread reads in as few accesses as their alignment allows.
template <typename Number, int32_t Count>
struct alignas(sizeof(Number) * Count < 16 ? sizeof(Number) * Count : 16) Neighbours {
  Number numbers[Count];
};

// A block's shared memory, whatever a kernel makes of it.
extern __shared__ uint4 cuda_shared[];

}  // namespace
}  // namespace fer_fast

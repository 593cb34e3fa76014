// CUDA's keywords and indices for g++: the real kernel body runs on the host, one thread after another.
#pragma once

struct ShimIndex {
  unsigned x;
};

inline ShimIndex threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads, blocks)

// CUDA's keywords and indices for g++: the real kernel body runs on the host, each of a block's threads as one of its own.
#pragma once

#include <pthread.h>

#include <thread>
#include <vector>

struct ShimIndex {
  unsigned x;
};

inline thread_local ShimIndex threadIdx;
inline ShimIndex blockIdx, blockDim, gridDim;
inline pthread_barrier_t shim_barrier;

inline void __syncthreads() { pthread_barrier_wait(&shim_barrier); }

// Runs a kernel over every block, one after the other, so that memory that a block shares can be static.
template <typename Kernel>
void run_blocks(unsigned blocks, unsigned threads, const Kernel& kernel) {
  gridDim.x = blocks;
  blockDim.x = threads;
  pthread_barrier_init(&shim_barrier, nullptr, threads);
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
    std::vector<std::thread> running;
    for (unsigned thread = 0; thread < threads; ++thread) {
      running.emplace_back([&kernel, thread] {
        threadIdx.x = thread;
        kernel();
      });
    }
    for (auto& each : running) each.join();
  }
  pthread_barrier_destroy(&shim_barrier);
}

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(threads, blocks)

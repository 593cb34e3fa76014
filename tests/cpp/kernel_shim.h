// CUDA's keywords, indices and intrinsics for g++: the real kernel body runs on the host, each of a block's threads as
// one of its own, and each access of global memory is counted as the card would make it: a warp at a time.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

struct ShimIndex {
  unsigned x;
};

struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

inline thread_local ShimIndex threadIdx;
inline ShimIndex blockIdx, blockDim, gridDim;
inline pthread_barrier_t shim_barrier;

inline void __syncthreads() { pthread_barrier_wait(&shim_barrier); }

// ---- What goes to global memory and comes from it ----

// Of one kind, stores or loads.
struct ShimTraffic {
  int64_t bytes;         // that lanes asked for, each once an access
  int64_t moved;         // of the sectors of 32 bytes that they lie in
  int64_t lanes;         // that carried data
  int64_t warp_lanes;    // 32 for each access of a warp
  int64_t thread_slots;  // of blocks: threads times the accesses of the busiest
};

struct ShimAccess {
  int line;  // of the kernel's source: which instruction
  uintptr_t address;
  int64_t bytes;
};

inline thread_local std::vector<ShimAccess> shim_stores, shim_loads;

template <typename Word>
Word __ldg(const Word* from, int line = __builtin_LINE()) {
  shim_loads.push_back({line, reinterpret_cast<uintptr_t>(from), sizeof(Word)});
  return *from;
}

template <typename Word>
void __stwb(Word* to, Word word, int line = __builtin_LINE()) {
  shim_stores.push_back({line, reinterpret_cast<uintptr_t>(to), sizeof(Word)});
  *to = word;
}

// A block's accesses: by thread, in the thread's order.
inline void count_block(const std::vector<std::vector<ShimAccess>>& threads, ShimTraffic& traffic) {
  // The n-th access of a thread at a line is the same instruction as its warp's n-th.
  std::map<std::tuple<size_t, int, int>, std::vector<ShimAccess>> accesses;
  size_t busiest = 0;
  for (size_t thread = 0; thread < threads.size(); ++thread) {
    std::map<int, int> turns;
    for (const ShimAccess& access : threads[thread]) {
      accesses[{thread / 32, access.line, turns[access.line]++}].push_back(access);
    }
    busiest = std::max(busiest, threads[thread].size());
  }
  traffic.thread_slots += static_cast<int64_t>(busiest * threads.size());
  for (const auto& [key, lanes] : accesses) {
    std::set<uintptr_t> bytes, sectors;
    for (const ShimAccess& lane : lanes) {
      for (int64_t i = 0; i < lane.bytes; ++i) bytes.insert(lane.address + static_cast<uintptr_t>(i));
    }
    for (const uintptr_t byte : bytes) sectors.insert(byte / 32);
    traffic.bytes += static_cast<int64_t>(bytes.size());
    traffic.moved += 32 * static_cast<int64_t>(sectors.size());
    traffic.lanes += static_cast<int64_t>(lanes.size());
    traffic.warp_lanes += 32;
  }
}

inline ShimTraffic shim_store_traffic, shim_load_traffic;

// Runs a kernel over every block, one after the other, so that memory that a block shares can be one block's.
template <typename Kernel>
void run_blocks(unsigned blocks, unsigned threads, const Kernel& kernel) {
  gridDim.x = blocks;
  blockDim.x = threads;
  pthread_barrier_init(&shim_barrier, nullptr, threads);
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
    std::vector<std::vector<ShimAccess>> stores(threads), loads(threads);
    std::vector<std::thread> running;
    for (unsigned thread = 0; thread < threads; ++thread) {
      running.emplace_back([&, thread] {
        threadIdx.x = thread;
        kernel();
        stores[thread].swap(shim_stores);
        loads[thread].swap(shim_loads);
      });
    }
    for (auto& each : running) each.join();
    count_block(stores, shim_store_traffic);
    count_block(loads, shim_load_traffic);
  }
  pthread_barrier_destroy(&shim_barrier);
}

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__
#define __launch_bounds__(threads, blocks)

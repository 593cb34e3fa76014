// CUDA's runtime on the host, as much of it as the TensorRT engine calls. A stream does nothing until it is waited for; a
// pointer that is not of the card, a copy past an allocation's end, and a thread that is left on another card end the program.
// SHIM_CARDS is the number of cards, SHIM_MEMORY the bytes that each has.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation = 2, cudaErrorNoDevice = 100, cudaErrorInvalidDevice = 101 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
constexpr unsigned cudaStreamNonBlocking = 1;

struct CUstream_st {
  std::vector<std::function<void()>> work;
};
using cudaStream_t = CUstream_st*;

namespace shim {

[[noreturn]] inline void refuse(const char* why) {
  std::fprintf(stderr, "shim: %s\n", why);
  std::abort();
}

inline std::size_t setting(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Allocation {
  std::size_t bytes;
  int card;
};

struct Card {
  std::mutex mutex;
  std::map<const char*, Allocation> allocations;
  std::size_t taken = 0;
  ~Card() {
    if (!allocations.empty()) refuse("the card's memory was not given back");
  }
};

inline Card& memory() {
  static Card card;
  return card;
}

struct Current {
  int card = 0;
  ~Current() {
    if (card != 0) refuse("a thread was left on another card");
  }
};
inline thread_local Current current;

// That [pointer, pointer + bytes) is the current card's.
inline void check_on_card(const void* pointer, std::size_t bytes) {
  const std::lock_guard lock(memory().mutex);
  const char* begin = static_cast<const char*>(pointer);
  auto found = memory().allocations.upper_bound(begin);
  if (found == memory().allocations.begin()) refuse("no memory of a card");
  --found;
  if (begin + bytes > found->first + found->second.bytes) refuse("past the end of the card's memory");
  if (found->second.card != current.card) refuse("another card's memory");
}

}  // namespace shim

inline cudaError_t cudaGetLastError() { return cudaSuccess; }

inline const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaErrorMemoryAllocation ? "out of memory" : "no CUDA-capable device is detected";
}

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(shim::setting("SHIM_CARDS", 2));
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

inline cudaError_t cudaGetDevice(int* card) {
  *card = shim::current.card;
  return cudaSuccess;
}

inline cudaError_t cudaSetDevice(int card) {
  int count = 0;
  cudaGetDeviceCount(&count);
  if (card < 0 || card >= count) return cudaErrorInvalidDevice;
  shim::current.card = card;
  return cudaSuccess;
}

inline cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  const std::lock_guard lock(shim::memory().mutex);
  if (shim::memory().taken + bytes > shim::setting("SHIM_MEMORY", std::size_t{1} << 30)) return cudaErrorMemoryAllocation;
  shim::memory().taken += bytes;
  *pointer = std::malloc(bytes);
  shim::memory().allocations[static_cast<char*>(*pointer)] = {bytes, shim::current.card};
  return cudaSuccess;
}

inline cudaError_t cudaFree(void* pointer) {
  const std::lock_guard lock(shim::memory().mutex);
  if (shim::memory().allocations.erase(static_cast<char*>(pointer)) == 0) shim::refuse("freed what is not the card's");
  std::free(pointer);
  return cudaSuccess;
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) shim::refuse("the stream waits for the caller's");
  *stream = new CUstream_st;
  return cudaSuccess;
}

inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  for (const auto& task : stream->work) task();
  stream->work.clear();
  return cudaSuccess;
}

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  shim::check_on_card(kind == cudaMemcpyHostToDevice ? to : from, bytes);
  stream->work.emplace_back([=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

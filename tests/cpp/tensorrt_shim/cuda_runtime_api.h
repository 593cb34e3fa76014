// CUDA's runtime on the host, as much of it as the TensorRT engine calls. A stream does nothing until it is waited for; a
// pointer that is not of the card, a copy past an allocation's end, work without a card's context, and a thread that is left
// with one end the program. SHIM_CARDS is the number of cards, SHIM_MEMORY the bytes that they have together, SHIM_BAD_CARD one
// that refuses.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "cuda.h"

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation = 2, cudaErrorNoDevice = 100, cudaErrorInvalidDevice = 101,
                   cudaErrorDevicesUnavailable = 46, cudaErrorNotSupported = 801 };
enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess };
constexpr unsigned long long cudaEnableDefault = 0;
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

// Of all cards.
struct Memory {
  std::mutex mutex;
  std::map<const char*, Allocation> allocations;
  std::size_t taken = 0;
  ~Memory() {
    if (!allocations.empty()) refuse("a card's memory was not given back");
  }
};

inline Memory& memory() {
  static Memory all;
  return all;
}

struct Current {
  CUcontext context = nullptr;
  ~Current() {
    if (context != nullptr) refuse("a thread was left with a context");
  }
};
inline thread_local Current current;

inline int card() {
  if (current.context == nullptr) refuse("no card was chosen");
  return current.context->card;
}

// That [pointer, pointer + bytes) is the current card's.
inline void check_on_card(const void* pointer, std::size_t bytes) {
  const std::lock_guard lock(memory().mutex);
  const char* begin = static_cast<const char*>(pointer);
  auto found = memory().allocations.upper_bound(begin);
  if (found == memory().allocations.begin()) refuse("no memory of a card");
  --found;
  if (begin + bytes > found->first + found->second.bytes) refuse("past the end of the card's memory");
  if (found->second.card != card()) refuse("another card's memory");
}

}  // namespace shim

inline const char* cudaGetErrorString(cudaError_t status) {
  if (status == cudaErrorMemoryAllocation) return "out of memory";
  return status == cudaErrorDevicesUnavailable ? "device(s) is/are busy or unavailable" : "no CUDA-capable device is detected";
}

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(shim::setting("SHIM_CARDS", 2));
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

inline CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = shim::current.context;
  return CUDA_SUCCESS;
}

inline CUresult cuCtxSetCurrent(CUcontext context) {
  shim::current.context = context;
  return CUDA_SUCCESS;
}

inline cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** found, unsigned version, unsigned long long,
                                                    cudaDriverEntryPointQueryResult*) {
  if (version != 12000) shim::refuse("another driver is asked for");
  *found = std::strcmp(name, "cuCtxGetCurrent") == 0   ? reinterpret_cast<void*>(cuCtxGetCurrent)
           : std::strcmp(name, "cuCtxSetCurrent") == 0 ? reinterpret_cast<void*>(cuCtxSetCurrent)
                                                       : nullptr;
  return cudaSuccess;
}

inline cudaError_t cudaSetDevice(int card) {
  static CUctx_st contexts[4] = {{0}, {1}, {2}, {3}};
  int count = 0;
  cudaGetDeviceCount(&count);
  if (card < 0 || card >= count) return cudaErrorInvalidDevice;
  if (static_cast<std::size_t>(card) == shim::setting("SHIM_BAD_CARD", 99)) return cudaErrorDevicesUnavailable;
  shim::current.context = &contexts[card];
  return cudaSuccess;
}

inline cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  const std::lock_guard lock(shim::memory().mutex);
  if (shim::memory().taken + bytes > shim::setting("SHIM_MEMORY", std::size_t{1} << 30)) return cudaErrorMemoryAllocation;
  shim::memory().taken += bytes;
  *pointer = std::malloc(bytes);
  shim::memory().allocations[static_cast<char*>(*pointer)] = {bytes, shim::card()};
  return cudaSuccess;
}

inline cudaError_t cudaFree(void* pointer) {
  const std::lock_guard lock(shim::memory().mutex);
  const auto found = shim::memory().allocations.find(static_cast<char*>(pointer));
  if (found == shim::memory().allocations.end()) shim::refuse("freed what is not the card's");
  shim::memory().taken -= found->second.bytes;
  shim::memory().allocations.erase(found);
  std::free(pointer);
  return cudaSuccess;
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) shim::refuse("the stream waits for the caller's");
  *stream = new CUstream_st;
  return cudaSuccess;
}

inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (!stream->work.empty()) shim::refuse("a stream was not waited for");
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

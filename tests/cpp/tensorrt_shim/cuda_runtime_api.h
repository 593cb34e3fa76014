// CUDA's runtime on the host, as much of it as the TensorRT engine calls and its tests do. A stream does nothing until it is
// waited for, by a thread or by another stream; a pointer that is not of the card, a copy past an allocation's end or from
// memory that the card cannot read by itself, work without a card's context, and a thread that is left with one end the program.
// SHIM_CARDS is the number of cards, SHIM_MEMORY the bytes that they have together, SHIM_BAD_CARD one that refuses,
// SHIM_UNCAPTURABLE says that nothing can be captured, SHIM_GRAPH_FAILS that no graph runs.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda.h"

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation = 2, cudaErrorDevicesUnavailable = 46, cudaErrorNoDevice = 100,
                   cudaErrorInvalidDevice = 101, cudaErrorLaunchFailure = 719, cudaErrorNotSupported = 801,
                   cudaErrorStreamCaptureUnsupported = 900 };
enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess };
constexpr unsigned long long cudaEnableDefault = 0;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeHost, cudaMemoryTypeDevice, cudaMemoryTypeManaged };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal };
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone, cudaStreamCaptureStatusActive };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostAllocDefault = 0;

struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
};

using ShimTask = std::function<void()>;

// One thread at a time runs its work; while it is captured, what comes is kept for a graph.
struct CUstream_st {
  std::mutex mutex;
  std::condition_variable idle;
  std::deque<ShimTask> work;
  bool busy = false, capturing = false;
  std::vector<ShimTask> captured;
  std::shared_ptr<CUstream_st> self;  // until it is destroyed; who waits for a place in it has it, too
};
struct CUevent_st;
struct CUgraph_st {
  std::vector<ShimTask> work;
};
struct CUgraphExec_st : CUgraph_st {};
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;
using cudaGraph_t = CUgraph_st*;
using cudaGraphExec_t = CUgraphExec_st*;

namespace shim {

[[noreturn]] void refuse(const char* why);
std::size_t setting(const char* name, std::size_t otherwise);
// That is current.
int card();
// That [pointer, pointer + bytes) is the current card's.
void check_on_card(const void* pointer, std::size_t bytes);
void add(cudaStream_t stream, ShimTask task);

}  // namespace shim

extern "C" {
const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** found, unsigned version, unsigned long long flags,
                                             cudaDriverEntryPointQueryResult* result);
cudaError_t cudaSetDevice(int card);
cudaError_t cudaMalloc(void** pointer, std::size_t bytes);
cudaError_t cudaFree(void* pointer);
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* pointer);
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void* pointer);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
}

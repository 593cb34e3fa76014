// See cuda_runtime_api.h. One library, so that the program and libfer_fast see the same cards.
#include "cuda_runtime_api.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>

namespace {

constexpr int kHost = -1;  // pinned memory's card

struct Allocation {
  std::size_t bytes;
  int card;
};

// Of all cards, and what is pinned.
struct Memory {
  std::mutex mutex;
  std::map<const char*, Allocation> allocations;
  std::size_t taken = 0;
  ~Memory() {
    if (!allocations.empty()) shim::refuse("a card's memory was not given back");
  }
};

Memory& memory() {
  static Memory all;
  return all;
}

struct Current {
  CUcontext context = nullptr;
  ~Current() {
    if (context != nullptr) shim::refuse("a thread was left with a context");
  }
};
thread_local Current current;

// Under the mutex: what the pointer is in, or none.
const std::pair<const char* const, Allocation>* allocation_of(const void* pointer) {
  const char* begin = static_cast<const char*>(pointer);
  const auto found = memory().allocations.upper_bound(begin);
  if (found == memory().allocations.begin()) return nullptr;
  const auto& before = *std::prev(found);
  return begin < before.first + before.second.bytes || begin == before.first ? &before : nullptr;
}

void check_is(const void* pointer, std::size_t bytes, int card) {
  const std::lock_guard lock(memory().mutex);
  const auto* found = allocation_of(pointer);
  if (found == nullptr) shim::refuse(card == kHost ? "memory that is not pinned" : "no memory of a card");
  if (static_cast<const char*>(pointer) + bytes > found->first + found->second.bytes) shim::refuse("past the memory's end");
  if (found->second.card != card) shim::refuse("another card's memory");
}

cudaError_t take(void** pointer, std::size_t bytes, int card) {
  const std::lock_guard lock(memory().mutex);
  const bool there = memory().taken + bytes <= shim::setting("SHIM_MEMORY", std::size_t{1} << 30);
  if (card != kHost && !there) return cudaErrorMemoryAllocation;
  if (card != kHost) memory().taken += bytes;
  *pointer = std::malloc(bytes == 0 ? 1 : bytes);
  memory().allocations[static_cast<char*>(*pointer)] = {bytes, card};
  return cudaSuccess;
}

cudaError_t give_back(void* pointer, bool host) {
  const std::lock_guard lock(memory().mutex);
  const auto found = memory().allocations.find(static_cast<char*>(pointer));
  if (found == memory().allocations.end() || (found->second.card == kHost) != host) shim::refuse("freed what is not the card's");
  if (!host) memory().taken -= found->second.bytes;
  memory().allocations.erase(found);
  std::free(pointer);
  return cudaSuccess;
}

// Runs a stream's work, in order, until it is done or until what is asked for is.
void run_until(cudaStream_t stream, const std::function<bool()>& reached) {
  std::unique_lock lock(stream->mutex);
  for (;;) {
    // What is asked for may be done, and the next task wait for a stream that the caller is running.
    stream->idle.wait(lock, [&] { return !stream->busy || reached(); });
    if (reached() || stream->work.empty()) return;
    const ShimTask task = std::move(stream->work.front());
    stream->work.pop_front();
    stream->busy = true;
    lock.unlock();
    task();
    lock.lock();
    stream->busy = false;
    stream->idle.notify_all();
  }
}

std::shared_ptr<CUstream_st> made_stream() {
  auto made = std::make_shared<CUstream_st>();
  made->self = made;
  return made;
}

// The stream that a null is.
cudaStream_t named(cudaStream_t stream) {
  static const auto other = made_stream();
  return stream == nullptr ? other.get() : stream;
}

// A place in a stream.
struct Mark {
  std::shared_ptr<CUstream_st> stream;
  std::atomic<bool> reached{false};

  void wait() {
    if (!reached) run_until(stream.get(), [&] { return reached.load(); });
  }
};

}  // namespace

struct CUevent_st {
  std::mutex mutex;
  std::shared_ptr<Mark> mark;  // the last that was recorded

  std::shared_ptr<Mark> last() {
    const std::lock_guard lock(mutex);
    return mark;
  }
};

void shim::refuse(const char* why) {
  std::fprintf(stderr, "shim: %s\n", why);
  std::abort();
}

std::size_t shim::setting(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

int shim::card() {
  if (current.context == nullptr) refuse("no card was chosen");
  return current.context->card;
}

void shim::check_on_card(const void* pointer, std::size_t bytes) { check_is(pointer, bytes, card()); }

void shim::add(cudaStream_t given, ShimTask task) {
  const cudaStream_t stream = named(given);
  const std::lock_guard lock(stream->mutex);
  if (stream->capturing) {
    stream->captured.push_back(std::move(task));
  } else {
    stream->work.push_back(std::move(task));
  }
}

const char* cudaGetErrorString(cudaError_t status) {
  if (status == cudaErrorMemoryAllocation) return "out of memory";
  if (status == cudaErrorLaunchFailure) return "unspecified launch failure";
  return status == cudaErrorDevicesUnavailable ? "device(s) is/are busy or unavailable" : "no CUDA-capable device is detected";
}

cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(shim::setting("SHIM_CARDS", 2));
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  *context = current.context;
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
  current.context = context;
  return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** found, unsigned version, unsigned long long,
                                             cudaDriverEntryPointQueryResult*) {
  if (version != 12000) shim::refuse("another driver is asked for");
  *found = std::strcmp(name, "cuCtxGetCurrent") == 0   ? reinterpret_cast<void*>(cuCtxGetCurrent)
           : std::strcmp(name, "cuCtxSetCurrent") == 0 ? reinterpret_cast<void*>(cuCtxSetCurrent)
                                                       : nullptr;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int card) {
  static CUctx_st contexts[4] = {{0}, {1}, {2}, {3}};
  int count = 0;
  cudaGetDeviceCount(&count);
  if (card < 0 || card >= count) return cudaErrorInvalidDevice;
  if (static_cast<std::size_t>(card) == shim::setting("SHIM_BAD_CARD", 99)) return cudaErrorDevicesUnavailable;
  current.context = &contexts[card];
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) { return take(pointer, bytes, shim::card()); }

cudaError_t cudaFree(void* pointer) { return give_back(pointer, false); }

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  shim::card();
  return take(pointer, bytes, kHost);
}

cudaError_t cudaFreeHost(void* pointer) {
  shim::card();
  return give_back(pointer, true);
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void* pointer) {
  const std::lock_guard lock(memory().mutex);
  const auto* allocation = allocation_of(pointer);
  *found = {cudaMemoryTypeUnregistered, 0};
  if (allocation == nullptr) return cudaSuccess;
  const int card = allocation->second.card;
  *found = card == kHost ? cudaPointerAttributes{cudaMemoryTypeHost, 0} : cudaPointerAttributes{cudaMemoryTypeDevice, card};
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const int card = shim::card();
  check_is(from, bytes, kind == cudaMemcpyHostToDevice ? kHost : card);
  check_is(to, bytes, kind == cudaMemcpyDeviceToHost ? kHost : card);
  shim::add(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  shim::check_on_card(to, bytes);
  shim::add(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) shim::refuse("the stream waits for the caller's");
  *stream = made_stream().get();
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::shared_ptr<CUstream_st> last = std::move(stream->self);
  const std::lock_guard lock(last->mutex);
  if (!last->work.empty() || last->capturing) shim::refuse("a stream was not waited for");
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (named(stream)->capturing) shim::refuse("a stream that is captured was waited for");
  run_until(named(stream), [] { return false; });
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (const std::shared_ptr<Mark> mark = event->last()) shim::add(stream, [mark] { mark->wait(); });
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = named(stream)->capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (mode != cudaStreamCaptureModeThreadLocal) shim::refuse("a capture that other threads' work would end");
  if (stream->capturing || !stream->work.empty()) shim::refuse("a stream that works is captured");
  stream->capturing = true;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream->capturing) shim::refuse("no capture is ended");
  stream->capturing = false;
  std::vector<ShimTask> work = std::move(stream->captured);
  stream->captured.clear();
  if (shim::setting("SHIM_UNCAPTURABLE", 0) != 0) return cudaErrorStreamCaptureUnsupported;
  *graph = new CUgraph_st{std::move(work)};
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (flags != cudaEventDisableTiming) shim::refuse("an event is timed");
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const auto mark = std::make_shared<Mark>();
  mark->stream = named(stream)->self;
  {
    const std::lock_guard lock(event->mutex);
    event->mark = mark;
  }
  shim::add(stream, [mark] { mark->reached = true; });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const std::shared_ptr<Mark> mark = event->last()) mark->wait();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{{graph->work}};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  shim::card();
  if (shim::setting("SHIM_GRAPH_FAILS", 0) != 0) return cudaErrorLaunchFailure;
  shim::add(stream, [executable] {
    for (const ShimTask& task : executable->work) task();
  });
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

#include "card.h"

#include "engine.h"

namespace fer_fast {
namespace {

// A function of the driver, which this library is not linked to: a program starts where there is none, too.
template <typename Function>
Function* driver_function(const char* name) {
  void* found = nullptr;
  const cudaError_t status = cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, nullptr);
  check(found == nullptr && status == cudaSuccess ? cudaErrorNotSupported : status, std::string("finding ") + name);
  return reinterpret_cast<Function*>(found);
}

struct Driver {
  decltype(cuCtxGetCurrent)* get_current = driver_function<decltype(cuCtxGetCurrent)>("cuCtxGetCurrent");
  decltype(cuCtxSetCurrent)* set_current = driver_function<decltype(cuCtxSetCurrent)>("cuCtxSetCurrent");

  static const Driver& functions() {
    static const Driver found;
    return found;
  }
};

}  // namespace

void check(cudaError_t status, const std::string& doing) {
  if (status == cudaSuccess) return;
  const ErrorCode code = status == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kEngineFailed;
  throw Error(code, doing + " failed: " + cudaGetErrorString(status));
}

OnCard::OnCard(int card) {
  const Driver& driver = Driver::functions();
  driver.get_current(&before_);
  const cudaError_t status = cudaSetDevice(card);
  if (status != cudaSuccess) driver.set_current(before_);
  check(status, "choosing card " + std::to_string(card));
}

OnCard::~OnCard() { Driver::functions().set_current(before_); }

CardMemory card_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "taking " + std::to_string(bytes) + " bytes on the card");
  return CardMemory(memory);
}

PinnedMemory pinned_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "taking " + std::to_string(bytes) + " bytes that the card reads");
  return PinnedMemory(memory);
}

Buffer pinned_buffer(int card, std::size_t bytes) {
  const OnCard on_card(card);
  const auto free = [card](uint8_t* memory) {
    try {
      const OnCard on_card(card);
      cudaFreeHost(memory);
    } catch (const Error&) {  // the card is gone: what was its own, too
    }
  };
  return {static_cast<uint8_t*>(pinned_memory(bytes).release()), free};
}

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  return Event(event);
}

int present_card(const std::string& model, const std::string& asked) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    const std::string why = status == cudaSuccess ? "none is visible" : cudaGetErrorString(status);
    throw Error(ErrorCode::kDeviceMissing, "there is no CUDA card for '" + model + "': " + why);
  }
  const int card = card_of(asked);
  if (card >= 0 && card < count) return card;
  throw Error(ErrorCode::kDeviceMissing, "device must be auto, cuda or cuda:0 to cuda:" + std::to_string(count - 1) +
                                             " for an .engine, not '" + asked + "'");
}

void check_on_card(const void* memory, int card, const std::string& name) {
  cudaPointerAttributes found{};
  check(cudaPointerGetAttributes(&found, memory), "finding where " + name + " are");
  if (found.type == cudaMemoryTypeManaged || (found.type == cudaMemoryTypeDevice && found.device == card)) return;
  throw Error(ErrorCode::kInvalidArgument,
              name + " must be memory of card " + std::to_string(card) + ", not " +
                  (found.type == cudaMemoryTypeDevice ? "of card " + std::to_string(found.device) : "of the host"));
}

void check_is_not_captured(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &status), "asking for the stream");
  if (status == cudaStreamCaptureStatusNone) return;
  throw Error(ErrorCode::kInvalidArgument, "stream must not be captured: the model's memory is waited for at each call");
}

}  // namespace fer_fast

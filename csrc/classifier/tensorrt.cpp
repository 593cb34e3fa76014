// TensorRT, or TensorRT for RTX: a serialised engine comes in, what runs it on one card goes out.
#include <NvInferRuntime.h>
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <utility>

#include "cells.h"
#include "engine.h"
#include "files.h"
#include "pool.h"

namespace fer_fast {
namespace {

// As fer_fast/export names them.
constexpr const char* kInput = "images";
constexpr const char* kProbabilities = "probabilities";
constexpr const char* kCells = "cells";

void check(cudaError_t status, const std::string& doing) {
  if (status == cudaSuccess) return;
  const ErrorCode code = status == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kEngineFailed;
  throw Error(code, doing + " failed: " + cudaGetErrorString(status));
}

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

// A card's context is current. The thread's own is again at the end, or none: naming its card would make one there.
class OnCard {
 public:
  explicit OnCard(int card) {
    driver_.get_current(&before_);
    const cudaError_t status = cudaSetDevice(card);
    if (status != cudaSuccess) driver_.set_current(before_);
    check(status, "choosing card " + std::to_string(card));
  }
  OnCard(const OnCard&) = delete;
  ~OnCard() { driver_.set_current(before_); }

 private:
  const Driver& driver_ = Driver::functions();
  CUcontext before_ = nullptr;
};

// What TensorRT complains of, which it would print; each thread has its own. TensorRT keeps the first logger of a process
// for everything that has no runtime: this one is never destroyed.
class Messages : public nvinfer1::ILogger {
 public:
  static Messages& all() {
    static Messages& messages = *new Messages;
    return messages;
  }

  void log(Severity severity, const char* message) noexcept override {
    if (severity > Severity::kERROR || text_.size() > 2000) return;
    try {
      text_ += text_.empty() ? message : std::string("; ") + message;
    } catch (const std::exception&) {  // no memory for the text
    }
  }

  // All since the last time.
  static std::string take() { return text_.empty() ? "it does not say why" : std::exchange(text_, {}); }

 private:
  static thread_local std::string text_;
};

thread_local std::string Messages::text_;

// TensorRT has no codes: memory that is full stands in its text.
[[noreturn]] void refuse(ErrorCode code, const std::string& what) {
  const std::string said = Messages::take();
  const bool full = said.find("out of memory") != std::string::npos || said.find("OutOfMemory") != std::string::npos;
  throw Error(full ? ErrorCode::kOutOfMemory : code, what + ": " + said);
}

struct FreeMemory {
  void operator()(void* memory) const { cudaFree(memory); }
};
using Memory = std::unique_ptr<void, FreeMemory>;

Memory allocate(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "taking " + std::to_string(bytes) + " bytes on the card");
  return Memory(memory);
}

struct EndStream {
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
};
using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, EndStream>;

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return Stream(stream);
}

// What one batch needs to run; one thread at a time has it.
struct Slot {
  Memory images, outputs;
  Stream stream;
  std::unique_ptr<nvinfer1::IExecutionContext> context;
};

// Each needs the ones before it.
struct Loaded {
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  Pool<Slot> slots;
};

// `shape` is without the batch, which is -1, or the number if it can be but one.
bool has_tensor(const nvinfer1::ICudaEngine& engine, const char* name, nvinfer1::TensorIOMode mode, nvinfer1::DataType type,
                const std::vector<int64_t>& shape) {
  if (engine.getTensorIOMode(name) != mode || engine.getTensorDataType(name) != type) return false;
  const nvinfer1::Dims dims = engine.getTensorShape(name);
  return dims.nbDims >= 1 && std::vector<int64_t>(dims.d + 1, dims.d + dims.nbDims) == shape;
}

class TensorRtEngine : public Engine {
 public:
  TensorRtEngine(const std::string& model, const std::string& bytes, const Description& description, int64_t batch, int card,
                 Goal goal)
      : description_(description), card_(card) {
    const OnCard on_card(card_);
    Messages::take();
    auto loaded = std::make_unique<Loaded>();  // if this fails half-way, on the card, too
    loaded->runtime.reset(nvinfer1::createInferRuntime(Messages::all()));
    if (!loaded->runtime) refuse(ErrorCode::kEngineFailed, "TensorRT does not start");
    loaded->engine.reset(loaded->runtime->deserializeCudaEngine(bytes.data(), bytes.size()));
    if (!loaded->engine) {
      refuse(ErrorCode::kModelUnsupported,
             "the model '" + model + "' is for another TensorRT than " + version() + ", or for other cards");
    }
    check_graph(*loaded->engine, model);
    for (int i = 0; i < (goal == Goal::kLatency ? 1 : 2); ++i) loaded->slots.add(make_slot(*loaded->engine, batch));
    streams_ = static_cast<int>(loaded->slots.size());
    loaded_ = std::move(loaded);
  }

  ~TensorRtEngine() override {
    try {
      const OnCard on_card(card_);
      loaded_.reset();
    } catch (const Error&) {  // the card is gone: what was on it, too
    }
  }

  int streams() const override { return streams_; }

  void infer(const Batch& images, float* out) override {
    const OnCard on_card(card_);
    Pool<Slot>::Lease slot(loaded_->slots);
    Messages::take();
    try {
      enqueue(*slot, images, out);
    } catch (...) {
      cudaStreamSynchronize(slot->stream.get());  // the pixels are the caller's to free
      throw;
    }
    check(cudaStreamSynchronize(slot->stream.get()), "TensorRT");
  }

  std::string describe() const override {
    return "engine=tensorrt\nversion=" + version() + "\ndevice=cuda:" + std::to_string(card_) + "\nprecision=" +
           description_.precision + "\nstreams=" + std::to_string(streams_) + "\n";
  }

 private:
  // Of the library that runs: its headers may have been another's.
  static std::string version() {
    const int32_t number = getInferLibVersion();
    return std::to_string(number / 10000) + '.' + std::to_string(number / 100 % 100) + '.' + std::to_string(number % 100);
  }

  void enqueue(Slot& slot, const Batch& images, float* out) const {
    nvinfer1::Dims shape{};
    shape.nbDims = 4;
    shape.d[0] = images.count, shape.d[1] = images.height, shape.d[2] = images.width, shape.d[3] = 3;
    if (!slot.context->setInputShape(kInput, shape)) refuse(ErrorCode::kEngineFailed, "TensorRT does not take the batch");
    const cudaStream_t stream = slot.stream.get();
    check(cudaMemcpyAsync(slot.images.get(), images.pixels, static_cast<std::size_t>(images.bytes()),
                          cudaMemcpyHostToDevice, stream),
          "copying the images to the card");
    if (!slot.context->enqueueV3(stream)) refuse(ErrorCode::kEngineFailed, "TensorRT failed");
    check(cudaMemcpyAsync(out, slot.outputs.get(), output_bytes(images), cudaMemcpyDeviceToHost, stream),
          "copying what it found from the card");
  }

  std::size_t output_bytes(const Batch& images) const {
    return static_cast<std::size_t>(images.count * description_.outputs(images.height, images.width)) * sizeof(float);
  }

  // That the engine is what the description says: memory is taken by the description.
  void check_graph(const nvinfer1::ICudaEngine& engine, const std::string& model) const {
    // Of a finder any sides do: -1.
    const int64_t side = finds_ ? -1 : description_.image_size;
    const std::vector<int64_t> outputs = finds_ ? std::vector<int64_t>{-1, kFaceColumns}
                                                : std::vector<int64_t>{description_.outputs(side, side)};
    if (engine.getNbIOTensors() == 2 &&
        has_tensor(engine, kInput, nvinfer1::TensorIOMode::kINPUT, nvinfer1::DataType::kUINT8, {side, side, 3}) &&
        has_tensor(engine, output_, nvinfer1::TensorIOMode::kOUTPUT, nvinfer1::DataType::kFLOAT, outputs)) {
      const nvinfer1::Dims most = engine.getProfileShape(kInput, 0, nvinfer1::OptProfileSelector::kMAX);
      const bool large = !finds_ || (most.nbDims == 4 && most.d[1] == most_side() && most.d[2] == most_side());
      if (most.d[0] == description_.batch_size && large) return;
    }
    throw Error(ErrorCode::kModelDamaged, "the model '" + model + "' is damaged: it is not what its description says");
  }

  Slot make_slot(nvinfer1::ICudaEngine& engine, int64_t batch) const {
    const Batch most{nullptr, batch, most_side(), most_side()};
    Slot slot;
    slot.images = allocate(static_cast<std::size_t>(most.bytes()));
    slot.outputs = allocate(output_bytes(most));
    slot.stream = make_stream();
    slot.context.reset(engine.createExecutionContext());
    // It takes most of the memory, and fails for want of it.
    if (!slot.context) refuse(ErrorCode::kOutOfMemory, "TensorRT could not prepare the model");
    if (!slot.context->setTensorAddress(kInput, slot.images.get()) ||
        !slot.context->setTensorAddress(output_, slot.outputs.get())) {
      refuse(ErrorCode::kEngineFailed, "TensorRT could not prepare the model");
    }
    return slot;
  }

  int64_t most_side() const { return finds_ ? description_.most_side : description_.image_size; }

  Description description_;
  bool finds_ = description_.kind == Kind::kFinder;
  const char* output_ = finds_ ? kCells : kProbabilities;
  int card_;
  int streams_ = 0;
  std::unique_ptr<Loaded> loaded_;
};

// The card that is asked for, if it is there.
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

}  // namespace

OpenedModel open_tensorrt(const std::string& model, Kind kind, const Options& options) {
  const uint64_t size = file_size(model);
  check_is_automatic(options, ".engine");
  const SealedDescription sealed = read_sealed_engine(read_file(model + ".txt", kMostText), model);
  check_kind(kind, sealed.description, model);
  OpenedModel opened;
  opened.description = sealed.description;
  opened.batch_size = batch_size_of(options, sealed.description);
  check_size(sealed.beside, size, model);
  const std::string bytes = read_file(model);
  check_bytes(sealed.beside, bytes, model);
  const int card = present_card(model, options.device);
  opened.engine =
      std::make_unique<TensorRtEngine>(model, bytes, opened.description, opened.batch_size, card, options.goal);
  return opened;
}

}  // namespace fer_fast

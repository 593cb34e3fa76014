// TensorRT, or TensorRT for RTX: a serialised engine comes in, what runs it on one card goes out.
#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include <filesystem>

#include "engine.h"
#include "files.h"
#include "pool.h"

namespace fer_fast {
namespace {

// As fer_fast/export names them.
constexpr const char* kInput = "images";
constexpr const char* kOutput = "probabilities";

void check(cudaError_t status, const std::string& doing) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // told here, so that the caller's next call of CUDA does not
  const ErrorCode code = status == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kEngineFailed;
  throw Error(code, doing + " failed: " + cudaGetErrorString(status));
}

// CUDA's current card is the thread's own, and the caller's again at the end.
class OnCard {
 public:
  explicit OnCard(int card) {
    cudaGetDevice(&before_);
    cudaSetDevice(card);  // what follows tells if it failed
  }
  OnCard(const OnCard&) = delete;
  ~OnCard() { cudaSetDevice(before_); }

 private:
  int before_ = 0;
};

// What TensorRT last complained of: it would print it.
class Messages : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity > Severity::kERROR) return;
    try {
      const std::lock_guard lock(mutex_);
      last_ = message;
    } catch (const std::exception&) {  // no memory for the text
    }
  }

  std::string last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  mutable std::mutex mutex_;
  std::string last_ = "it does not say why";
};

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
  Memory images, probabilities;
  Stream stream;
  std::unique_ptr<nvinfer1::IExecutionContext> context;
};

// Each needs the ones before it.
struct Loaded {
  Messages messages;
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  Pool<Slot> slots;
};

bool has_tensor(const nvinfer1::ICudaEngine& engine, const char* name, nvinfer1::TensorIOMode mode, nvinfer1::DataType type,
                const std::vector<int64_t>& shape) {
  if (engine.getTensorIOMode(name) != mode || engine.getTensorDataType(name) != type) return false;
  const nvinfer1::Dims dims = engine.getTensorShape(name);
  return std::vector<int64_t>(dims.d, dims.d + std::max(0, dims.nbDims)) == shape;
}

class TensorRtEngine : public Engine {
 public:
  TensorRtEngine(const std::string& model, const std::string& bytes, const Description& description, int64_t batch, int card,
                 Goal goal)
      : description_(description), card_(card), loaded_(std::make_unique<Loaded>()) {
    const OnCard on_card(card_);
    loaded_->runtime.reset(nvinfer1::createInferRuntime(loaded_->messages));
    if (!loaded_->runtime) throw Error(ErrorCode::kEngineFailed, "TensorRT does not start: " + loaded_->messages.last());
    loaded_->engine.reset(loaded_->runtime->deserializeCudaEngine(bytes.data(), bytes.size()));
    if (!loaded_->engine) {
      throw Error(ErrorCode::kModelUnsupported, "the model '" + model + "' is for another TensorRT than " + version() +
                                                    " or for other cards: " + loaded_->messages.last());
    }
    check_graph(model);
    for (int i = 0; i < (goal == Goal::kLatency ? 1 : 2); ++i) loaded_->slots.add(make_slot(batch));
    streams_ = static_cast<int>(loaded_->slots.size());
  }

  ~TensorRtEngine() override {
    const OnCard on_card(card_);
    loaded_.reset();
  }

  int streams() const override { return streams_; }

  void infer(const uint8_t* images, int64_t count, float* probabilities) override {
    const OnCard on_card(card_);
    Pool<Slot>::Lease slot(loaded_->slots);
    const cudaStream_t stream = slot->stream.get();
    check(cudaMemcpyAsync(slot->images.get(), images, image_bytes(count), cudaMemcpyHostToDevice, stream),
          "copying the images to the card");
    nvinfer1::Dims shape{};
    shape.nbDims = 4;
    shape.d[0] = count, shape.d[1] = shape.d[2] = description_.image_size, shape.d[3] = 3;
    if (!slot->context->setInputShape(kInput, shape) || !slot->context->enqueueV3(stream)) {
      throw Error(ErrorCode::kEngineFailed, "TensorRT failed: " + loaded_->messages.last());
    }
    check(cudaMemcpyAsync(probabilities, slot->probabilities.get(), row_bytes(count), cudaMemcpyDeviceToHost, stream),
          "copying the probabilities from the card");
    check(cudaStreamSynchronize(stream), "TensorRT");
  }

  std::string describe() const override {
    return "engine=tensorrt\nversion=" + version() + "\ndevice=cuda:" + std::to_string(card_) + "\nprecision=" +
           description_.precision + "\nstreams=" + std::to_string(streams_) + "\n";
  }

 private:
  static std::string version() {
    return std::to_string(NV_TENSORRT_MAJOR) + '.' + std::to_string(NV_TENSORRT_MINOR) + '.' +
           std::to_string(NV_TENSORRT_PATCH);
  }

  std::size_t image_bytes(int64_t count) const {
    return static_cast<std::size_t>(count * description_.image_size * description_.image_size * 3);
  }
  std::size_t row_bytes(int64_t count) const {
    return static_cast<std::size_t>(count) * description_.classes.size() * sizeof(float);
  }

  // That the engine is what the description says: memory is taken by the description.
  void check_graph(const std::string& model) const {
    const int64_t side = description_.image_size, classes = static_cast<int64_t>(description_.classes.size());
    const nvinfer1::ICudaEngine& engine = *loaded_->engine;
    if (engine.getNbIOTensors() == 2 &&
        has_tensor(engine, kInput, nvinfer1::TensorIOMode::kINPUT, nvinfer1::DataType::kUINT8, {-1, side, side, 3}) &&
        has_tensor(engine, kOutput, nvinfer1::TensorIOMode::kOUTPUT, nvinfer1::DataType::kFLOAT, {-1, classes}) &&
        engine.getProfileShape(kInput, 0, nvinfer1::OptProfileSelector::kMAX).d[0] == description_.batch_size) {
      return;
    }
    throw Error(ErrorCode::kModelDamaged, "the model '" + model + "' is damaged: it is not what its description says");
  }

  Slot make_slot(int64_t batch) {
    Slot slot;
    slot.images = allocate(image_bytes(batch));
    slot.probabilities = allocate(row_bytes(batch));
    slot.stream = make_stream();
    slot.context.reset(loaded_->engine->createExecutionContext());
    if (!slot.context || !slot.context->setTensorAddress(kInput, slot.images.get()) ||
        !slot.context->setTensorAddress(kOutput, slot.probabilities.get())) {
      throw Error(ErrorCode::kEngineFailed, "TensorRT could not prepare the model: " + loaded_->messages.last());
    }
    return slot;
  }

  Description description_;
  int card_;
  int streams_ = 0;
  std::unique_ptr<Loaded> loaded_;
};

// The card that is asked for: auto and cuda are the thread's current one.
int card_of(const std::string& model, const std::string& asked) {
  int count = 0, card = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    throw Error(ErrorCode::kDeviceMissing, "there is no CUDA card for '" + model + "': " + cudaGetErrorString(status));
  }
  check(cudaGetDevice(&card), "finding the current card");
  if (asked == "auto" || asked == "cuda") return card;
  for (card = 0; card < count; ++card) {
    if (asked == "cuda:" + std::to_string(card)) return card;
  }
  throw Error(ErrorCode::kDeviceMissing, "device must be auto, cuda or cuda:0 to cuda:" + std::to_string(count - 1) +
                                             " for an .engine, not '" + asked + "'");
}

}  // namespace

OpenedModel open_tensorrt(const std::string& model, const Options& options) {
  const uint64_t size = file_size(model);
  check_precision_is_auto(options, ".engine");
  const Sealed sealed = read_sealed_engine(read_file(std::filesystem::path(model).replace_extension(".txt").string()), model);
  const int64_t batch = batch_size_of(options, sealed.description);
  check_size(sealed, size, model);
  const std::string bytes = read_file(model);
  check_bytes(sealed, bytes, model);
  const int card = card_of(model, options.device);
  OpenedModel opened;
  opened.description = sealed.description;
  opened.engine = std::make_unique<TensorRtEngine>(model, bytes, opened.description, batch, card, options.goal);
  return opened;
}

}  // namespace fer_fast

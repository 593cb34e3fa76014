// TensorRT, or TensorRT for RTX: a serialised engine comes in, what runs it on one card goes out.
#include <NvInferRuntime.h>

#include <algorithm>

#include "card.h"
#include "cells.h"
#include "engine.h"
#include "files.h"
#include "pool.h"
#include "tensorrt_messages.h"
#include "tensorrt_slot.h"
#include "tensorrt_tensors.h"

namespace fer_fast {
namespace {

using Slots = Pool<std::unique_ptr<Slot>, Next::kLongestIdle>;

// Each needs the ones before it.
struct Loaded {
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  Slots slots;
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
    for (int i = 0; i < (goal == Goal::kLatency ? 1 : 2); ++i) {
      auto slot = std::make_unique<Slot>(*loaded->engine, description_, batch);
      graphs_ = slot->graphs();
      loaded->slots.add(std::move(slot));
    }
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
    Slots::Lease slot(loaded_->slots);
    Messages::take();
    (*slot)->run(images, out);
  }

  void enqueue(const Batch& images, float* out, void* stream) override {
    const OnCard on_card(card_);
    check_on_card(images.pixels, card_, "pixels");
    check_on_card(out, card_, "probabilities");
    check_is_not_captured(static_cast<cudaStream_t>(stream));
    Slots::Lease slot(loaded_->slots);
    Messages::take();
    (*slot)->enqueue(images, out, static_cast<cudaStream_t>(stream));
  }

  Buffer buffer(std::size_t bytes) const override { return pinned_buffer(card_, bytes); }

  std::string describe() const override {
    return "engine=tensorrt\nversion=" + version() + "\ndevice=cuda:" + std::to_string(card_) + "\nprecision=" +
           description_.precision + "\nstreams=" + std::to_string(streams_) + "\ngraphs=" + graphs_ + "\n";
  }

 private:
  // Of the library that runs: its headers may have been another's.
  static std::string version() {
    const int32_t number = getInferLibVersion();
    return std::to_string(number / 10000) + '.' + std::to_string(number / 100 % 100) + '.' + std::to_string(number % 100);
  }

  // That the engine is what the description says: memory is taken by the description.
  void check_graph(const nvinfer1::ICudaEngine& engine, const std::string& model) const {
    // Of a finder any sides do: -1.
    const bool finds = description_.kind == Kind::kFinder;
    const int64_t side = finds ? -1 : description_.image_size, largest = most_side(description_);
    const std::vector<int64_t> outputs = finds ? std::vector<int64_t>{-1, kFaceColumns}
                                                : std::vector<int64_t>{description_.outputs(side, side)};
    if (engine.getNbIOTensors() == 2 &&
        has_tensor(engine, kInput, nvinfer1::TensorIOMode::kINPUT, nvinfer1::DataType::kUINT8, {side, side, 3}) &&
        has_tensor(engine, output_name(description_), nvinfer1::TensorIOMode::kOUTPUT, nvinfer1::DataType::kFLOAT, outputs)) {
      const nvinfer1::Dims most = engine.getProfileShape(kInput, 0, nvinfer1::OptProfileSelector::kMAX);
      const bool large = !finds || (most.nbDims == 4 && most.d[1] == largest && most.d[2] == largest);
      if (most.d[0] == description_.batch_size && large) return;
    }
    throw Error(ErrorCode::kModelDamaged, "the model '" + model + "' is damaged: it is not what its description says");
  }

  Description description_;
  int card_;
  int streams_ = 0;
  std::string graphs_;
  std::unique_ptr<Loaded> loaded_;
};

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

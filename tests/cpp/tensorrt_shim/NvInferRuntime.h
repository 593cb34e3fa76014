// TensorRT's runtime on the host, as much of it as the classifier calls, by the names and types of TensorRT 10's interface. An
// engine's bytes are the text "shim IMAGE_SIZE CLASSES BATCH_SIZE"; the first class gets the mean of the image's bytes over 255,
// the others share the rest.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>

#include "cuda_runtime_api.h"

#define NV_TENSORRT_MAJOR 10
#define NV_TENSORRT_MINOR 0
#define NV_TENSORRT_PATCH 1

namespace nvinfer1 {

using AsciiChar = char;
enum class DataType : int32_t { kFLOAT = 0, kUINT8 = 5 };
enum class TensorIOMode : int32_t { kNONE, kINPUT, kOUTPUT };
enum class OptProfileSelector : int32_t { kMIN, kOPT, kMAX };

struct Dims64 {
  int32_t nbDims;
  int64_t d[8];
};
using Dims = Dims64;

class ILogger {
 public:
  enum class Severity : int32_t { kINTERNAL_ERROR, kERROR, kWARNING, kINFO, kVERBOSE };
  virtual void log(Severity severity, AsciiChar const* message) noexcept = 0;
  virtual ~ILogger() = default;
};

struct ShimFacts {
  int64_t side = 0, classes = 0, batch = 0;
};

class IExecutionContext {
 public:
  explicit IExecutionContext(ShimFacts facts) : facts_(facts), card_(shim::current.card) {}

  bool setTensorAddress(char const* name, void* address) noexcept {
    (name == std::string("images") ? images_ : probabilities_) = address;
    return true;
  }

  bool setInputShape(char const*, Dims const& dims) noexcept {
    count_ = dims.d[0];
    return dims.nbDims == 4 && count_ >= 1 && count_ <= facts_.batch && dims.d[1] == facts_.side &&
           dims.d[2] == facts_.side && dims.d[3] == 3;
  }

  bool enqueueV3(cudaStream_t stream) noexcept {
    if (shim::current.card != card_) shim::refuse("the context is another card's");
    const int64_t count = count_, bytes = facts_.side * facts_.side * 3, classes = facts_.classes;
    const auto* images = static_cast<const uint8_t*>(images_);
    auto* row = static_cast<float*>(probabilities_);
    shim::check_on_card(images, static_cast<std::size_t>(count * bytes));
    shim::check_on_card(row, static_cast<std::size_t>(count * classes) * sizeof(float));
    stream->work.emplace_back([=]() mutable {
      for (int64_t image = 0; image < count; ++image, images += bytes, row += classes) {
        int64_t sum = 0;
        for (int64_t i = 0; i < bytes; ++i) sum += images[i];
        row[0] = static_cast<float>(static_cast<double>(sum) / (255.0 * static_cast<double>(bytes)));
        for (int64_t k = 1; k < classes; ++k) row[k] = (1 - row[0]) / static_cast<float>(classes - 1);
      }
    });
    return true;
  }

 private:
  ShimFacts facts_;
  int card_;
  int64_t count_ = 0;
  void* images_ = nullptr;
  void* probabilities_ = nullptr;
};

class ICudaEngine {
 public:
  explicit ICudaEngine(ShimFacts facts) : facts_(facts) {}
  int32_t getNbIOTensors() const noexcept { return 2; }
  TensorIOMode getTensorIOMode(char const* name) const noexcept {
    return name == std::string("images")          ? TensorIOMode::kINPUT
           : name == std::string("probabilities") ? TensorIOMode::kOUTPUT
                                                  : TensorIOMode::kNONE;
  }
  DataType getTensorDataType(char const* name) const noexcept {
    return name == std::string("images") ? DataType::kUINT8 : DataType::kFLOAT;
  }
  Dims getTensorShape(char const* name) const noexcept {
    if (name == std::string("images")) return {4, {-1, facts_.side, facts_.side, 3}};
    return {2, {-1, facts_.classes}};
  }
  Dims getProfileShape(char const*, int32_t, OptProfileSelector) const noexcept {
    return {4, {facts_.batch, facts_.side, facts_.side, 3}};
  }
  IExecutionContext* createExecutionContext() noexcept { return new IExecutionContext(facts_); }

 private:
  ShimFacts facts_;
};

class IRuntime {
 public:
  explicit IRuntime(ILogger& logger) : logger_(logger) {}
  ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept {
    std::istringstream text(std::string(static_cast<const char*>(blob), size));
    std::string name;
    ShimFacts facts;
    if (text >> name >> facts.side >> facts.classes >> facts.batch && name == "shim") return new ICudaEngine(facts);
    logger_.log(ILogger::Severity::kERROR, "this is no engine");
    logger_.log(ILogger::Severity::kINFO, "this does not matter");
    return nullptr;
  }

 private:
  ILogger& logger_;
};

inline IRuntime* createInferRuntime(ILogger& logger) noexcept { return new IRuntime(logger); }

}  // namespace nvinfer1

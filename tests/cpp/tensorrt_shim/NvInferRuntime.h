// TensorRT's runtime on the host, as much of it as the classifier calls, by the names and types of TensorRT 10's interface. An
// engine's bytes are the text "shim IMAGE_SIZE CLASSES BATCH_SIZE"; the first class gets the mean of the image's bytes over 255,
// the others share the rest. Of a face finder they are "finder MOST_SIDE BATCH_SIZE": its first cell is a face of 32 pixels
// about 4, 4 with the mean for its score. What is made on a card must end on it, and before what it was made of. A context needs
// memory of the caller's, writes all of it, and must have run once before it is captured. SHIM_CONTEXTS is how many contexts an
// engine makes, SHIM_FAILS what TensorRT says of every batch instead of running it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

#include "cuda_runtime_api.h"

inline int32_t getInferLibVersion() noexcept { return 100001; }

namespace nvinfer1 {

using AsciiChar = char;
enum class DataType : int32_t { kFLOAT = 0, kUINT8 = 5 };
enum class TensorIOMode : int32_t { kNONE, kINPUT, kOUTPUT };
enum class ExecutionContextAllocationStrategy : int32_t { kSTATIC, kON_PROFILE_CHANGE, kUSER_MANAGED };
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
  bool finds = false;

  const char* output() const { return finds ? "cells" : "probabilities"; }
  int64_t outputs(int64_t height, int64_t width) const {
    return finds ? 15 * (height * width / 64 + height * width / 256 + height * width / 1024) : classes;
  }
  bool takes(int64_t given) const { return finds ? given >= 32 && given <= side && given % 32 == 0 : given == side; }
  void answer(float mean, int64_t count, float* row) const {
    const float face[] = {mean, 0.5f, 0.5f, 1.3862944f, 1.3862944f};
    for (int64_t k = 0; k < count; ++k) row[k] = finds ? (k < 5 ? face[k] : 0) : k == 0 ? mean : (1 - mean) / static_cast<float>(count - 1);
  }
};

// The first of the process, as TensorRT keeps it for whatever has no runtime.
inline ILogger* shim_logger = nullptr;

// What was made on a card, of something else.
class ShimPart {
 public:
  explicit ShimPart(ShimPart* maker) : maker_(maker), card_(shim::card()) {
    if (maker_ != nullptr) ++maker_->parts_;
  }
  ShimPart(const ShimPart&) = delete;
  ~ShimPart() {
    check_card();
    if (parts_ != 0) shim::refuse("ended before what was made of it");
    if (maker_ != nullptr) --maker_->parts_;
  }
  void check_card() const {
    if (shim::card() != card_) shim::refuse("this is another card's");
  }
  int parts() const { return parts_; }

 private:
  ShimPart* maker_;
  int card_;
  int parts_ = 0;
};

constexpr int64_t kScratch = 64;

class IExecutionContext : public ShimPart {
 public:
  IExecutionContext(ShimPart* engine, ShimFacts facts) : ShimPart(engine), facts_(facts) {}

  bool setTensorAddress(char const* name, void* address) noexcept {
    (name == std::string("images") ? images_ : outputs_) = address;
    return true;
  }

  void setDeviceMemoryV2(void* memory, int64_t size) noexcept {
    if (size != kScratch) shim::refuse("a context's memory is of another size");
    shim::check_on_card(memory, kScratch);
    scratch_ = static_cast<char*>(memory);
  }

  bool setInputShape(char const*, Dims const& dims) noexcept {
    ran_ = false;
    count_ = dims.d[0];
    height_ = dims.d[1];
    width_ = dims.d[2];
    return dims.nbDims == 4 && count_ >= 1 && count_ <= facts_.batch && facts_.takes(height_) && facts_.takes(width_) &&
           dims.d[3] == 3;
  }

  bool enqueueV3(cudaStream_t stream) noexcept {
    check_card();
    if (const char* why = std::getenv("SHIM_FAILS")) {
      shim_logger->log(ILogger::Severity::kERROR, why);
      return false;
    }
    const ShimFacts facts = facts_;
    const int64_t count = count_, bytes = height_ * width_ * 3, outputs = facts.outputs(height_, width_);
    const auto* images = static_cast<const uint8_t*>(images_);
    auto* row = static_cast<float*>(outputs_);
    shim::check_on_card(images, static_cast<std::size_t>(count * bytes));
    shim::check_on_card(row, static_cast<std::size_t>(count * outputs) * sizeof(float));
    if (scratch_ == nullptr) shim::refuse("a context has no memory");
    if (stream->capturing && !ran_) shim::refuse("a context is captured that never ran");
    ran_ = true;
    shim::add(stream, [=, scratch = scratch_] {
      std::memset(scratch, 1, kScratch);  // of another context that runs meanwhile the thread sanitizer tells
      const auto* image_bytes = images;
      auto* into = row;  // a graph runs again
      for (int64_t image = 0; image < count; ++image, image_bytes += bytes, into += outputs) {
        int64_t sum = 0;
        for (int64_t i = 0; i < bytes; ++i) sum += image_bytes[i];
        facts.answer(static_cast<float>(static_cast<double>(sum) / (255.0 * static_cast<double>(bytes))), outputs, into);
      }
    });
    return true;
  }

 private:
  ShimFacts facts_;
  int64_t count_ = 0, height_ = 0, width_ = 0;
  void* images_ = nullptr;
  void* outputs_ = nullptr;
  char* scratch_ = nullptr;
  bool ran_ = false;
};

class ICudaEngine : public ShimPart {
 public:
  ICudaEngine(ShimPart* runtime, ShimFacts facts) : ShimPart(runtime), facts_(facts) {}
  int32_t getNbIOTensors() const noexcept { return 2; }
  TensorIOMode getTensorIOMode(char const* name) const noexcept {
    return name == std::string("images")   ? TensorIOMode::kINPUT
           : name == std::string(facts_.output()) ? TensorIOMode::kOUTPUT
                                     : TensorIOMode::kNONE;
  }
  DataType getTensorDataType(char const* name) const noexcept {
    return name == std::string("images") ? DataType::kUINT8 : DataType::kFLOAT;
  }
  Dims getTensorShape(char const* name) const noexcept {
    const int64_t side = facts_.finds ? -1 : facts_.side;
    if (name == std::string("images")) return {4, {-1, side, side, 3}};
    return facts_.finds ? Dims{3, {-1, -1, 15}} : Dims{2, {-1, facts_.classes}};
  }
  Dims getProfileShape(char const*, int32_t, OptProfileSelector) const noexcept {
    return {4, {facts_.batch, facts_.side, facts_.side, 3}};
  }
  int64_t getDeviceMemorySizeV2() const noexcept { return kScratch; }
  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept {
    if (strategy != ExecutionContextAllocationStrategy::kUSER_MANAGED) shim::refuse("a context takes memory of its own");
    const bool there = static_cast<std::size_t>(parts()) < shim::setting("SHIM_CONTEXTS", 9);
    return there ? new IExecutionContext(this, facts_) : nullptr;
  }

 private:
  ShimFacts facts_;
};

class IRuntime : public ShimPart {
 public:
  explicit IRuntime(ILogger& logger) : ShimPart(nullptr), logger_(logger) {}
  ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept {
    std::istringstream text(std::string(static_cast<const char*>(blob), size));
    std::string name;
    ShimFacts facts;
    text >> name >> facts.side;
    facts.finds = name == "finder";
    if (name == "shim") text >> facts.classes;
    if (text >> facts.batch && (name == "shim" || facts.finds)) {
      shim_logger->log(ILogger::Severity::kINFO, "an engine");
      return new ICudaEngine(this, facts);
    }
    logger_.log(ILogger::Severity::kERROR, "this is no engine");
    logger_.log(ILogger::Severity::kINFO, "this does not matter");
    return nullptr;
  }

 private:
  ILogger& logger_;
};

inline IRuntime* createInferRuntime(ILogger& logger) noexcept {
  if (shim_logger == nullptr) shim_logger = &logger;
  return new IRuntime(logger);
}

}  // namespace nvinfer1

// Faces in memory come in, probabilities of facial expressions go out: `fer-fast export` writes the model, C++17 runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "fer_fast/version.h"

namespace fer_fast {

enum class ErrorCode : int32_t {
  kInvalidArgument = 1,   // the caller's: a null or undersized buffer, an impossible size, a closed classifier
  kModelNotFound = 2,     // there is no such file, or it cannot be read
  kModelDamaged = 3,      // changed since it was exported
  kModelUnsupported = 4,  // cut short or not exported for this library, of another version, for another processor
  kEngineMissing = 5,     // this library was built without the engine that runs the model
  kDeviceMissing = 6,     // no such device, or it does not compute the precision
  kEngineFailed = 7,      // what the engine said stands in what()
  kOutOfMemory = 8,
};

// All that this library throws. what() names the argument, the rule and what came.
class FER_FAST_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& what);
  Error(const Error&) = default;
  ~Error() override;
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

enum class PixelFormat : int32_t { kGrey8, kRgb8, kBgr8, kRgba8 };  // of RGBA, alpha is left out of account

// The largest width and height of an image.
constexpr int64_t kMaxImageSide = 1 << 16;

// An image in the caller's memory, upright and cropped to the face; nothing is owned, nothing is written.
struct ImageView {
  const uint8_t* data = nullptr;  // the first pixel of the top row
  std::size_t size = 0;           // bytes that may be read from `data` on
  int64_t width = 0;              // pixels, 1 to kMaxImageSide
  int64_t height = 0;
  int64_t stride = 0;  // bytes from a row to the next, at least a row's; 0 is a row's, without a gap
  PixelFormat format = PixelFormat::kRgb8;
};

enum class Precision : int32_t {
  kAuto,  // int8 where the model is; all else in bf16 where the processor computes it
  kFp32,  // no bf16: of an int8 model, what int8 leaves is computed in fp32
  kBf16,  // an error where the processor has none
};

enum class Goal : int32_t {
  kThroughput,  // the most images a second: several batches at once
  kLatency,     // the soonest answer: all threads on one batch
};

struct Options {
  std::size_t batch_size = 0;          // images that the model takes at once; 0 is the most that it was exported for
  int threads = 0;                     // that compute; 0 is one a processor, and more than that are not started
  Precision precision = Precision::kAuto;
  Goal goal = Goal::kThroughput;
  std::string device = "auto";  // auto, cpu, or, with an .engine or a .pt2 for a GPU, cuda or cuda:N
};

struct Prediction {
  std::vector<float> probabilities;  // of Classifier::classes(), sum 1
  std::size_t index = 0;             // of the most probable class
  std::string label;                 // its name
  float confidence = 0;              // its probability
};

// A model, ready to run. One may be used from many threads at once; each call waits until all its images are done.
class FER_FAST_API Classifier {
 public:
  // Opens MODEL.xml (with MODEL.bin beside it; OpenVINO, which compiles it for this CPU: up to seconds),
  // MODEL.engine (with MODEL.engine.txt; TensorRT, on a GPU) or MODEL.pt2 (libtorch, on either). Throws Error.
  explicit Classifier(const std::string& model, const Options& options = {});
  ~Classifier();
  Classifier(Classifier&&) noexcept;
  Classifier& operator=(Classifier&&) noexcept;

  // One prediction an image, in order. Images of any size are squashed to the model's square by an antialiased bilinear
  // resize, bit for bit Pillow 13's, which `fer_fast.Classifier` uses in Python. Throws Error.
  std::vector<Prediction> classify(const std::vector<ImageView>& images) const;
  Prediction classify(const ImageView& image) const;

  // The same without a Prediction an image: probabilities, [count][classes().size()], go where the caller says. After an
  // Error what stands there means nothing.
  void classify(const ImageView* images, std::size_t count, float* probabilities) const;

  const std::vector<std::string>& classes() const;
  int64_t image_size() const;  // side in pixels of what the model sees
  // What runs: name=value lines of engine, version, device, precision, streams, image_size, batch_size, model, exported_by.
  std::string describe() const;

 private:
  struct Parts;
  const Parts& parts() const;
  std::unique_ptr<Parts> parts_;
};

}  // namespace fer_fast

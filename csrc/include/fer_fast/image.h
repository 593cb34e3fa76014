// What classifier.h and faces.h have in common: images in memory, how a model computes, what is told and
// thrown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "fer_fast/version.h"

namespace fer_fast {

enum class ErrorCode : int32_t {
  kInvalidArgument = 1,   // the caller's: a null or undersized buffer, an impossible size, a closed classifier
  kModelNotFound = 2,     // there is no such file, or it cannot be read
  kModelDamaged = 3,      // changed since it was exported
  kModelUnsupported = 4,  // cut short or not exported for this library, of another version, for another processor
  kEngineMissing = 5,     // what runs the model was not built in, is not found, or is too old
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

enum class PixelFormat : int32_t {
  kGrey8,
  kRgb8,
  kBgr8,
  kRgba8,  // alpha is left out of account
  // Brightness (Y) and colour (U, V) of a camera, of even width; matrix and range say what they mean. Two columns, and but
  // for kYuyv two rows, share a colour.
  kNv12,  // after the rows of Y, half as many with a U and a V in turn, of the same stride; the height is even
  kI420,  // after the rows of Y, half as many of U, then of V, of half the stride, which is even; the height is even
  kYuyv,  // Y, U, Y, V in turn
};

// What RGB a brightness and a colour are: ITU-R BT.601, most cameras', or BT.709, most of HD video's.
enum class YuvMatrix : int32_t { kNone, kBt601, kBt709 };

// Of Y 16 to 235 and of U and V 16 to 240, or all of 0 to 255, as JPEG has it.
enum class YuvRange : int32_t { kNone, kLimited, kFull };

// The largest width and height of an image.
constexpr int64_t kMaxImageSide = 1 << 16;

// An image in the caller's memory, upright: a photo, or for Classifier::classify a face, cropped; nothing is owned, nothing
// is written.
struct ImageView {
  const uint8_t* data = nullptr;  // the first pixel of the top row
  std::size_t size = 0;           // bytes that may be read from `data` on
  int64_t width = 0;              // pixels, 1 to kMaxImageSide
  int64_t height = 0;
  int64_t stride = 0;  // bytes from a row to the next, at least a row's; 0 is a row's, without a gap
  PixelFormat format = PixelFormat::kRgb8;
  YuvMatrix matrix = YuvMatrix::kNone;  // these two must be said of kNv12, kI420 and kYuyv; of others they say nothing
  YuvRange range = YuvRange::kNone;
};

// Images on a card, and where what is found of them is to go there; nothing is owned. Pixels are of the model's own size:
// nothing is resized.
struct DeviceImages {
  const uint8_t* pixels = nullptr;  // [count][image_size][image_size][3], RGB without gaps
  std::size_t size = 0;             // bytes that may be read from `pixels` on
  std::size_t count = 0;
  float* probabilities = nullptr;  // [count][classes]
  std::size_t capacity = 0;        // floats that may be written from `probabilities` on
  void* stream = nullptr;          // a cudaStream_t of the card, not captured; null is its default stream
};

// A face in a frame, by the caller's own finder, in pixels of it; parts of it may lie outside. The first pixel's centre is at
// 0.5, 0.5.
struct Box {
  float x, y, width, height;  // x and y of the left upper corner
};

// A model in the caller's memory, as the bytes of MODEL.xml and MODEL.bin: a part of the program, say, or what it
// decrypted. It is copied, and compared with its checksums as files are.
struct ModelBytes {
  const void* graph = nullptr;
  std::size_t graph_size = 0;
  const void* weights = nullptr;
  std::size_t weights_size = 0;
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

// Whether each thread that computes stays on a processor of its own.
enum class Pinning : int32_t {
  kAuto,  // as the engine chooses
  kOff,   // threads move, as beside other work they should
  kOn,
};

// What a call took, as on_call is told it.
struct Call {
  const char* what;        // open, classify, classify_faces, enqueue or find
  const char* error;       // what() of the Error that it ends with; null of a call that ends well
  std::size_t images = 0;  // faces, frames or photos that were given
  std::size_t faces = 0;   // that were classified, enqueued or found; 0 of a call that ends with an Error
  double preprocess_ms = 0;  // in which pixels were made for the model, the sum of all threads
  double infer_ms = 0;       // in which the engine was waited for, likewise
  double call_ms = 0;        // from the call's beginning to its end
};

// Is told of each call at its end, on the thread that made it, before it returns: by as many threads at once as there are
// calls. No lock is held; it may call the library, but not destroy what tells it. What it throws becomes the call's Error,
// unless that has one.
using OnCall = std::function<void(const Call&)>;

}  // namespace fer_fast

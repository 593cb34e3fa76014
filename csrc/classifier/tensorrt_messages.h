// What TensorRT complains of, which it would print, becomes an Error.
#pragma once

#include <NvInferRuntime.h>

#include <string>

#include "fer_fast/image.h"

namespace fer_fast {

// Each thread has its own. TensorRT keeps the first logger of a process for everything that has no runtime: this one is
// never destroyed.
class Messages : public nvinfer1::ILogger {
 public:
  static Messages& all();
  void log(Severity severity, const char* message) noexcept override;
  // All since the last time.
  static std::string take();
};

// With what TensorRT said. It has no codes: memory that is full stands in its text.
[[noreturn]] void refuse(ErrorCode code, const std::string& what);

}  // namespace fer_fast

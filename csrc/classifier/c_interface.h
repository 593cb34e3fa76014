// What the functions of the C interface have in common: what may throw comes in, a code goes out.
#pragma once

#include <new>
#include <string>

#include "fer_fast/classifier.h"
#include "fer_fast/fer_fast.h"

struct fer_fast_classifier {
  fer_fast::Classifier classifier;
  std::string description;
};

namespace fer_fast {

// Keeps the text for fer_fast_last_error; the code as a number.
int32_t failed(ErrorCode code, const char* what) noexcept;

template <typename Do>
int32_t coded(Do&& doing) noexcept {
  try {
    doing();
    return FER_FAST_OK;
  } catch (const Error& error) {
    return failed(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return failed(ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    return failed(ErrorCode::kEngineFailed, error.what());
  } catch (...) {
    return failed(ErrorCode::kEngineFailed, "an exception of no known kind");
  }
}

inline void require(bool holds, const char* rule) {
  if (!holds) throw Error(ErrorCode::kInvalidArgument, rule);
}

inline ImageView view_of(const fer_fast_image& image) {
  return {image.data, image.size, image.width, image.height, image.stride, static_cast<PixelFormat>(image.format)};
}

}  // namespace fer_fast

// What the functions of the C interface have in common: what may throw comes in, a code goes out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
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

// A caller's struct as this library knows it, whether the caller was built with an older or a newer one: what an older one
// lacks is 0; of a newer one, what is not known here must be. `least` is the size that it had first:
// where the first field lies that was added since. None is added where a struct had padding: callers leave anything there.
template <typename Struct>
Struct known_part(const Struct* given, std::size_t least, const std::string& name) {
  constexpr std::size_t kMost = 4096;  // more was never written there
  const std::size_t size = given->struct_size;
  if (size < least || size > kMost) {
    throw Error(ErrorCode::kInvalidArgument, name + ": struct_size must be the struct's sizeof, at least " +
                                                 std::to_string(least) + " bytes, not " + std::to_string(size));
  }
  const auto* const bytes = reinterpret_cast<const char*>(given);
  for (std::size_t i = sizeof(Struct); i < size; ++i) {
    if (bytes[i] == 0) continue;
    throw Error(ErrorCode::kInvalidArgument, name + ": version " FER_FAST_VERSION " of the library does not know what is " +
                                                 std::to_string(i) + " bytes into the struct, so that it must be 0");
  }
  Struct known{};
  std::memcpy(&known, given, std::min(size, sizeof(Struct)));
  return known;
}

inline OnCall on_call_of(fer_fast_on_call on_call, void* context) {
  if (on_call == nullptr) return {};
  return [=](const Call& call) {
    const fer_fast_call told{sizeof(told),       call.what,     call.error,  call.images, call.faces,
                             call.preprocess_ms, call.infer_ms, call.call_ms};
    on_call(&told, context);
  };
}

inline std::string named(const char* model) {
  require(model != nullptr, "model must not be null");
  return model;
}

inline ImageView view_of(const fer_fast_image* given, const std::string& name) {
  const fer_fast_image image = known_part(given, sizeof(fer_fast_image), name);
  return {image.data,
          image.size,
          image.width,
          image.height,
          image.stride,
          static_cast<PixelFormat>(image.format),
          static_cast<YuvMatrix>(image.matrix),
          static_cast<YuvRange>(image.range)};
}

}  // namespace fer_fast

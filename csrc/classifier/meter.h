// A call comes in, and whom to tell of it; what it took goes to them.
#pragma once

#include <atomic>
#include <chrono>

#include "guarded.h"

namespace fer_fast {

// The times of one call; where nobody is to be told, no clock is read.
class Meter {
 public:
  Meter(const OnCall& on_call, const char* what, std::size_t images)
      : on_call_(on_call), what_(what), images_(images) {}

  // Any thread's.
  template <typename Do>
  void preprocess(const Do& doing) {
    timed(preprocess_, doing);
  }
  template <typename Do>
  void infer(const Do& doing) {
    timed(infer_, doing);
  }

  void tell(const char* error, std::size_t faces) const {
    if (!on_call_) return;
    const int64_t all = since(begun_);
    on_call_({what_, error, images_, faces, milliseconds(preprocess_), milliseconds(infer_), milliseconds(all)});
  }

 private:
  using Clock = std::chrono::steady_clock;

  static int64_t since(Clock::time_point begun) { return (Clock::now() - begun).count(); }
  static double milliseconds(int64_t ticks) {
    return std::chrono::duration<double, std::milli>(Clock::duration(ticks)).count();
  }

  template <typename Do>
  void timed(std::atomic<int64_t>& sum, const Do& doing) {
    if (!on_call_) return doing();
    const Clock::time_point begun = Clock::now();
    doing();
    sum += since(begun);
  }

  const OnCall& on_call_;
  const char* what_;
  std::size_t images_;
  std::atomic<int64_t> preprocess_{0}, infer_{0};
  Clock::time_point begun_ = on_call_ ? Clock::now() : Clock::time_point();
};

inline void tell_end(const Meter& meter, std::size_t faces) {
  try {
    meter.tell(nullptr, faces);
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kInvalidArgument, std::string("on_call must not throw, and did: ") + one_line(error.what()));
  } catch (...) {
    throw Error(ErrorCode::kInvalidArgument, "on_call must not throw, and did");
  }
}

inline void tell_error(const Meter& meter, const Error& error) {
  try {
    meter.tell(error.what(), 0);
  } catch (...) {  // the call has an Error already
  }
}

// Calls doing(meter), which gives the number of faces. Every exception becomes an Error; each end is told.
template <typename Do>
void metered(const OnCall& on_call, const char* what, std::size_t images, const Do& doing) {
  Meter meter(on_call, what, images);
  std::size_t faces = 0;
  try {
    faces = guarded([&] { return doing(meter); });
  } catch (const Error& error) {
    tell_error(meter, error);
    throw;
  }
  guarded([&] { tell_end(meter, faces); });
}

}  // namespace fer_fast

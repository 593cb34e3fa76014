// Threads of a test wait for each other at gates; `failures` counts what must hold and does not.
#pragma once

#include <condition_variable>
#include <iostream>
#include <mutex>

inline int failures = 0;

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << what << '\n';
  ++failures;
}

// Waited for by some, opened by another.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

// Ends a process that shows no sign of life: a native thread that needs no lock of Python's.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace fer_fast {

// Without `beat` for so many seconds it raises `signal`, whose handler may tell what threads do, and exits with 1.
// The wait is cut in slices: a process that was stopped meanwhile, by Ctrl-Z say, loses one of them alone.
class Watchdog {
 public:
  Watchdog(double seconds, int signal) : slice_(seconds / kSlices), signal_(signal), thread_([this] { watch(); }) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() { stop(); }

  void beat() { ++beats_; }

  // Returns when the thread has ended; the process lives on. A second call does nothing.
  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  static constexpr int kSlices = 10;

  void watch() {
    std::unique_lock<std::mutex> lock(mutex_);
    int idle = 0;
    for (unsigned seen = beats_; idle < kSlices;) {
      if (wake_.wait_for(lock, slice_, [this] { return stopped_; })) return;
      const unsigned now = beats_;
      idle = now == seen ? idle + 1 : 0;
      seen = now;
    }
    static constexpr char kSentence[] = "fer-fast: nothing has happened for too long: the run ends; what threads do:\n";
    if (write(STDERR_FILENO, kSentence, sizeof kSentence - 1) < 0) _exit(1);  // nobody reads it
    raise(signal_);
    _exit(1);
  }

  const std::chrono::duration<double> slice_;
  const int signal_;
  std::atomic<unsigned> beats_{0};
  bool stopped_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;  // the last member: it uses the others
};

}  // namespace fer_fast

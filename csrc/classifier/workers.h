// What is to be done comes in pieces; threads that wait for such do them, and the one that brings it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fer_fast {

class Workers {
 public:
  // Begins the threads, or as many of them as are to be had: the callers do what is left. They are begun here and not by the
  // first call, whose thread may be bound to a processor: they would be, too.
  explicit Workers(int threads);
  Workers(const Workers&) = delete;
  // No call is running.
  ~Workers();

  // Calls piece(i) for all i of [0, pieces), on this thread and on those that are idle; from any number of threads at once,
  // whose pieces take turns. Throws the first exception of any piece, once none runs; what was not begun then is left out.
  void run(int64_t pieces, const std::function<void(int64_t)>& piece);

 private:
  struct Job;
  void work();
  void do_piece(Job& job, std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable came_, done_;
  std::deque<Job*> jobs_;  // those with pieces that nobody began
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fer_fast

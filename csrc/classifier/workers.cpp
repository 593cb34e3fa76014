#include "workers.h"

#include <algorithm>

namespace fer_fast {

// Lies with its caller, who waits for it. Everything in it is read and written under the mutex.
struct Workers::Job {
  const std::function<void(int64_t)>& piece;
  int64_t pieces;
  int64_t next = 0;     // that nobody began
  int64_t running = 0;  // that were begun, and are not done
  std::exception_ptr failure;
};

Workers::Workers(int threads) {
  try {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::exception&) {  // no thread, or no memory for one, to be had
  }
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  came_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::run(int64_t pieces, const std::function<void(int64_t)>& piece) {
  Job job{piece, pieces, 0, 0, nullptr};
  std::unique_lock lock(mutex_);
  if (pieces > 1) {
    jobs_.push_back(&job);
    came_.notify_all();
  }
  while (job.next < job.pieces) do_piece(job, lock);
  done_.wait(lock, [&] { return job.running == 0; });
  if (job.failure) std::rethrow_exception(job.failure);
}

void Workers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    came_.wait(lock, [&] { return closed_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job& job = *jobs_.front();
    std::rotate(jobs_.begin(), jobs_.begin() + 1, jobs_.end());  // the next piece is another's
    do_piece(job, lock);
  }
}

void Workers::do_piece(Job& job, std::unique_lock<std::mutex>& lock) {
  const auto left = [&] { jobs_.erase(std::remove(jobs_.begin(), jobs_.end(), &job), jobs_.end()); };
  const int64_t piece = job.next++;
  if (job.next == job.pieces) left();
  ++job.running;
  lock.unlock();
  std::exception_ptr failure;
  try {
    job.piece(piece);
  } catch (...) {
    failure = std::current_exception();
  }
  lock.lock();
  --job.running;
  if (failure && !job.failure) {
    job.failure = failure;
    job.next = job.pieces;
    left();
  }
  if (job.running == 0) done_.notify_all();
}

}  // namespace fer_fast

// Faces of many callers come in, one after the other; batches that are filled within a deadline go to the classifier.
// A sketch, against which calls of one face are measured: the library has no queue.
#pragma once

#include <fer_fast/classifier.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

class Queue {
 public:
  Queue(const fer_fast::Classifier& classifier, std::size_t most, std::chrono::microseconds deadline, int workers)
      : classifier_(classifier), most_(most), deadline_(deadline) {
    for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Queue() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    came_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  std::future<std::vector<float>> submit(const fer_fast::ImageView& face) {
    std::unique_lock lock(mutex_);
    left_.wait(lock, [&] { return waiting_.size() < kMostWaiting; });
    waiting_.push_back({face, {}});
    std::future<std::vector<float>> answer = waiting_.back().answer.get_future();
    lock.unlock();
    came_.notify_one();
    return answer;
  }

 private:
  static constexpr std::size_t kMostWaiting = 256;
  struct Job {
    fer_fast::ImageView face;
    std::promise<std::vector<float>> answer;
  };

  std::vector<Job> taken() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
    came_.wait_for(lock, deadline_, [&] { return closed_ || waiting_.size() >= most_; });
    std::vector<Job> jobs;
    while (!waiting_.empty() && jobs.size() < most_) {
      jobs.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    lock.unlock();
    left_.notify_all();
    return jobs;
  }

  void work() {
    const std::size_t classes = classifier_.classes().size();
    while (true) {
      std::vector<Job> jobs = taken();
      if (jobs.empty()) {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        continue;
      }
      std::vector<fer_fast::ImageView> faces;
      for (const Job& job : jobs) faces.push_back(job.face);
      std::vector<float> rows(faces.size() * classes);
      classifier_.classify(faces.data(), faces.size(), rows.data());
      for (std::size_t i = 0; i < jobs.size(); ++i) {
        const auto row = rows.begin() + static_cast<std::ptrdiff_t>(i * classes);
        jobs[i].answer.set_value({row, row + static_cast<std::ptrdiff_t>(classes)});
      }
    }
  }

  const fer_fast::Classifier& classifier_;
  const std::size_t most_;
  const std::chrono::microseconds deadline_;
  std::mutex mutex_;
  std::condition_variable came_, left_;
  std::deque<Job> waiting_;
  bool closed_ = false;
  std::vector<std::thread> workers_;
};

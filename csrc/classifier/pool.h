// What one thread at a time may use comes in, a lease of one goes out.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

namespace fer_fast {

template <typename Thing>
class Pool {
 public:
  // Before the first lease.
  void add(Thing thing) { idle_.push_back(std::move(thing)); }

  std::size_t size() const { return idle_.size(); }  // likewise

  // A thing of one's own, waited for if all are taken.
  class Lease {
   public:
    explicit Lease(Pool& pool) : pool_(pool) {
      std::unique_lock lock(pool.mutex_);
      pool.returned_.wait(lock, [&] { return !pool.idle_.empty(); });
      thing_ = std::move(pool.idle_.back());
      pool.idle_.pop_back();
    }
    Lease(const Lease&) = delete;
    ~Lease() {
      {
        const std::lock_guard lock(pool_.mutex_);
        pool_.idle_.push_back(std::move(thing_));
      }
      pool_.returned_.notify_one();
    }
    Thing& operator*() { return thing_; }
    Thing* operator->() { return &thing_; }

   private:
    Pool& pool_;
    Thing thing_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<Thing> idle_;
};

}  // namespace fer_fast

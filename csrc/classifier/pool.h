// What one thread at a time may use comes in or is made, a lease of one goes out.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace fer_fast {

// Which of those that are idle comes next: the last used, which a cache may have, or the one that rested longest, of those that
// may still work at what they were given.
enum class Next { kLastUsed, kLongestIdle };

template <typename Thing, Next next = Next::kLastUsed>
class Pool {
 public:
  // Before the first lease.
  void add(Thing thing) { idle_.push_back(std::move(thing)); }

  std::size_t size() const { return idle_.size(); }  // likewise

  // A thing of one's own, waited for if all are taken. What is given back goes to the thread that waits longest: left for
  // whoever comes first, the one that gave it back would have it again before another is awake.
  class Lease {
   public:
    explicit Lease(Pool& pool) : pool_(pool), thing_(pool.taken()) {}
    Lease(const Lease&) = delete;
    ~Lease() { pool_.give_back(std::move(thing_)); }
    Thing& operator*() { return thing_; }
    Thing* operator->() { return &thing_; }

   private:
    Pool& pool_;
    Thing thing_;
  };

  // How many threads wait for a lease now.
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

 private:
  // Lies with the thread that waits. Everything in it is read and written under the mutex.
  struct Waiting {
    std::optional<Thing> thing;
    std::condition_variable came;  // its own: one wakes, the right one
  };

  Thing taken() {
    std::unique_lock lock(mutex_);
    if (idle_.empty()) {
      Waiting self;
      waiting_.push_back(&self);
      self.came.wait(lock, [&] { return self.thing.has_value(); });
      return std::move(*self.thing);
    }
    if (next == Next::kLongestIdle) std::rotate(idle_.begin(), idle_.begin() + 1, idle_.end());
    Thing thing = std::move(idle_.back());
    idle_.pop_back();
    return thing;
  }

  void give_back(Thing thing) {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      idle_.push_back(std::move(thing));  // there is room: nothing is thrown
      return;
    }
    Waiting& first = *waiting_.front();
    waiting_.pop_front();
    first.thing = std::move(thing);
    first.came.notify_one();  // while the mutex is held: without it `first` may be gone
  }

  std::mutex mutex_;
  std::vector<Thing> idle_;       // none while a thread waits
  std::deque<Waiting*> waiting_;  // the longest in front
};

// The same, where nobody waits: another is made if all are taken. As many stay as were ever taken at once.
template <typename Thing>
class Spares {
 public:
  class Lease {
   public:
    explicit Lease(Spares& spares) : spares_(spares), thing_(spares.taken()) {}
    Lease(const Lease&) = delete;
    ~Lease() {
      const std::lock_guard lock(spares_.mutex_);
      spares_.idle_.push_back(std::move(thing_));  // there is room: nothing is thrown
    }
    Thing& operator*() { return *thing_; }

   private:
    Spares& spares_;
    std::unique_ptr<Thing> thing_;
  };

 private:
  std::unique_ptr<Thing> taken() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) {
      auto made = std::make_unique<Thing>();
      idle_.reserve(made_ + 1);
      ++made_;
      return made;
    }
    std::unique_ptr<Thing> thing = std::move(idle_.back());  // the last used: a cache may have it
    idle_.pop_back();
    return thing;
  }

  std::mutex mutex_;
  std::size_t made_ = 0;
  std::vector<std::unique_ptr<Thing>> idle_;
};

}  // namespace fer_fast

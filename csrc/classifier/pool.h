// What one thread at a time may use comes in or is made, a lease of one goes out.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
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

  // A thing of one's own, waited for if all are taken.
  class Lease {
   public:
    explicit Lease(Pool& pool) : pool_(pool) {
      std::unique_lock lock(pool.mutex_);
      pool.returned_.wait(lock, [&] { return !pool.idle_.empty(); });
      if (next == Next::kLongestIdle) std::rotate(pool.idle_.begin(), pool.idle_.begin() + 1, pool.idle_.end());
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

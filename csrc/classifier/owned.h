// What one process opened comes in; it alone may use it, and take it apart.
#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

#include "fer_fast/image.h"

namespace fer_fast {

// An engine has threads, and fork copies none of them: in a child a call would wait for them for ever, and so would a
// destructor.
template <typename Thing>
class Owned {
 public:
  Owned() = default;
  template <typename Kind>
  Owned(std::unique_ptr<Kind> thing) : thing_(std::move(thing)) {}
  Owned(Owned&&) noexcept = default;
  Owned& operator=(Owned&& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(thing_, other.thing_);
    return *this;
  }
  ~Owned() {
    if (getpid() != owner_) static_cast<void>(thing_.release());
  }

  // Throw Error in a child of the process that opened it.
  Thing& operator*() const { return *operator->(); }
  Thing* operator->() const {
    if (getpid() == owner_) return thing_.get();
    throw Error(ErrorCode::kInvalidArgument,
                "this model was opened before fork, by process " + std::to_string(owner_) +
                    ": open after fork, in each process its own");
  }

 private:
  pid_t owner_ = getpid();
  std::unique_ptr<Thing> thing_;
};

}  // namespace fer_fast

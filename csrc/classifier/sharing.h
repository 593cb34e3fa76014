// What is to be done comes in pieces, threads that live as long as the call do them.
#pragma once

#include <algorithm>
#include <exception>
#include <mutex>

#include "fer_fast/tokens.h"

namespace fer_fast {

// Calls doing(first, taken) for all of [0, count), at most `batch` at a time, on `threads` threads; once they are done
// the first exception of any of them is the call's.
template <typename Do>
void share_out(int64_t count, int64_t batch, int threads, const Do& doing) {
  struct Work {
    const Do& doing;
    int64_t count, batch;
    std::mutex mutex;
    std::exception_ptr failure;

    static void pieces(int64_t begin, int64_t end, void* context) {
      Work& work = *static_cast<Work*>(context);
      try {
        for (int64_t first = begin * work.batch; first < std::min(end * work.batch, work.count); first += work.batch) {
          work.doing(first, std::min(work.batch, work.count - first));
        }
      } catch (...) {
        const std::lock_guard lock(work.mutex);
        if (!work.failure) work.failure = std::current_exception();
      }
    }
  };
  Work work{doing, count, batch, {}, {}};
  spawn_threads((count + batch - 1) / batch, 1, threads, Work::pieces, &work);
  if (work.failure) std::rethrow_exception(work.failure);
}

}  // namespace fer_fast

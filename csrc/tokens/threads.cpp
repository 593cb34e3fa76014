// Spreads a range over threads that live as long as the call: a range and a task come in, the finished task goes out.
#include <algorithm>
#include <exception>
#include <thread>
#include <vector>

#include "fer_fast/tokens.h"

namespace fer_fast {

void spawn_threads(int64_t count, int64_t grain, int threads, ParallelTask task, void* context) {
  const int64_t pieces = std::max<int64_t>(1, std::min<int64_t>(threads, count / std::max<int64_t>(1, grain)));
  const auto bound = [&](int64_t piece) { return count / pieces * piece + std::min(piece, count % pieces); };
  std::vector<std::thread> others;
  others.reserve(static_cast<size_t>(pieces - 1));
  for (int64_t piece = 1; piece < pieces; ++piece) {
    try {
      others.emplace_back(task, bound(piece), bound(piece + 1), context);
    } catch (const std::exception&) {  // no thread, or no memory for one, to be had: this one does the piece
      task(bound(piece), bound(piece + 1), context);
    }
  }
  task(bound(0), bound(1), context);
  for (std::thread& other : others) other.join();
}

}  // namespace fer_fast

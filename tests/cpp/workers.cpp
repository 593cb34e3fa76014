// Threads that do pieces: all are done, once, by as many as there are; what fails, waits and ends does so by itself alone.
#include "../../csrc/classifier/workers.h"

#include <atomic>
#include <stdexcept>
#include <string>

#include "gate.h"

using fer_fast::Workers;

namespace {

void each_piece_is_done_once(int threads) {
  Workers workers(threads);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&, caller] {
      for (int64_t pieces = 0; pieces < 50; ++pieces) {
        std::vector<int64_t> done(static_cast<std::size_t>(pieces));  // the others' writes are seen without a lock
        workers.run(pieces, [&](int64_t piece) { done[static_cast<std::size_t>(piece)] += caller + piece + 1; });
        for (int64_t piece = 0; piece < pieces; ++piece) {
          if (done[static_cast<std::size_t>(piece)] != caller + piece + 1) ++wrong;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  require(wrong == 0, "each piece is done once");
}

// The first of two opens the gate that the second waits for, or the other way: one thread alone would wait for ever.
void two_run_side_by_side() {
  Workers workers(1);
  Gate first, second;
  workers.run(2, [&](int64_t piece) {
    (piece == 0 ? first : second).open();
    (piece == 0 ? second : first).wait();
  });
}

void a_call_waits_for_no_other() {
  Workers workers(1);
  Gate begun[2], end;
  std::thread other([&] {
    workers.run(2, [&](int64_t piece) {
      begun[piece].open();
      end.wait();
    });
  });
  for (Gate& gate : begun) gate.wait();  // the worker and the other caller are at these
  std::atomic<int> done{0};
  workers.run(5, [&](int64_t) { ++done; });
  require(done == 5, "a call whose worker is at another's does its own pieces");
  end.open();
  other.join();
}

// The first pieces of two calls wait for the others, which are left to the one thread that comes back from a third call.
void calls_take_turns() {
  Workers workers(1);
  Gate busy[2], free, begun[2], end;
  std::thread third([&] {
    workers.run(2, [&](int64_t piece) {
      busy[piece].open();
      free.wait();
    });
  });
  for (Gate& gate : busy) gate.wait();
  std::string order;
  const auto call = [&](int caller) {
    workers.run(3, [&](int64_t piece) {
      if (piece == 0) {
        begun[caller].open();
        end.wait();
      } else {
        order += caller == 0 ? 'a' : 'b';
        if (order.size() == 4) end.open();
      }
    });
  };
  std::thread a(call, 0);
  begun[0].wait();
  std::thread b(call, 1);
  begun[1].wait();
  free.open();
  for (std::thread* thread : {&a, &b, &third}) thread->join();
  require(order == "abab", "the pieces of two calls take turns");
}

void what_fails_is_the_calls_alone() {
  Workers workers(3);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&, caller] {
      for (int call = 0; call < 50; ++call) {
        std::atomic<int> begun{0}, ended{0};
        bool thrown = false;
        try {
          workers.run(20, [&](int64_t piece) {
            ++begun;
            ++ended;
            if (caller % 2 == 0 && piece == 3) throw std::runtime_error(std::to_string(caller));
          });
        } catch (const std::runtime_error& error) {
          thrown = error.what() == std::to_string(caller);
        }
        if (thrown != (caller % 2 == 0) || begun != ended || (!thrown && begun != 20)) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  require(wrong == 0, "a piece that fails is its call's failure, and that call's alone");
}

void after_a_failure_nothing_is_begun() {
  Workers none(0);
  int done = 0;
  try {
    none.run(9, [&](int64_t piece) {
      if (piece == 4) throw 4;
      ++done;
    });
    require(false, "a failure is thrown");
  } catch (const int piece) {
    require(piece == 4 && done == 4, "after a failure nothing is begun");
  }
}

}  // namespace

int main() {
  for (const int threads : {0, 1, 5}) each_piece_is_done_once(threads);
  for (int i = 0; i < 100; ++i) two_run_side_by_side();
  a_call_waits_for_no_other();
  calls_take_turns();
  what_fails_is_the_calls_alone();
  after_a_failure_nothing_is_begun();
  return failures == 0 ? 0 : 1;
}

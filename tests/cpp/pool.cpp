// Things that one thread at a time has: who waits longest is next, whatever those before it do.
#include "../../csrc/classifier/pool.h"

#include <stdexcept>
#include <string>
#include <thread>

#include "gate.h"

using fer_fast::Next;
using fer_fast::Pool;
using fer_fast::Spares;

namespace {

// Threads that call doing(number, thing), which may throw a runtime_error; each waits for its thing before the next one asks.
template <typename Thing, typename Do>
std::vector<std::thread> waiting(Pool<Thing>& pool, std::size_t count, const Do& doing) {
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < count; ++number) {
    threads.emplace_back([&, number] {
      try {
        typename Pool<Thing>::Lease thing(pool);
        doing(number, *thing);
      } catch (const std::runtime_error&) {
      }
    });
    while (pool.waiting() <= number) std::this_thread::yield();
  }
  return threads;
}

void join(std::vector<std::thread>& threads) {
  for (std::thread& thread : threads) thread.join();
}

void who_gives_back_and_asks_again_is_last() {
  Pool<std::string> pool;
  pool.add("");
  std::optional<Pool<std::string>::Lease> mine(std::in_place, pool);
  const auto sign = [](std::size_t number, std::string& order) { order += std::to_string(number); };  // without a lock
  std::vector<std::thread> threads = waiting(pool, 8, sign);
  mine.reset();
  mine.emplace(pool);
  require(**mine == "01234567", "turns come in the order in which they were asked for");
  join(threads);
}

void each_thing_goes_to_who_waits_longest() {
  Pool<int> pool;
  for (const int thing : {1, 2}) pool.add(thing);
  std::optional<Pool<int>::Lease> first(std::in_place, pool), second(std::in_place, pool);
  const int things[] = {**second, **first};
  int got[3];
  Gate begun[3], end;
  const auto hold = [&](std::size_t number, int& thing) {
    got[number] = thing;
    begun[number].open();
    end.wait();
  };
  std::vector<std::thread> threads = waiting(pool, 3, hold);
  second.reset();
  begun[0].wait();
  first.reset();
  begun[1].wait();
  require(got[0] == things[0] && got[1] == things[1], "what is given back goes to the one that waits longest");
  require(pool.waiting() == 1, "and to no other");
  end.open();
  join(threads);
}

void what_fails_gives_its_turn_on() {
  Pool<std::string> pool;
  pool.add("");
  std::optional<Pool<std::string>::Lease> mine(std::in_place, pool);
  const auto fail = [](std::size_t number, std::string& order) {
    order += std::to_string(number);
    throw std::runtime_error("it failed");
  };
  std::vector<std::thread> threads = waiting(pool, 4, fail);
  mine.reset();
  join(threads);
  mine.emplace(pool);
  require(**mine == "0123" && pool.waiting() == 0, "a turn that fails is the next one's");
}

void nothing_is_lost_between_many() {
  constexpr int kThreads = 8, kTurns = 2000;
  Pool<int> pool;
  for (int i = 0; i < 2; ++i) pool.add(0);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < kTurns; ++turn) ++*Pool<int>::Lease(pool);
    });
  }
  join(threads);
  Pool<int>::Lease one(pool), other(pool);
  require(*one + *other == kThreads * kTurns, "one thread at a time has each thing");
}

template <Next next>
std::string four_turns() {
  Pool<char, next> pool;
  for (const char thing : {'a', 'b', 'c'}) pool.add(thing);
  std::string order;
  for (int turn = 0; turn < 4; ++turn) order += *typename Pool<char, next>::Lease(pool);
  return order;
}

void which_of_the_idle_is_next() {
  require(four_turns<Next::kLastUsed>() == "cccc", "the last used is next");
  require(four_turns<Next::kLongestIdle>() == "abca", "the one that rested longest is next");
}

void what_is_spare_is_used_again() {
  Spares<int> spares;
  {
    Spares<int>::Lease one(spares), other(spares);
    require(&*one != &*other, "two at once are two");
    *one = 1, *other = 2;
  }
  Spares<int>::Lease first(spares), second(spares), third(spares);
  require(*first + *second == 3 && *third == 0, "what was given back comes again, and then another");
}

}  // namespace

int main() {
  who_gives_back_and_asks_again_is_last();
  each_thing_goes_to_who_waits_longest();
  what_fails_gives_its_turn_on();
  nothing_is_lost_between_many();
  which_of_the_idle_is_next();
  what_is_spare_is_used_again();
  return failures == 0 ? 0 : 1;
}

"""Things that threads use in turn go to the one that waits longest, whoever is quicker."""

from __future__ import annotations

import threading

import pytest
from decoding import until

from fer_fast.engines import pool as pool_module
from fer_fast.engines.pool import Pool


def waiting(pool: Pool[str], count: int, took: list[int]) -> list[threading.Thread]:
    """Threads that wait for what the pool gives, in the order of their numbers."""

    def take(number: int) -> None:
        thing = pool.get()
        took.append(number)
        pool.put(thing)

    threads = []
    for number in range(count):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        until(lambda number=number: len(pool._waiting) == number + 1)
    return threads


def ended(thread: threading.Thread) -> None:
    """Waits for a thread, but not for ever."""
    thread.join(30)
    assert not thread.is_alive()


def test_who_waits_longest_is_next_and_who_asks_again_is_last() -> None:
    pool: Pool[str] = Pool()
    pool.put("thing")
    thing, took = pool.get(), []
    threads = waiting(pool, 4, took)
    pool.put(thing)
    thing = pool.get()
    took.append(-1)
    assert took == [0, 1, 2, 3, -1]
    for thread in threads:
        ended(thread)


def test_what_came_first_is_taken_first() -> None:
    pool: Pool[str] = Pool()
    for thing in "abc":
        pool.put(thing)
    assert [pool.get(), pool.get(), pool.get()] == ["a", "b", "c"]


def test_what_was_lost_is_replaced_for_the_one_that_waits_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE", 0.01)
    lost: list[str] = []
    pool: Pool[str] = Pool(lambda: lost.pop() if lost else None)
    took: list[int] = []
    threads = waiting(pool, 3, took)
    lost.append("thing")  # none sooner: one of three that wait would have it before the third was seen to wait
    for thread in threads:
        ended(thread)
    assert took == [0, 1, 2]


def test_a_place_in_line_that_was_lost_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE", 0.01)
    pool: Pool[str] = Pool()
    took: list[int] = []
    (thread,) = waiting(pool, 1, took)
    pool._waiting.clear()  # as a Ctrl-C in the midst of handing over would
    pool._idle.put("thing")
    ended(thread)
    assert took == [0]


def test_what_comes_while_a_wait_breaks_off_is_the_next_one_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C ends a wait to which a thing has just been given."""
    pool: Pool[str] = Pool()
    hand_over = pool._hand_over

    def interrupted() -> None:
        monkeypatch.setattr(pool, "_hand_over", hand_over)
        pool.put("thing")
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_hand_over", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.get()
    assert pool.get() == "thing"

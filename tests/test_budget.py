"""Threads that ask for memory come in; never more than there is may be held, and nobody waits for ever."""

import threading

import pytest
from decoding import until

from fer_fast.decode.budget import Budget


class Asking(threading.Thread):
    """A thread that takes memory and holds it until it is told otherwise."""

    def __init__(self, budget, size):
        super().__init__(daemon=True)
        self.budget, self.size = budget, size
        self.has, self.may_go = threading.Event(), threading.Event()
        self.start()

    def run(self):
        with self.budget.take(self.size):
            self.has.set()
            self.may_go.wait(30)

    def goes(self):
        self.may_go.set()
        self.join(30)


def test_what_is_free_is_given_at_once_and_the_rest_is_waited_for():
    budget = Budget(100)
    first, second = Asking(budget, 60), Asking(budget, 40)
    assert first.has.wait(30) and second.has.wait(30)
    third = Asking(budget, 1)
    assert not third.has.wait(0.05)
    second.goes()
    assert third.has.wait(30)
    first.goes()
    third.goes()
    with budget.take(100):
        pass


def test_who_asks_for_much_is_not_passed_by_those_who_ask_for_little():
    budget = Budget(100)
    first = Asking(budget, 60)
    assert first.has.wait(30)
    large = Asking(budget, 100)
    until(lambda: len(budget._waiting) == 1)
    little = Asking(budget, 1)
    until(lambda: len(budget._waiting) == 2)
    assert not little.has.is_set()
    first.goes()
    assert large.has.wait(30) and not little.has.is_set()
    large.goes()
    assert little.has.wait(30)
    little.goes()


def test_an_error_gives_back_what_was_taken():
    budget = Budget(10)
    with pytest.raises(KeyError), budget.take(10):
        raise KeyError
    with budget.take(10):
        pass


def test_more_than_there_is_is_refused():
    with pytest.raises(ValueError, match="11 bytes are more than the 10"), Budget(10).take(11):
        pass

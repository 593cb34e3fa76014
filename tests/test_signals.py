"""Signals that are held back: none is lost, none is handled inside, and the handlers of before are there again."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from fer_fast.machine.signals import held_back


def test_a_signal_is_handled_when_it_ends(interruptible: None) -> None:
    seen = []
    with pytest.raises(KeyboardInterrupt), held_back() as came:
        assert came == []
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        seen += came
    assert seen == [signal.SIGINT, signal.SIGINT]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_what_fails_inside_does_not_lose_a_signal(interruptible: None) -> None:
    with pytest.raises(KeyboardInterrupt) as raised, held_back():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("inside")
    assert isinstance(raised.value.__context__, ValueError)


def test_own_handlers_are_called_and_the_systems_stay() -> None:
    called = []
    before = signal.signal(signal.SIGTERM, lambda number, _: called.append(number))
    hangup = signal.getsignal(signal.SIGHUP)
    try:
        with held_back():
            signal.raise_signal(signal.SIGTERM)
            assert signal.getsignal(signal.SIGHUP) is hangup and called == []
        assert called == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_leaves_the_handlers_alone() -> None:
    def inside() -> object:
        with held_back():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() is signal.getsignal(signal.SIGINT)

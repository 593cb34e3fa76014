"""A run that waits too long ends: what every thread does is told, and the caller gets an error instead of no answer."""

from __future__ import annotations

import logging
import math
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from fer_fast.machine.begun import begun
from fer_fast.types import StalledError

#: Seconds without a batch after which a run ends.
DEFAULT_STALL_TIMEOUT = 300.0
#: A wait is cut in so many, or more: a process that was stopped meanwhile, by Ctrl-Z say, loses one of them alone.
_SLICES = 10
#: None is longer: a signal that comes between Python's look for one and its wait is seen when that ends.
_LONGEST_SLICE = 1.0

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Pulse:
    """Signs of life of a run, from any of its threads."""

    def __init__(self) -> None:
        self._beats = 0
        self._counts: list[Callable[[], int]] = []
        self._outside = 0

    @property
    def beats(self) -> int:
        """Changes with all that is done."""
        return self._beats + sum(count() for count in self._counts)

    def beat(self) -> None:
        """Something was done."""
        self._beats += 1

    def follow(self, count: Callable[[], int]) -> None:
        """Beats, too, whenever what `count` gives changes."""
        self._counts.append(count)

    def forget(self, count: Callable[[], int]) -> None:
        """Follows it no more, if it did."""
        self._counts = [each for each in self._counts if each is not count]

    @property
    def is_outside(self) -> bool:
        """Whether the run waits for others: who writes its list, or reads its output."""
        return self._outside > 0

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Around what waits for others, for as long as they like; of one thread."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1


def wait_for(future: Future[_T], seconds: float, pulse: Pulse, waiting_for: str) -> _T:
    """The result of a future, if anything happens meanwhile.

    Args:
        future: what is waited for.
        seconds: how long there may be no beat; 0 is for ever.
        pulse: beats with all that is done.
        waiting_for: what the message says.

    Raises:
        StalledError: nothing has happened for so long; the log has every thread's stack.
    """
    idle, slices = 0, max(_SLICES, math.ceil(seconds / _LONGEST_SLICE))
    slice_seconds = seconds / slices or _LONGEST_SLICE
    while True:
        seen = pulse.beats
        try:
            return future.result(slice_seconds)
        except TimeoutError:
            if future.done():
                return future.result()  # an error of its own that is a TimeoutError, or it came just now
            idle = idle + 1 if pulse.beats == seen else 0
            if seconds and idle == slices:
                _log.error("%s", stacks())
                raise StalledError(f"{waiting_for} has not come for {seconds:g} seconds: the run has stalled") from None


def within(seconds: float, work: Callable[[], _T], waiting_for: str) -> _T:
    """What `work` returns, done on a thread of its own, so that the caller's can stop waiting.

    Raises:
        StalledError: see `wait_for`; the thread is left behind.
    """
    return wait_for(begun(work, "fer-fast-open"), seconds, Pulse(), waiting_for)


def stacks() -> str:
    """What every thread does now."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    told = []
    for ident, frame in sys._current_frames().items():
        told.append(f"thread {names.get(ident, ident)}:")
        told += [line.rstrip() for line in traceback.format_stack(frame)]
    return "\n".join(told)

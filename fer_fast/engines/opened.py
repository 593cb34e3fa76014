"""What a process opens, calls from many threads and closes: no call after its end, none in a forked child, none hangs.

Foreign libraries prepare themselves in their first call, and some do it in a way that two first calls at once wait for
each other for ever. So whatever opens something holds `alone` meanwhile and makes the first call itself.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from fer_fast.machine.forked import keep_in_children
from fer_fast.types import FerFastError

#: Seconds between two looks at whether calls have ended.
_TICK = 0.005

_lock = threading.RLock()
_torch_is_inherited = False


@contextmanager
def alone() -> Iterator[None]:
    """One thread of this process at a time; a thread may enter again."""
    with _lock:
        yield


def torch_is_inherited() -> bool:
    """Whether this process was forked from one that had loaded torch: OpenMP's threads then stayed behind."""
    return _torch_is_inherited


class _Mark:
    """A call that runs: it lives as long as the call's frame, whatever ends that."""


class Opened(ABC):
    """Counts its calls: closing refuses later ones and waits for those of other threads.

    A Ctrl-C may end a call between any two steps, so calls are marks that die with them, and the lock is one that is
    taken and given back by the interpreter itself.

    Attributes:
        kind: what it is called in messages.
        owner: what a user opens to have it.
    """

    kind: str
    owner = "Classifier"

    def __init__(self) -> None:
        self._process = os.getpid()
        # Re-entrant: a signal's handler may close what the code that it interrupts is calling.
        self._change = threading.RLock()
        self._callers: weakref.WeakKeyDictionary[_Mark, int] = weakref.WeakKeyDictionary()  # to its thread's number
        self._closed = self._released = False
        keep_in_children(self)

    def close(self) -> None:
        """Gives back what it holds when the calls that run have ended, and waits for them; later calls are refused.

        From any thread, any number of times. A thread that is inside a call, as a signal's handler is, does not wait.
        In a forked child it does nothing: what was opened is the parent's.
        """
        if self._is_inherited():
            return
        mine = threading.get_ident()
        self._closed = True
        while (running := self._running()) and mine not in running:
            time.sleep(_TICK)
        self._release_once()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Around each call.

        Raises:
            FerFastError: it is closed, or was opened by the process from which this one was forked.
        """
        self._check_process()  # before the lock, which a thread may have held that is not in this process
        mark = _Mark()
        try:
            with self._change:
                self._check_not_closed()
                self._callers[mark] = threading.get_ident()
            yield
        finally:
            with self._change:
                self._callers.pop(mark, None)
            if self._closed:  # by this thread, inside the call, so that nobody waited
                self._release_once()

    def check_open(self) -> None:
        """Refuses, before work begins, what each call would refuse.

        Raises:
            FerFastError: it is closed, or was opened by the process from which this one was forked.
        """
        self._check_process()
        self._check_not_closed()

    def _check_process(self) -> None:
        if self._is_inherited():
            advice = f"open a {self.owner} in each process, by spawn or forkserver"
            raise FerFastError(f"the {self.kind} was opened before fork: {advice}")

    def _check_not_closed(self) -> None:
        if self._closed:
            raise FerFastError(f"the {self.kind} is closed")

    def _running(self) -> set[int]:
        """The threads that are in a call."""
        with self._change:
            return set(self._callers.values())

    def _release_once(self) -> None:
        with self._change:
            if self._callers or self._released:
                return
            self._released = True
            self._release()

    def _is_inherited(self) -> bool:
        return os.getpid() != self._process

    @abstractmethod
    def _release(self) -> None:
        """Gives back what it holds; called once, when nothing runs."""


def _after_fork() -> None:
    global _lock, _torch_is_inherited
    _lock = threading.RLock()
    _torch_is_inherited = _torch_is_inherited or "torch" in sys.modules


os.register_at_fork(after_in_child=_after_fork)


def check_open(classifier: object) -> None:
    """A closed classifier would fail on the first batch.

    Raises:
        FerFastError: see `Opened.check_open`.
    """
    if isinstance(classifier, Opened):
        classifier.check_open()

"""Things that threads use in turn: requests of a compiled graph, streams and cards."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

#: Seconds after which a thread that waits looks whether a thing was lost.
PATIENCE = 1.0


class Pool(Generic[T]):
    """What is put goes to the thread that waits longest; safe to call from many threads.

    From a queue of the standard library the thread that has just put something takes it again, before another that
    waits for it is awake.

    Args:
        replaced: asked while a thread waits; gives what is put in the stead of a thing that was lost, or None. A Ctrl-C
            between two steps may lose one.
    """

    def __init__(self, replaced: Callable[[], T | None] = lambda: None) -> None:
        self._replaced = replaced
        self._idle: SimpleQueue[T] = SimpleQueue()
        self._waiting: deque[SimpleQueue[T]] = deque()
        self._lock = threading.Lock()

    def put(self, thing: T) -> None:
        """Gives a thing, or gives it back."""
        self._idle.put(thing)  # at once: a Ctrl-C that comes now loses nothing
        self._hand_over()

    def get(self) -> T:
        """Takes a thing of one's own, waited for if there is none."""
        mine: SimpleQueue[T] = SimpleQueue()
        self._waiting.append(mine)
        try:
            self._hand_over()
            while True:
                with suppress(Empty):
                    return mine.get(timeout=PATIENCE)
                self._mend(mine)
        except BaseException:
            self._leave(mine)
            raise

    def _hand_over(self) -> None:
        with self._lock:
            while self._waiting and not self._idle.empty():
                self._waiting.popleft().put(self._idle.get())

    def _mend(self, mine: SimpleQueue[T]) -> None:
        """A Ctrl-C between two steps may have lost a thing or a place in line, or left a thing lying."""
        if (thing := self._replaced()) is not None:
            self._idle.put(thing)
        with self._lock:
            if mine.empty() and mine not in self._waiting:
                self._waiting.append(mine)
        self._hand_over()

    def _leave(self, mine: SimpleQueue[T]) -> None:
        """Waits no longer; what came meanwhile is the next one's."""
        with self._lock, suppress(ValueError):
            self._waiting.remove(mine)
        with suppress(Empty):
            self.put(mine.get_nowait())

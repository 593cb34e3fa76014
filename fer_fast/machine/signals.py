"""Signals that come at a bad moment are handled after it: foreign code that calls Python loses what they raise."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: What asks a process to end.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_back() -> Iterator[list[int]]:
    """The numbers of the signals that have come since it began; their handlers run when it ends.

    Python's handlers run in the main thread alone: in another one there is nothing to hold back.
    """
    came: list[int] = []
    handlers: dict[int, Callable[..., Any]] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            if callable(handler := signal.getsignal(number)):
                handlers[number] = handler
                signal.signal(number, lambda which, _: came.append(which))
    try:
        yield came
    finally:
        for held, handler in handlers.items():
            signal.signal(held, handler)
        for each in dict.fromkeys(came):
            signal.raise_signal(each)

"""Ends a process in which no Python code can run any more, after telling what every thread does.

A library that waits for another thread while it holds the interpreter's lock stops all of Python, so that no guard
written in Python would notice; this one is a native thread.
"""

from __future__ import annotations

import faulthandler
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fer_fast.ops import native
from fer_fast.types import FerFastError

_log = logging.getLogger(__name__)


@contextmanager
def watching(seconds: float) -> Iterator[None]:
    """While inside: if Python stands still for so long, every thread's stack goes to standard error and status is 1.

    Args:
        seconds: 0 never ends the process.
    """
    try:
        core = native.core() if seconds else None
    except FerFastError as error:
        _log.info("a standstill of Python will not be noticed: %s", error)
        core = None
    if core is None or sys.stderr is None:
        yield
        return
    faulthandler.register(signal.SIGUSR2, file=sys.__stderr__ or sys.stderr, all_threads=True)
    watchdog = core.Watchdog(seconds, signal.SIGUSR2)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(min(seconds / 40, 1.0)):
            watchdog.beat()

    threading.Thread(target=beat, name="fer-fast-beat", daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        watchdog.stop()
        faulthandler.unregister(signal.SIGUSR2)

"""Ends a command that shows no sign of life, after telling what every thread does.

A library that waits for another thread while it holds the interpreter's lock stops all of Python, so that no guard
written in Python would notice; this one is a native thread. It is the last resort: a run that waits for a batch ends
before, in better order.
"""

from __future__ import annotations

import faulthandler
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fer_fast.machine.stall import Pulse
from fer_fast.ops import native
from fer_fast.types import FerFastError

_log = logging.getLogger(__name__)

#: Thirty years; what is much longer overflows the clock.
_LONGEST = 1e9


@contextmanager
def watching(seconds: float, pulse: Pulse) -> Iterator[None]:
    """While inside: if nothing happens for longer, every thread's stack goes to standard error, and the status is 1.

    Args:
        seconds: how long there may be no beat, half as long again and five seconds at least added; 0 never ends it.
        pulse: of what is done inside.
    """
    try:
        core = native.core() if seconds else None
    except FerFastError as error:
        _log.info("a standstill will not be noticed: %s", error)
        core = None
    if core is None or sys.stderr is None:
        yield
        return
    faulthandler.register(signal.SIGUSR2, file=sys.__stderr__ or sys.stderr, all_threads=True)
    patience = min(seconds + max(seconds / 2, 5.0), _LONGEST)
    watchdog = core.Watchdog(patience, signal.SIGUSR2)
    stop = threading.Event()

    def beat() -> None:
        seen = -1
        while not stop.wait(min(patience / 40, 1.0)):
            if pulse.is_outside or pulse.beats != seen:
                seen = pulse.beats
                watchdog.beat()

    threading.Thread(target=beat, name="fer-fast-beat", daemon=True).start()
    try:
        yield
    finally:
        stop.set()
        watchdog.stop()
        faulthandler.unregister(signal.SIGUSR2)

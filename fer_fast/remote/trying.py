"""Work that a network may spoil comes in; it is tried again, later each time, until it is done or its error stays."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from fer_fast.remote.faults import PassingError, fault_of

#: Seconds between tries, of which each waits from half to all: who failed together does not come again together.
PAUSES = (0.5, 1.0, 2.0, 4.0)

_Result = TypeVar("_Result")


def tried(work: Callable[[], _Result], stopping: threading.Event | None = None) -> _Result:
    """What `work` returns.

    Args:
        work: is called up to once more than there are `PAUSES`.
        stopping: once it is set, there is no other try.

    Raises:
        DecodeError: see `fault_of`; nothing else.
    """
    stopping = stopping or threading.Event()
    for pause in PAUSES:
        try:
            return work()
        except Exception as error:
            fault = fault_of(error)
            if not isinstance(fault, PassingError) or stopping.wait(pause * random.uniform(0.5, 1)):
                raise fault from error
    try:
        return work()
    except Exception as error:
        raise fault_of(error) from error

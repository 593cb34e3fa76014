"""Work that is done meanwhile: a function comes in, what it will return goes out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


def begun(work: Callable[[], _Result], name: str) -> Future[_Result]:
    """What `work` returns or raises, done on a thread of its own, which keeps no process alive.

    Args:
        work: the function.
        name: of the thread.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future

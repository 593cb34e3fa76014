"""The futures that a decoder still owes come in; each is answered, whatever becomes of the decoder."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import NoReturn

from fer_fast.decode.interface import Decoded
from fer_fast.types import FerFastError, one_line

_CLOSED = "the decoder is closed"


class Pending:
    """What a decoder owes. Safe from several threads; of no use in a forked child, and says so.

    Attributes:
        closed: nothing is owed any more, and nothing will be.
    """

    def __init__(self) -> None:
        self.closed = False
        self._process = os.getpid()
        self._futures: set[Future[Decoded]] = set()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Futures that are owed."""
        return len(self._futures)

    def is_here(self) -> bool:
        """Whether this process made the decoder: a forked child has its memory, but not its threads."""
        return os.getpid() == self._process

    def check(self) -> None:
        """Refuses what nobody would answer.

        Raises:
            FerFastError: the decoder is closed, or belongs to the process that this one was forked from.
        """
        if not self.is_here():
            raise FerFastError(f"the decoder belongs to process {self._process}; a forked process opens its own")
        if self.closed:
            raise FerFastError(_CLOSED)

    def add(self) -> Future[Decoded]:
        """A new future.

        Raises:
            FerFastError: as `check`.
        """
        self.check()  # before the lock: a thread that is not here may have held it
        future: Future[Decoded] = Future()
        with self._lock:
            self.check()
            self._futures.add(future)
        return future

    def answer(self, future: Future[Decoded], decoded: Decoded) -> None:
        """Completes a future, unless it has been answered or cancelled."""
        self._forget(future)
        with suppress(InvalidStateError):
            future.set_result(decoded)

    def fail(self, future: Future[Decoded], error: BaseException) -> None:
        """The same where the decoder itself fails."""
        self._forget(future)
        found = error if isinstance(error, FerFastError) else FerFastError(f"the decoder failed: {one_line(error)}")
        with suppress(InvalidStateError):
            future.set_exception(found)

    def refuse(self, future: Future[Decoded], error: RuntimeError) -> NoReturn:
        """Fails a future whose work a pool of threads does not take.

        Raises:
            FerFastError: why not.
        """
        found = FerFastError(_CLOSED if self.closed else f"the decoder takes no work: {one_line(error)}")
        self.fail(future, found)
        raise found from error

    def close(self) -> bool:
        """Fails what is owed; False if there is nothing to close: it was done, or another process does it."""
        if not self.is_here():
            return False
        with self._lock:
            if self.closed:
                return False
            self.closed = True
            owed = list(self._futures)
        for future in owed:
            self.fail(future, FerFastError(_CLOSED))
        return True

    def _forget(self, future: Future[Decoded]) -> None:
        with self._lock:
            self._futures.discard(future)

"""Large, slow and odd files come in; each is decoded in a process of its own that can be ended, as memory allows."""

from __future__ import annotations

import os
import threading

import numpy as np
import numpy.typing as npt

from fer_fast.decode.budget import Budget
from fer_fast.decode.codecs import decode_content, decode_file
from fer_fast.decode.limits import Large, LargeError, Limits
from fer_fast.decode.pixels import spread
from fer_fast.decode.process import Answer
from fer_fast.decode.processes import DecodingProcesses
from fer_fast.types import DecodeError, FerFastError, Status, one_line


class Apart:
    """Decodes one file at a time for each thread that asks; safe from several.

    Args:
        count: files at once, at most.
        side: S.
        limits: of each file.
        budget: the memory that all workers share.
    """

    def __init__(self, count: int, side: int, limits: Limits, budget: Budget) -> None:
        self._side = side
        self._limits = limits
        self._budget = budget
        self._turns = threading.Semaphore(count)
        self._processes = DecodingProcesses(count, side, 1, limits)
        self._is_closed = False

    def decode(self, path: str, out: npt.NDArray[np.uint8], large: Large) -> Answer:
        """Decodes a file; for a thread that holds nothing of the budget.

        Args:
            path: of the file.
            out: uint8 [S, S, 3]; of no use where the file gives no pixels.
            large: what is known of it.

        Returns:
            What became of it, by the file as it is now.

        Raises:
            FerFastError: closed, before it was decoded or meanwhile.
        """
        with self._turns, self._budget.take(min(large.memory, self._limits.max_memory)):
            answer = self._processes.decode_one(path, out[None], large.memory)
            if self._is_closed:
                raise FerFastError("the decoder is closed")
            if answer is None or is_unreadable(answer):  # what a process cannot read may be this one's alone
                answer = decoded_here(path, out, self._limits, large.memory)
        if isinstance(answer, Large):
            return DecodeError(Status.FAILED, "the file was changed while it was read", answer.stamp)
        return answer

    def decode_content(self, encoded: bytes) -> npt.NDArray[np.uint8]:
        """Decodes an image file that is in memory; see `Decoder.decode_content`."""
        out = np.empty((self._side, self._side, 3), np.uint8)
        try:
            with self._budget.take(self._limits.small):
                data = decode_content(encoded, self._side, self._limits, self._limits.small, in_thread=True)
        except LargeError as error:
            large = error.large
        else:
            spread(data, out)
            return out
        answer = self._as_file(encoded, out, large)
        if is_unreadable(answer):
            with self._budget.take(min(large.memory, self._limits.max_memory)):
                spread(decode_content(encoded, self._side, self._limits, large.memory), out)
        elif isinstance(answer, DecodeError):
            raise answer
        return out

    def _as_file(self, encoded: bytes, out: npt.NDArray[np.uint8], large: Large) -> Answer:
        """Decodes bytes as a file in memory; `UNREADABLE` where there can be none, or no name for it."""
        try:
            with os.fdopen(os.memfd_create("fer-fast-image"), "wb") as file:
                file.write(encoded)
                file.flush()
                return self.decode(f"/proc/{os.getpid()}/fd/{file.fileno()}", out, large)
        except OSError as error:
            return DecodeError(Status.UNREADABLE, one_line(error))

    def close(self) -> None:
        """Ends what is under way, and what waits for its turn."""
        self._is_closed = True
        self._processes.close()


def decoded_here(
    path: str, out: npt.NDArray[np.uint8], limits: Limits, room: int | None = None, in_thread: bool = False
) -> Answer:
    """Decodes one file in this process; the arguments are those of `decode_file`."""
    try:
        data, stamp = decode_file(path, out.shape[0], limits, room, in_thread)
    except DecodeError as error:
        return error
    except LargeError as error:
        return error.large
    spread(data, out)
    return stamp


def is_unreadable(answer: Answer) -> bool:
    """Whether a file could not be read; another process may have other rights, or other names for files."""
    return isinstance(answer, DecodeError) and answer.status is Status.UNREADABLE

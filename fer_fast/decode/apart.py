"""Large, slow and odd files come in; they are decoded in processes that can be ended, as memory allows."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence

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
    """Decodes for several threads at once.

    Args:
        count: processes, at most.
        side: S.
        most: files that one is given at once.
        limits: of each file.
        budget: the memory that all workers share.
    """

    def __init__(self, count: int, side: int, most: int, limits: Limits, budget: Budget) -> None:
        self._side = side
        self._limits = limits
        self._budget = budget
        self._turns = threading.Semaphore(count)
        self._processes = DecodingProcesses(count, side, most, limits)
        self._is_closed = False

    def decode(
        self, paths: Sequence[str], out: Sequence[npt.NDArray[np.uint8]], large: Mapping[int, Large]
    ) -> Iterator[tuple[int, Answer]]:
        """Decodes those of several files that no thread decodes; for a thread that holds nothing of the budget.

        Args:
            paths: of all of them, not more than one run.
            out: of each uint8 [S, S, 3]; of no use where a file gives no pixels.
            large: what is known of those that are to be decoded, by their places.

        Yields:
            The place of each and what became of it, by the file as it is now.

        Raises:
            FerFastError: closed, before one was decoded or meanwhile.
        """
        small = [place for place, each in large.items() if each.memory <= self._limits.small]
        while small:  # as many at a time as are soon done
            found = self._decoded([paths[each] for each in small], [out[each] for each in small])
            yield from zip(small, found, strict=False)
            small = small[len(found) :]
        for place, each in large.items():
            if each.memory > self._limits.small:
                yield place, self._decoded([paths[place]], [out[place]], each.memory)[0]

    def _decoded(
        self, paths: Sequence[str], out: Sequence[npt.NDArray[np.uint8]], room: int | None = None
    ) -> list[Answer]:
        """What becomes of the first files, of one at least; `room` bytes are for each that takes more than others."""
        memory = self._limits.small if room is None else room
        with self._turns, self._budget.take(min(memory, self._limits.max_memory)):
            answers = self._processes.decode_apart(paths, out, room)
            if self._is_closed:
                raise FerFastError("the decoder is closed")
            for place, answer in enumerate(answers or [None]):  # or a process would not find it
                if answer is None or is_unreadable(answer):  # what a process cannot read may be this one's alone
                    answers[place : place + 1] = [decoded_here(paths[place], out[place], self._limits, memory)]
        return [_changed(each) if isinstance(each, Large) else each for each in answers]

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
                return self._decoded([f"/proc/{os.getpid()}/fd/{file.fileno()}"], [out], large.memory)[0]
        except OSError as error:
            return DecodeError(Status.UNREADABLE, one_line(error))

    def close(self) -> None:
        """Ends what is under way, and what waits for its turn."""
        self._is_closed = True
        self._processes.close()


def _changed(large: Large) -> DecodeError:
    return DecodeError(Status.FAILED, "the file was changed while it was read", large.stamp)


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

"""Large, slow and odd files come in; they are decoded in processes that can be ended, as memory allows."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from fer_fast.decode.budget import Budget
from fer_fast.decode.codecs import decode_content, decode_file
from fer_fast.decode.limits import Large, LargeError, Limits
from fer_fast.decode.process import Answer
from fer_fast.decode.processes import DecodingProcesses
from fer_fast.decode.views import View
from fer_fast.types import DecodeError, FerFastError, Status, one_line


class Apart:
    """Decodes for several threads at once.

    Args:
        count: processes, at most.
        most_bytes: that the views of a run may take.
        limits: of each file.
        budget: the memory that all workers share.
    """

    def __init__(self, count: int, most_bytes: int, limits: Limits, budget: Budget) -> None:
        self._limits = limits
        self._budget = budget
        self._turns = threading.Semaphore(count)
        self._processes = DecodingProcesses(count, most_bytes, limits)
        self._is_closed = False

    def decode(
        self, paths: Sequence[str], view: View, out: Sequence[npt.NDArray[np.uint8]], large: Mapping[int, Large]
    ) -> Iterator[tuple[int, Answer]]:
        """Decodes those of several files that no thread decodes; for a thread that holds nothing of the budget.

        Args:
            paths: of all of them, not more than one run.
            view: what is made of each.
            out: where it goes, see `View.put`; of no use where a file gives no pixels.
            large: what is known of those that are to be decoded, by their places.

        Yields:
            The place of each and what became of it, by the file as it is now.

        Raises:
            FerFastError: closed, before one was decoded or meanwhile.
        """
        small = [place for place, each in large.items() if each.memory <= self._limits.small]
        while small:  # as many at a time as are soon done
            found = self._decoded([paths[each] for each in small], view, [out[each] for each in small])
            yield from zip(small, found, strict=False)
            small = small[len(found) :]
        for place, each in large.items():
            if each.memory > self._limits.small:
                yield place, self._decoded([paths[place]], view, [out[place]], each.memory)[0]

    def _decoded(
        self, paths: Sequence[str], view: View, out: Sequence[npt.NDArray[np.uint8]], room: int | None = None
    ) -> list[Answer]:
        """What becomes of the first files, of one at least; `room` bytes are for each that takes more than others."""
        memory = self._limits.small if room is None else room
        with self._turns, self._budget.take(min(memory, self._limits.max_memory)):
            answers = self._processes.decode_apart(paths, view, out, room)
            if self._is_closed:
                raise FerFastError("the decoder is closed")
            for place, answer in enumerate(answers or [None]):  # or a process would not find it
                if answer is None or is_unreadable(answer):  # what a process cannot read may be this one's alone
                    answers[place : place + 1] = [decoded_here(paths[place], view, out[place], self._limits, memory)]
        return [_changed(each) if isinstance(each, Large) else each for each in answers]

    def decode_content(self, encoded: bytes, view: View) -> npt.NDArray[np.uint8]:
        """Decodes an image file that is in memory; see `Decoder.decode_content` for what is raised.

        Args:
            encoded: the file's bytes.
            view: what is made of it.

        Returns:
            `view.empty()`, to which that was put.
        """
        out = view.empty()
        try:
            with self._budget.take(self._limits.small):
                data = decode_content(encoded, view, self._limits, self._limits.small, in_thread=True)
        except LargeError as error:
            large = error.large
        else:
            view.put(data, out)
            return out
        try:
            with in_file(encoded) as path:
                answer = self._decoded([path], view, [out], large.memory)[0]
        except OSError as error:
            answer = DecodeError(Status.UNREADABLE, one_line(error))
        if is_unreadable(answer):
            with self._budget.take(min(large.memory, self._limits.max_memory)):
                view.put(decode_content(encoded, view, self._limits, large.memory), out)
        elif isinstance(answer, DecodeError):
            raise answer
        return out

    def close(self) -> None:
        """Ends what is under way, and what waits for its turn."""
        self._is_closed = True
        self._processes.close()


def _changed(large: Large) -> DecodeError:
    return DecodeError(Status.FAILED, "the file was changed while it was read", large.stamp)


@contextmanager
def in_file(encoded: bytes) -> Iterator[str]:
    """The path of a file in memory that holds these bytes, for any process.

    Raises:
        OSError: there can be none.
    """
    with os.fdopen(os.memfd_create("fer-fast-image"), "wb") as file:
        file.write(encoded)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def decoded_here(
    path: str,
    view: View,
    out: npt.NDArray[np.uint8],
    limits: Limits,
    room: int | None = None,
    in_thread: bool = False,
) -> Answer:
    """Decodes one file in this process; `out` is as for `View.put`, the other arguments are those of `decode_file`."""
    try:
        data, stamp = decode_file(path, view, limits, room, in_thread)
    except DecodeError as error:
        return error
    except LargeError as error:
        return error.large
    view.put(data, out)
    return stamp


def is_unreadable(answer: Answer) -> bool:
    """Whether a file could not be read; another process may have other rights, or other names for files."""
    return isinstance(answer, DecodeError) and answer.status is Status.UNREADABLE

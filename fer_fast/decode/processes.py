"""Runs of paths come in from several threads; whichever process is idle decodes them, and a lost one is replaced."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue

import numpy as np
import numpy.typing as npt

from fer_fast.decode.process import CHANNELS, Answer, DecodingProcess, LostProcessError
from fer_fast.types import DecodeError, FerFastError, Status

_log = logging.getLogger(__name__)

#: What these paths mean depends on the process that asks: /dev/fd/3, /proc/self/cwd/face.png.
_OWN = ("/dev/", "/proc/")


class DecodingProcesses:
    """Processes that decode, as many as there are threads that ask.

    Args:
        count: how many.
        side: S.
        most: files that one is given at once.
        max_pixels: see `open_decoder`.
    """

    def __init__(self, count: int, side: int, most: int, max_pixels: int) -> None:
        self._count = count
        self._form = side, most, max_pixels
        self._idle: SimpleQueue[tuple[DecodingProcess, int]] = SimpleQueue()
        self._all: set[DecodingProcess] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        self._has_told = False

    @property
    def pids(self) -> list[int]:
        """The numbers of those that decode at the moment."""
        with self._lock:
            return [process.pid for process in self._all if process.is_ready]

    def start(self) -> None:
        """Begins to start them, in a thread of its own."""
        try:
            threading.Thread(target=self._start, name="fer-fast-start").start()
        except RuntimeError as error:  # no thread can be started
            self._tell(error)

    def decode(self, paths: Sequence[str], out: npt.NDArray[np.uint8]) -> tuple[list[Answer], float] | None:
        """Decodes files; a file on which a process ends is `FAILED`, and costs no other its pixels.

        Args:
            paths: at most as many as a process takes.
            out: uint8 [paths, S, S, 3]; of no use where a file gives no pixels.

        Returns:
            As `DecodingProcess.decode`; None if no process is idle, or none would find these files.
        """
        if any(path.startswith(_OWN) for path in paths):
            return None
        try:
            process, channel = self._taken()
        except Empty:
            return None
        try:
            found = process.decode(channel, paths, out)
        except LostProcessError as lost:
            _log.info("%d files are decoded again, one by one: %s", len(paths), lost)
            self._drop(process)
            return self._one_by_one(paths, out)
        except BaseException:
            self._drop(process)  # what it sends next would be taken for another answer
            raise
        self._idle.put((process, channel))
        return found

    def close(self) -> None:
        """Ends them, whatever they do."""
        with self._lock:
            self._is_closed = True
            every = list(self._all)
            self._all.clear()
        for process in every:
            process.end()

    def _start(self) -> None:
        begun = []
        try:
            for _ in range(self._count):
                begun.append(self._new())
        except FerFastError as error:
            self._tell(error)
        for process in begun:
            try:
                self._make_ready(process)
                self._give(process)
            except FerFastError as error:
                self._tell(error)

    def _taken(self) -> tuple[DecodingProcess, int]:
        while True:
            process, channel = self._idle.get_nowait()
            with self._lock:
                if process in self._all:  # or it was lost by another channel
                    return process, channel

    def _one_by_one(self, paths: Sequence[str], out: npt.NDArray[np.uint8]) -> tuple[list[Answer], float]:
        """Tells the file that ends processes from those that were with it in a run."""
        answers: list[Answer] = []
        begun = time.perf_counter()
        process: DecodingProcess | None = None
        for place, path in enumerate(paths):
            try:
                process = process or self._another()
                answers += process.decode(0, [path], out[place : place + 1])[0]
            except FerFastError as error:  # never in this process: it would be the next to end
                answers.append(DecodeError(Status.FAILED, str(error)))
                if process is not None:
                    self._drop(process)
                    process = None
        seconds = time.perf_counter() - begun
        try:
            self._give(process or self._another())
        except FerFastError as error:
            self._tell(error)
        return answers, seconds

    def _give(self, process: DecodingProcess) -> None:
        """Lets a process take work, unless there are enough: each run of one that was lost starts another."""
        with self._lock:  # counted and taken out at once: of several that come together one stays
            is_surplus = sum(each.is_ready for each in self._all) > self._count
            if is_surplus:
                self._all.discard(process)
        if is_surplus:
            process.end()
            return
        for channel in range(CHANNELS):
            self._idle.put((process, channel))

    def _another(self) -> DecodingProcess:
        process = self._new()
        self._make_ready(process)
        return process

    def _new(self) -> DecodingProcess:
        process = DecodingProcess(*self._form)
        with self._lock:
            if not self._is_closed:
                self._all.add(process)
                return process
        process.end()
        raise FerFastError("the decoder is closed")

    def _make_ready(self, process: DecodingProcess) -> None:
        try:
            process.wait_until_ready()
        except FerFastError:
            self._drop(process)
            raise

    def _drop(self, process: DecodingProcess) -> None:
        process.end()
        with self._lock:
            self._all.discard(process)

    def _tell(self, error: Exception) -> None:
        """Says once that there are fewer processes than wanted."""
        if not self._is_closed and not self._has_told:
            self._has_told = True
            _log.warning("threads decode what %d of %d processes leave: %s", len(self.pids), self._count, error)

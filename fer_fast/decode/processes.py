"""Runs of paths come in from several threads; whichever process is idle decodes them, and a lost one is replaced."""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import numpy.typing as npt

from fer_fast.decode.files import working_folder
from fer_fast.decode.limits import RUN_SECONDS, Limits
from fer_fast.decode.process import CHANNELS, Answer, DecodingProcess, LostProcessError
from fer_fast.decode.views import View
from fer_fast.types import DecodeError, FerFastError, Status

_log = logging.getLogger(__name__)

#: What these paths mean depends on the process that asks: /dev/fd/3, /proc/self/cwd/face.png.
_OWN = ("/dev/", "/proc/self/", "/proc/thread-self/")

#: Descriptors that are left to the program around us, and to each worker; a process takes one a channel. Not more: on a
#: machine of 200 processors 1,024 of them, the usual limit, have to do.
_SPARE, _SPARE_EACH = 64, 2

#: After so many that left by themselves in a row, the next would, too.
_FEW = 3


class DecodingProcesses:
    """Processes that decode; safe from several threads, each of which has a run of its own.

    Args:
        count: how many.
        most_bytes: that the views of a run may take.
        limits: of each file.
    """

    def __init__(self, count: int, most_bytes: int, limits: Limits) -> None:
        self._count = count
        self._limits = limits
        self._form = most_bytes, limits
        self._idle: SimpleQueue[tuple[DecodingProcess, int]] = SimpleQueue()
        self._all: set[DecodingProcess] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        self._has_told = False
        self._left_in_a_row = 0
        self._rights = _rights()

    @property
    def pids(self) -> list[int]:
        """The numbers of those that decode at the moment."""
        with self._lock:
            return [process.pid for process in self._all if process.is_ready]

    def start(self) -> None:
        """Begins to start them, in a thread of its own."""
        self._rights = _rights()
        try:
            threading.Thread(target=self._start, name="fer-fast-start").start()
        except RuntimeError as error:  # no thread can be started
            self._tell(error)

    def decode(
        self, paths: Sequence[str], view: View, out: Sequence[npt.NDArray[np.uint8]]
    ) -> tuple[list[Answer], float]:
        """Decodes files; a file on which a process ends is `FAILED`, and costs no other its pixels.

        Args:
            paths: not more than a process has room for.
            view: what is made of each.
            out: where it goes, see `View.put`; of no use where a file gives no pixels.

        Returns:
            What became of the first of them, as many as `RUN_SECONDS` are enough for, and the seconds that decoding
            took. Of none where no process is idle or can be started, or none would find these files.
        """
        try:
            process, channel = self._taken()
        except Empty:
            return [], 0.0
        folder = working_folder()
        if not self._finds(folder, paths):
            self._put(process, channel)
            return [], 0.0
        try:
            found = self._decoded(process, channel, folder, paths, view, out)
        except LostProcessError as lost:
            _log.info("%d files are decoded again, one by one: %s", len(paths), lost)
            return self._one_by_one(folder, paths, view, out)
        self._put(process, channel)
        return found

    def decode_apart(
        self,
        paths: Sequence[str],
        view: View,
        out: Sequence[npt.NDArray[np.uint8]],
        room: int | None,
        anew: bool = False,
    ) -> list[Answer]:
        """Decodes files in a process that is started for them, if none is idle or `anew` is set.

        Args:
            paths, view, out: as for `decode`.
            room: bytes that each may take; None is as many as a worker may take without asking.

        Returns:
            What became of the first of them; of none where no process can be started, or would find them.
        """
        folder = working_folder()
        if not self._finds(folder, paths):
            return []
        try:
            process, is_new = self._one(anew)
            answers, _ = self._decoded(process, 0, folder, paths, view, out, room)
        except LostProcessError as lost:
            if len(paths) > 1:
                return self._each_apart(paths, view, out, room)
            if not (is_new or lost.has_left or lost.was_slow):  # what it decoded before, or somebody, may be to blame
                return self.decode_apart(paths, view, out, room, anew=True)
            return [] if lost.has_left else [self._blamed(lost)]
        except FerFastError as error:  # none can be started
            self._tell(error)
            return []
        self._put(process, 0)
        return answers

    def _each_apart(
        self, paths: Sequence[str], view: View, out: Sequence[npt.NDArray[np.uint8]], room: int | None
    ) -> list[Answer]:
        """As `decode_apart`, one by one, for `RUN_SECONDS`: on one of them a process ended."""
        answers: list[Answer] = []
        end = time.perf_counter() + RUN_SECONDS
        for place, path in enumerate(paths):
            found = self.decode_apart([path], view, [out[place]], room)
            answers += found
            if not found or time.perf_counter() > end:
                break
        return answers

    def close(self) -> None:
        """Ends them, whatever they do."""
        with self._lock:
            self._is_closed = True
            every = list(self._all)
            self._all.clear()
        for process in every:
            process.end()
        self._forget_idle()

    def _finds(self, folder: str | None, paths: Sequence[str]) -> bool:
        """Whether a process opens the files that this one would."""
        is_lost = folder is None and not all(path.startswith("/") for path in paths)
        if is_lost or any(path.startswith(_OWN) for path in paths):
            return False
        if not self._all:  # those that come have this one's
            self._rights = _rights()
        return self._rights == _rights()

    def _put(self, process: DecodingProcess, channel: int) -> None:
        self._idle.put((process, channel))
        if self._is_closed:  # meanwhile
            self._forget_idle()

    def _forget_idle(self) -> None:
        """Frees the memory and the descriptors of those that have ended."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait()

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

    def _one(self, anew: bool) -> tuple[DecodingProcess, bool]:
        """One that decodes nothing now, and whether it never has."""
        if not anew:
            with suppress(Empty):
                return self._taken()[0], False
        return self._another(), True

    def _blamed(self, lost: LostProcessError) -> DecodeError:
        """What becomes of a file on which a process ended."""
        if lost.was_slow:  # a faster machine may take less
            reason = f"decoding takes longer than {self._limits.max_seconds:g} s of a processor"
            return DecodeError(Status.TOO_LARGE, reason, again=True)
        return DecodeError(Status.FAILED, str(lost))

    def _taken(self) -> tuple[DecodingProcess, int]:
        while True:
            process, channel = self._idle.get_nowait()
            with self._lock:
                if process in self._all:  # or it was lost by another channel
                    return process, channel

    def _decoded(
        self,
        process: DecodingProcess,
        channel: int,
        folder: str | None,
        paths: Sequence[str],
        view: View,
        out: Sequence[npt.NDArray[np.uint8]],
        room: int | None = None,
    ) -> tuple[list[Answer], float]:
        """As `DecodingProcess.decode`; after an error the process is no more."""
        try:
            found = process.decode(channel, folder, paths, view, out, room)
        except BaseException as error:
            self._drop(process)  # what it sends next would be taken for another answer
            if isinstance(error, LostProcessError) and error.has_left:
                self._left_in_a_row += 1
            raise
        self._left_in_a_row = 0
        return found

    def _one_by_one(
        self, folder: str | None, paths: Sequence[str], view: View, out: Sequence[npt.NDArray[np.uint8]]
    ) -> tuple[list[Answer], float]:
        """Tells the file that ends processes from those that were with it in a run."""
        answers: list[Answer] = []
        begun = time.perf_counter()
        process: DecodingProcess | None = None
        try:
            for place, path in enumerate(paths):
                process = process or self._another()
                try:
                    found, _ = self._decoded(process, 0, folder, [path], view, out[place : place + 1])
                except LostProcessError as lost:
                    process = None
                    if lost.has_left:
                        break
                    found = [self._blamed(lost)]  # never in this process: it would be next to end
                answers += found
                if not found or time.perf_counter() - begun > RUN_SECONDS:
                    break
            self._give(process or self._another())
        except FerFastError as error:  # none can be started
            self._tell(error)
        return answers, time.perf_counter() - begun

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
            self._put(process, channel)

    def _another(self) -> DecodingProcess:
        process = self._new()
        self._make_ready(process)
        return process

    def _new(self) -> DecodingProcess:
        if self._left_in_a_row >= _FEW:
            raise FerFastError(f"the last {_FEW} ended by themselves before they had decoded anything")
        _check_descriptors(_SPARE + _SPARE_EACH * self._count)
        if not self._is_closed:
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


def _check_descriptors(least: int) -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    try:
        left = limit - len([*Path("/proc/self/fd").iterdir()])
    except OSError as error:
        raise FerFastError(f"the open files cannot be counted: {error.strerror}") from error
    if left < least:
        raise FerFastError(f"of {limit} files that may be open {left} are left; {least} are needed (ulimit -n)")


def _rights() -> tuple[object, ...]:
    """What decides which files may be read: a program may give up some after it has started processes."""
    return os.geteuid(), os.getegid(), os.getgroups()

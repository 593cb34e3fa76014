"""Paths come in; pixels decoded by Pillow, on threads and for large jobs in processes, go out."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt
from PIL import ImageFile

from fer_fast.decode.apart import Apart, decoded_here, is_unreadable
from fer_fast.decode.budget import Budget
from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.interface import Decoded, Decoder, plain
from fer_fast.decode.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS, Large, limits_of
from fer_fast.decode.pending import Pending
from fer_fast.decode.process import CHANNELS, Answer
from fer_fast.decode.processes import DecodingProcesses
from fer_fast.decode.threads import Threads
from fer_fast.decode.views import Square
from fer_fast.machine.processors import usable_processors
from fer_fast.types import DecodeError

_log = logging.getLogger(__name__)

#: Files of a run, at least and at most: with fewer the exchange with a process shows on small faces.
_LEAST, _MOST = 8, 32

#: Files that wait when decoding is what a run waits for: a model that is slower leaves fewer.
LAG = 96
#: Files with which decoding lags after which processes are worth their start.
PROCESSES_AFTER = 512
#: One worker is a thread: it takes one processor, and with a process it would take part of another, too.
FEWEST_PROCESSES = 2


class PillowDecoder(Decoder):
    """Decodes on threads, and where a run waits for it in as many processes.

    Pillow's codecs run without the interpreter's lock, but a small face is mostly Python: threads take turns at it,
    processes do not. Where the model is slower than that, processes would take its time and give nothing. A codec that
    crashes in a process costs its own file alone.

    Args:
        image_size: S, the side in pixels of what comes out.
        workers: how many files are decoded at once; None takes the processors that this process may use.
        max_pixels, max_memory, max_seconds: see `open_decoder`.
        processes_after: files with which decoding lags behind whoever submits them, after which processes are started;
            infinity is never. None takes `PROCESSES_AFTER`, for `FEWEST_PROCESSES` workers or more.
    """

    name = "pillow"

    def __init__(
        self,
        image_size: int,
        workers: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        processes_after: float | None = None,
        max_memory: int | None = None,
        max_seconds: float = DEFAULT_MAX_SECONDS,
    ) -> None:
        self.image_size = image_size
        self.workers = workers or usable_processors()
        self.limits = limits_of(self.workers, max_pixels, max_memory, max_seconds)
        if ImageFile.LOAD_TRUNCATED_IMAGES:  # not ours to change
            _log.warning("PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set: half an image will pass for a whole one")
        prepare_codecs()
        self._pending = Pending()
        # As many as keep the processes busy; of those that decode themselves no more than asked for at a time.
        self._threads = Threads(self.workers * CHANNELS, thread_name_prefix="fer-fast-decode")
        self._here = threading.Semaphore(self.workers)
        self._view = Square(image_size)
        run_bytes = _MOST * self._view.most_bytes
        self._processes = DecodingProcesses(self.workers, run_bytes, self.limits)
        self._budget = Budget(self.limits.max_memory)
        self._apart = Apart(self.workers, run_bytes, self.limits, self._budget)
        self._waiting = self._lagging = 0
        self._has_begun = False
        if processes_after is None:
            processes_after = PROCESSES_AFTER if self.workers >= FEWEST_PROCESSES else math.inf
        self._processes_after = processes_after
        self._lock = threading.Lock()

    @property
    def runs_on(self) -> str:
        """See `Decoder.runs_on`."""
        running = len(self.process_ids)
        if not running:
            return super().runs_on
        return f"{running} processes" if running > 1 else "1 process"

    @property
    def process_ids(self) -> list[int]:
        """Of the processes that decode at the moment."""
        return self._processes.pids

    def submit(self, paths: Sequence[str]) -> Future[Decoded]:
        """See `Decoder.submit`."""
        batch = _Batch(self._pending, plain(paths), self.image_size)
        # A batch alone is shared by the workers; where others wait a worker takes it whole, 8 % faster on small faces.
        shares = self.workers if self._pending.count <= self.workers else 1
        run = min(max(_LEAST, -(-len(paths) // shares)), _MOST)
        try:
            for start in range(0, len(paths), run):
                self._threads.submit(self._decode, batch, start, min(start + run, len(paths)))
        except RuntimeError as error:  # closed meanwhile, or no thread can be started
            self._pending.refuse(batch.future, error)
        self._count(batch.future, len(paths))
        return batch.future

    def decode_content(self, encoded: bytes) -> npt.NDArray[np.uint8]:
        """See `Decoder.decode_content`."""
        self._pending.check()
        return self._apart.decode_content(encoded, self._view)

    def close(self) -> None:
        """See `Decoder.close`."""
        if self._pending.close():
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._processes.close()
            self._apart.close()

    def _count(self, future: Future[Decoded], files: int) -> None:
        with self._lock:
            self._waiting += files
            self._lagging = self._lagging + files if self._waiting >= LAG else 0
            begins = not self._has_begun and self._lagging >= self._processes_after
            self._has_begun |= begins
        future.add_done_callback(lambda _: self._answered(files))
        if begins:
            self._processes.start()

    def _answered(self, files: int) -> None:
        with self._lock:
            self._waiting -= files

    def _decode(self, batch: _Batch, start: int, end: int) -> None:
        """Decodes paths[start:end] of a batch; in one of the threads."""
        try:
            paths, out = batch.paths[start:end], list(batch.pixels[start:end])
            answers, seconds = self._run(paths, out)
            large = {place: each for place, each in enumerate(answers) if isinstance(each, Large)}
            if large and not self._pending.closed:
                begun = time.perf_counter()
                for place, answer in self._apart.decode(paths, self._view, out, large):
                    answers[place] = answer
                    self.files_done += 1
                seconds += time.perf_counter() - begun
            batch.add(start, answers, seconds)
        except BaseException as error:
            self._pending.fail(batch.future, error)
            raise

    def _run(self, paths: Sequence[str], out: Sequence[npt.NDArray[np.uint8]]) -> tuple[list[Answer], float]:
        """What becomes of files by a process or this thread, and the seconds that it took."""
        with self._budget.take(self.limits.small):
            answers, seconds = self._by_processes(paths, out)
            # What a process cannot read may be this one's alone: a link to /proc/self/fd/3.
            left = [place for place, each in enumerate(answers) if is_unreadable(each)]
            left += range(len(answers), len(paths))
            if left and not self._pending.closed:
                answers += [None] * (len(paths) - len(answers))
                with self._here:
                    begun = time.perf_counter()
                    for place in left:
                        answers[place] = decoded_here(
                            paths[place], self._view, out[place], self.limits, self.limits.small, in_thread=True
                        )
                        self.files_done += 1
                    seconds += time.perf_counter() - begun
        return answers, seconds

    def _by_processes(self, paths: Sequence[str], out: Sequence[npt.NDArray[np.uint8]]) -> tuple[list[Answer], float]:
        """What becomes of files by processes, up to the first that none takes, and the seconds that it took."""
        answers: list[Answer] = []
        seconds = 0.0
        while len(answers) < len(paths):
            found, took = self._processes.decode(paths[len(answers) :], self._view, out[len(answers) :])
            if not found:
                break
            answers += found
            seconds += took
            self.files_done += len(found)
        return answers, seconds


class _Batch:
    """A batch that several threads fill; the last of them completes the future."""

    def __init__(self, pending: Pending, paths: Sequence[str], side: int) -> None:
        self.paths = paths
        self.pixels = np.empty((len(paths), side, side, 3), np.uint8)
        self.future = pending.add()
        self._pending = pending
        self._answers: list[Answer] = [None] * len(paths)
        self._seconds = 0.0
        self._left = len(paths)
        self._lock = threading.Lock()
        if not paths:
            self._complete()

    def add(self, start: int, answers: list[Answer], seconds: float) -> None:
        """Takes what became of the paths from `start` on; their pixels are written."""
        with self._lock:
            self._answers[start : start + len(answers)] = answers
            self._seconds += seconds
            self._left -= len(answers)
            is_whole = self._left == 0
        if is_whole:
            self._complete()

    def _complete(self) -> None:
        failures = [(index, each) for index, each in enumerate(self._answers) if isinstance(each, DecodeError)]
        stamps = [each.stamp if isinstance(each, (DecodeError, Large)) else each for each in self._answers]
        failed = {index for index, _ in failures}
        indices = [index for index in range(len(self.paths)) if index not in failed]
        pixels = self.pixels if not failed else self.pixels[indices]
        self._pending.answer(self.future, Decoded(pixels, indices, failures, self._seconds, stamps))

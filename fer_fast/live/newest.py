"""A source comes in; its newest frame goes out, and how many others were passed over for that."""

from __future__ import annotations

import os
import threading
import time

from fer_fast.films.stretch import Choice
from fer_fast.live.source import Came, Source
from fer_fast.types import FerFastError

#: Seconds that `close` waits for a source that may not answer.
_LAST_SECONDS = 0.5


class Newest:
    """Reads a source on a thread of its own, and keeps of it the newest frame alone.

    What comes while nobody asks takes the place of the one before: memory does not grow, and whoever asks never gets
    a frame that is older than it has to be.

    Args:
        source: what is read.
        choice: which of its frames count.

    Attributes:
        came: frames that the source gave.
        dropped: those that count, and were passed over for newer ones.
    """

    def __init__(self, source: Source, choice: Choice) -> None:
        self._source, self._choice = source, choice
        self.came = self.dropped = 0
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._newest: Came | None = None
        self._is_over = False
        self._fault: BaseException | None = None
        self._last = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="fer-fast-source", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether `take` has an answer, which is waited for so long; None waits for ever.

        Raises:
            FerFastError: this is a forked child, to which no frame comes.
        """
        if os.getpid() != self._process:
            raise FerFastError("the source was opened before fork: watch it in each process")
        with self._changed:
            return self._changed.wait_for(lambda: self._newest is not None or self._is_over, seconds)

    def take(self) -> Came | None:
        """The newest frame, once it is newer than the last that was taken; None when the source has ended.

        Raises:
            FerFastError: the source has given nothing for too long.
            Exception: what the source raised, once its last frame is taken.
        """
        silence = self._source.silence
        while not self.wait(silence):
            assert silence is not None
            if time.monotonic() - self._last >= silence:  # else a frame came that does not count
                raise FerFastError(f"{self._source.name} has given no frame for {silence:g} s")
        with self._changed:
            taken, self._newest = self._newest, None
        if taken is None and self._fault is not None:
            raise self._fault
        return taken

    def close(self) -> None:
        """Stops; a thread that waits for what does not answer ends when its own time is up."""
        self._stopping.set()
        self._thread.join(_LAST_SECONDS)

    def _read(self) -> None:
        fault: BaseException | None = None
        try:
            for came in self._source.frames(self._stopping):
                self._put(came)
                if self._stopping.is_set():
                    break
        except BaseException as error:
            fault = error
        with self._changed:
            self._fault, self._is_over = fault, True
            self._changed.notify_all()

    def _put(self, came: Came) -> None:
        frame = came.frame
        self._last = came.clock
        is_wanted = self._choice.wants(frame.number, round(1000 * frame.time), frame.key)
        with self._changed:
            self.came += 1
            if is_wanted:
                self.dropped += self._newest is not None
                self._newest = came
                self._changed.notify_all()

"""A film comes in; its frames go out when a player would show them, as if a camera saw them now."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from fer_fast.decode.images import naming
from fer_fast.films.film import Film
from fer_fast.live.source import Came


class Pace:
    """Waits until frames are due; the first is due at once."""

    def __init__(self) -> None:
        self._origin: float | None = None

    def wait(self, seconds: float, stopping: threading.Event) -> None:
        """Waits for a frame of this time; never for one that is late."""
        now = time.monotonic()
        self._origin = now - seconds if self._origin is None else self._origin
        stopping.wait(min(max(0.0, self._origin + seconds - now), threading.TIMEOUT_MAX))


class PlayedFilm:
    """A `Source` of a film, played once in its own time.

    Args:
        path: of its file.
    """

    silence: float | None = None

    def __init__(self, path: str) -> None:
        self.name = path

    def frames(self, stopping: threading.Event) -> Iterator[Came]:
        """See `Source.frames`; numbers and times are the film's.

        Raises:
            DecodeError: it is no film; or it is damaged, once its good frames are given; begins with its path.
        """
        pace = Pace()
        with naming(self.name, 0), Film(self.name) as film:
            for frame in film.frames():
                pace.wait(frame.time, stopping)
                if stopping.is_set():
                    return
                yield Came(frame, film.size, time.monotonic(), datetime.now(UTC))
            if film.fault is not None:
                raise film.fault

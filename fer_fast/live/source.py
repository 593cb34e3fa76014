"""The contract of a source: whatever gives frames while it goes on; each frame with when it came."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fer_fast.films.frame import Frame
from fer_fast.films.upright import upright_of

if TYPE_CHECKING:
    import av

    from fer_fast.decode.pixels import Size


class Came(NamedTuple):
    """A frame of a source.

    Attributes:
        frame: its number counts the frames that the source gave before it; its time is seconds since the first came,
            or since a film's beginning.
        size: its width and height, upright.
        clock: when it came, by `time.monotonic`.
        at: the same by the wall's clock, UTC.
    """

    frame: Frame
    size: Size
    clock: float
    at: datetime


class Source(Protocol):
    """What is watched; of one thread.

    Attributes:
        name: as rows and sentences have it, without passwords.
        silence: seconds after which a source that gives nothing is lost; None where it may pause for ever, or tells
            itself.
    """

    name: str
    silence: float | None

    def frames(self, stopping: threading.Event) -> Iterator[Came]:
        """All frames from now on; once, and no further when `stopping` is set.

        Raises:
            FerFastError: it is not there, or was lost.
        """


class Arrivals:
    """Counts and times the pictures of a source as they come.

    Args:
        rate: pictures a second, of a source that says when each was taken by nothing else; None takes when it came.
    """

    def __init__(self, rate: float | None = None) -> None:
        self._rate = rate
        self._count = 0
        self._first: float | None = None

    def came(self, picture: av.VideoFrame, *, key: bool, aspect: Fraction | None = None) -> Came:
        """The next picture, which has come just now.

        Args:
            picture: as decoded; sizes may differ.
            key: see `Frame.key`.
            aspect: see `upright_of`.
        """
        now = time.monotonic()
        self._first = now if self._first is None else self._first
        seconds = now - self._first if self._rate is None else self._count / self._rate
        upright = upright_of(picture, aspect)
        frame = Frame(self._count, round(seconds, 3), key, picture, upright)
        self._count += 1
        return Came(frame, upright.size, now, datetime.now(UTC))

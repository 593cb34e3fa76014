"""Bytes of standard input come in, one uncompressed picture after another; frames go out."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.live.source import Arrivals, Came
from fer_fast.types import DecodeError, Status

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode.pixels import Size

#: How pixels may lie, by FFmpeg's names: rows from the top, of yuv420p the plane Y before U and V of half its sides.
PIXELS = ("rgb24", "bgr24", "gray", "yuv420p")
#: Seconds after which a reader that waits looks whether it shall stop.
_LOOK = 0.1


class RawFrames:
    """A `Source` of uncompressed frames.

    Args:
        descriptor: of a file or pipe; it stays open.
        size: width and height of all frames; even for yuv420p.
        pixels: one of `PIXELS`.
        rate: see `Arrivals`.
    """

    name: str = "-"
    silence: float | None = None

    def __init__(self, descriptor: int, size: Size, pixels: str, rate: float | None) -> None:
        self._descriptor, self._pixels, self._rate = descriptor, pixels, rate
        width, height = size
        self._shape = {"gray": (height, width), "yuv420p": (height * 3 // 2, width)}.get(pixels, (height, width, 3))

    def frames(self, stopping: threading.Event) -> Iterator[Came]:
        """See `Source.frames`.

        Raises:
            DecodeError: `CORRUPT`, the input ends within a frame.
            OSError: it cannot be read.
        """
        import av

        arrivals = Arrivals(self._rate)
        buffer = np.empty(self._shape, np.uint8)
        while self._filled(buffer, stopping):
            yield arrivals.came(av.VideoFrame.from_ndarray(buffer, self._pixels), key=True)

    def _filled(self, buffer: npt.NDArray[np.uint8], stopping: threading.Event) -> bool:
        """Whether there was another frame."""
        room = buffer.data.cast("B")
        have = 0
        while have < len(room) and not stopping.is_set():
            if not select.select([self._descriptor], [], [], _LOOK)[0]:
                continue
            read = os.readv(self._descriptor, [room[have:]])
            if read == 0:
                if have:
                    why = f"standard input ends after {have:,} of the {len(room):,} bytes of a frame"
                    raise DecodeError(Status.CORRUPT, f"{why}: are its size and pixels as said?")
                return False
            have += read
        return have == len(room)

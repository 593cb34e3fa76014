"""The files of a batch come in; bytes for a library of NVIDIA's, pixels of Pillow's and failures go out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.decode.apart import decoded_here
from fer_fast.decode.codecs import Opened, decode_opened, opened
from fer_fast.decode.formats.jpeg import JpegPicture
from fer_fast.decode.formats.png import PngPicture
from fer_fast.decode.interface import Decoded
from fer_fast.decode.library import Encoded
from fer_fast.decode.limits import Large, LargeError, Limits
from fer_fast.decode.process import Answer
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Stamp

if TYPE_CHECKING:
    import numpy.typing as npt

#: Of each format the modes that the libraries turn into the same pixels as Pillow; all else is Pillow's.
_MODES: dict[str, tuple[str, ...]] = {"jpeg": ("L", "RGB"), "png": ("L", "RGB", "RGBA")}
#: Of JPEG: baseline, extended and progressive, by Huffman codes; and the bytes in which a file must end.
_CODINGS = (0xC0, 0xC1, 0xC2)
_END, _TAIL = b"\xff\xd9", 64
#: Zeros may be a part of the file that was never written: those that are not are known when it is decoded here.
_HOLE = bytes(64)


class NvidiaBatch:
    """What the readers find: bytes for the library, pixels of Pillow's, failures."""

    def __init__(self, future: Future[Decoded], paths: Sequence[str], view: Square, limits: Limits) -> None:
        self.future = future
        self.paths = paths
        self.encoded: dict[int, Encoded] = {}
        self.own: dict[int, npt.NDArray[np.uint8]] = {}
        self.failures: list[tuple[int, DecodeError]] = []
        self.seconds = 0.0
        self.stamps: list[Stamp | None] = [None] * len(paths)
        self._memory: dict[int, int] = {}
        self._view = view
        self._limits = limits
        self._lock = threading.Lock()

    def read(self, start: int, end: int) -> dict[int, Large]:
        """Reads and checks paths[start:end]; gives those that are to be decoded apart, counted from `start`."""
        large = {}
        for place in range(start, end):
            try:
                with opened(self.paths[place], self._view, self._limits) as file:
                    self.stamps[place] = file.stamp
                    encoded = _for_library(file, self._limits.small)
                    if encoded is not None:
                        self.encoded[place] = encoded
                        self._memory[place] = file.picture.memory
                    else:
                        self._take(place, decode_opened(file, self._view))
            except LargeError as error:
                large[place - start] = error.large
            except DecodeError as error:
                self._fail(place, error)
        return large

    def groups(self) -> list[list[int]]:
        """The places of what the library decodes, in groups that take no more memory at once than half of the limit."""
        groups: list[list[int]] = []
        taken = 0
        for place in sorted(self.encoded):
            taken += self._memory[place]
            if not groups or taken > self._limits.max_memory // 2:
                groups.append([])
                taken = self._memory[place]
            groups[-1].append(place)
        return groups

    def decode(self, place: int) -> None:
        """Decodes one file by Pillow; its cost was looked at when it was read."""
        pixels = self._view.empty()
        self.settle(place, decoded_here(self.paths[place], self._view, pixels, self._limits), pixels)

    def settle(self, place: int, answer: Answer, pixels: npt.NDArray[np.uint8]) -> None:
        """Takes what became of one file."""
        if isinstance(answer, DecodeError):
            self._fail(place, answer)
        else:
            assert not isinstance(answer, Large)
            self.stamps[place] = answer
            self.own[place] = pixels

    def add_time(self, seconds: float) -> None:
        """Counts a worker's time."""
        with self._lock:
            self.seconds += seconds

    def _fail(self, place: int, error: DecodeError) -> None:
        self.stamps[place] = error.stamp
        self.failures.append((place, error))

    def _take(self, place: int, data: bytes) -> None:
        pixels = self._view.empty()
        self._view.put(data, pixels)
        self.own[place] = pixels


def _for_library(file: Opened, most: int) -> Encoded | None:
    """The bytes of a file that the libraries show as Pillow does, in no more memory than `most`; None of any other."""
    picture = file.picture
    if picture.mode not in _MODES.get(file.kind, ()) or picture.memory > most:
        return None
    # What is left out of a PNG may be damaged.
    encoded = picture.bare() if isinstance(picture, PngPicture) else _content(file)
    # What a decoder may take without a word though it cannot show it whole.
    if isinstance(picture, JpegPicture) and not (
        picture.coding in _CODINGS and _END in encoded[-_TAIL:] and _HOLE not in encoded
    ):
        return None
    return Encoded(np.frombuffer(encoded, np.uint8), picture.orientation)


def _content(file: Opened) -> bytes:
    start = file.content.tell()
    file.content.seek(0)
    encoded = file.content.read()
    file.content.seek(start)
    return encoded

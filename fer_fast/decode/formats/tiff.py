"""A TIFF comes in, a picture goes out: its first page.

libtiff decodes it as this package reads its directory, not as Pillow's plugin does: that one takes a negative of 16 bits
for a positive and planes of 16 bits for noise, and lacks some kinds, big-endian BigTIFF among them.
"""

from __future__ import annotations

import io
import os
from functools import cache
from typing import BinaryIO

import PIL
from PIL import Image, features

from fer_fast.decode.formats import tiff_layout as tags
from fer_fast.decode.formats.picture import Picture, stored_bytes
from fer_fast.decode.formats.tiff_directory import Directory
from fer_fast.decode.formats.tiff_layout import layout_of
from fer_fast.decode.pixels import MEANING
from fer_fast.types import DecodeError, Status

_ROWS, _ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT = 278, 274, 322, 323

#: Compressions that a libtiff may have been built without, by Pillow's names: each is tried once.
_OPTIONAL = {7: "jpeg", 8: "tiff_adobe_deflate", 32946: "tiff_deflate", 34925: "lzma", 50000: "zstd", 50001: "webp"}

#: libtiff's own, and its codecs'.
_CONSTANT = 8 << 20

#: Pillow's decoder took the compression's name, too.
_TAKES_A_NAME = int(PIL.__version__.split(".")[0]) < 13


class TiffPicture(Picture):
    """The first page of a TIFF.

    Args:
        directory: its own.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._layout = layout_of(directory)
        self.mode = self._layout.mode
        self.size = (directory.number(tags.WIDTH, 0), directory.number(tags.HEIGHT, 0))
        if not all(1 <= side < 1 << 31 for side in self.size):
            raise DecodeError(Status.CORRUPT, "a TIFF of {} x {} pixels".format(*self.size))
        orientation = directory.number(_ORIENTATION, 1)
        self.orientation = orientation if 1 <= orientation <= 8 else 1
        self.memory = stored_bytes(self.mode, self.size) + _piece_bytes(directory, self.size) + _CONSTANT

    def load(self, side: int) -> Image.Image:
        """See `Picture.load`."""
        colours = self._colours() if self.mode == "P" else b""
        image = Image.new(self.mode, self.size, None)
        self._decode(image)
        if colours:
            image.putpalette(colours)
        image.info[MEANING] = self._layout.meaning
        return image

    def _decode(self, image: Image.Image) -> None:
        content = self._directory.content
        is_read = isinstance(content, io.BytesIO)
        descriptor = 0 if is_read else content.fileno()
        first_page = 0
        arguments = (self._layout.raw_mode, *(("",) if _TAKES_A_NAME else ()), descriptor, first_page)
        decoder = Image._getdecoder(self.mode, "libtiff", arguments)
        decoder.setimage(image.im, (0, 0, *self.size))
        _, code = decoder.decode(content.getvalue() if isinstance(content, io.BytesIO) else b"file")
        if descriptor:
            os.lseek(descriptor, 0, os.SEEK_SET)
        if code < 0:
            raise OSError(f"libtiff cannot decode it (error {code})")

    def _colours(self) -> bytes:
        """A palette's colours, each of three bytes."""
        numbers = self._directory.numbers(tags.COLOURS)
        count = len(numbers) // 3
        if not count:
            raise DecodeError(Status.CORRUPT, "a TIFF in palette without its colours")
        if max(numbers) > 0xFF:  # all of 8 bits are taken for that, as libtiff does
            numbers = [each >> 8 for each in numbers]
        return bytes(each for colour in zip(*(numbers[n * count : (n + 1) * count] for n in range(3))) for each in colour)


def open_tiff(content: BinaryIO, size: int) -> Picture:
    """Opens a TIFF; see `opening.open_picture`."""
    if not features.check("libtiff"):
        raise DecodeError(Status.UNSUPPORTED, "TIFF needs a Pillow built with libtiff", again=True)
    directory = Directory(content, size)
    picture = TiffPicture(directory)
    compression = directory.number(tags.COMPRESSION, 1)
    if compression in _OPTIONAL and not _has_codec(_OPTIONAL[compression]):
        raise DecodeError(Status.UNSUPPORTED, f"a TIFF compressed by {_OPTIONAL[compression]}, which libtiff lacks here", again=True)
    return picture


@cache
def _has_codec(compression: str) -> bool:
    try:
        Image.new("L", (8, 8)).save(io.BytesIO(), "tiff", compression=compression)
    except OSError:
        return False
    return True


def _piece_bytes(directory: Directory, size: tuple[int, int]) -> int:
    """Bytes of what libtiff decodes at once, a strip or a tile."""
    width, height = size
    if _TILE_WIDTH in directory:
        width, rows = directory.number(_TILE_WIDTH, width), directory.number(_TILE_HEIGHT, height)
    else:
        rows = min(directory.number(_ROWS, height), height)
    samples = directory.number(tags.SAMPLES, 1)
    bits = directory.number(tags.BITS, 1)
    as_rgba = 4
    return width * rows * (samples * bits // 8 + as_rgba)

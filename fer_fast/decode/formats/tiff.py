"""A TIFF comes in, a picture goes out: its first page.

libtiff decodes it as this package reads its directory, not as Pillow's plugin does: that one takes a negative of 16
bits for a positive and planes of 16 bits for noise, and lacks some kinds, big-endian BigTIFF among them.
"""

from __future__ import annotations

import io
import os
from functools import cache
from typing import BinaryIO

import PIL
from PIL import Image, features

from fer_fast.decode.formats import tiff_layout as tags
from fer_fast.decode.formats.exif import orientation_of
from fer_fast.decode.formats.picture import Picture, stored_bytes
from fer_fast.decode.formats.tiff_directory import Directory
from fer_fast.decode.formats.tiff_layout import layout_of
from fer_fast.decode.formats.tiff_strips import check_strips
from fer_fast.decode.meaning import MEANING
from fer_fast.decode.pixels import Size
from fer_fast.types import DecodeError, Status

_ROWS, _ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT, _XMP = 278, 274, 322, 323, 700

#: Compressions that a libtiff may have been built without, by Pillow's names: each is tried once.
_OPTIONAL = {7: "jpeg", 8: "tiff_adobe_deflate", 32946: "tiff_deflate", 34925: "lzma", 50000: "zstd", 50001: "webp"}

#: libtiff's own, and its codecs'.
_CONSTANT = 8 << 20

#: Columns and rows of its middle by which a picture is judged.
_JUDGED = 512

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
        self._compression = directory.number(tags.COMPRESSION, 1)
        self.mode = self._layout.mode
        self.size = (directory.number(tags.WIDTH, 0), directory.number(tags.HEIGHT, 0))
        if not all(1 <= side < 1 << 31 for side in self.size):
            raise DecodeError(Status.CORRUPT, "a TIFF of {} x {} pixels".format(*self.size))
        self.orientation = _orientation(directory)
        pieces = _piece_bytes(directory, self.size, self._layout.raw_mode == "RGBX")
        copies = 2 if self._layout.meaning.dtype == "int8" else 1
        self.memory = copies * stored_bytes(self.mode, self.size) + pieces + _CONSTANT

    def load(self, least: Size) -> Image.Image:
        """See `Picture.load`."""
        self._check_codec()
        check_strips(self._directory, self._compression, Image.getmodebands(self.mode))
        colours = self._colours() if self.mode == "P" else b""
        image = Image.new(self.mode, self.size, None)
        self._decode(image)
        if self._layout.meaning.dtype == "int8" and _is_signed(image):
            image = image.point([(number + 128) % 256 for number in range(256)])
        if colours:
            count = len(colours) // 3
            if any(image.histogram()[count:]):
                raise DecodeError(Status.CORRUPT, f"a TIFF in palette that uses more than its {count} colours")
            image.putpalette(colours)
        image.format = "TIFF"  # as one that Pillow has opened
        image.info[MEANING] = self._layout.meaning
        return image

    def _check_codec(self) -> None:
        codec = _OPTIONAL.get(self._compression)
        if codec and not _has_codec(codec):
            reason = f"a TIFF compressed by {codec}, which libtiff lacks here"
            raise DecodeError(Status.UNSUPPORTED, reason, again=True)

    def _decode(self, image: Image.Image) -> None:
        content = self._directory.content
        is_read = isinstance(content, io.BytesIO)
        descriptor = 0 if is_read else content.fileno()
        first_page = 0
        names = ("",) if _TAKES_A_NAME else ()
        arguments = (self._layout.raw_mode, *names, descriptor, first_page)
        try:
            decoder = Image._getdecoder(self.mode, "libtiff", arguments)
        except ValueError:
            reason = f"a TIFF of which this Pillow does not know the samples: {self._layout.raw_mode}"
            raise DecodeError(Status.UNSUPPORTED, reason, again=True) from None
        decoder.setimage(image.im, (0, 0, *self.size))
        _, code = decoder.decode(content.getvalue() if isinstance(content, io.BytesIO) else b"file")
        if descriptor:
            os.lseek(descriptor, 0, os.SEEK_SET)
        if code < 0:
            raise OSError(f"libtiff cannot decode it (error {code})")

    def _colours(self) -> bytes:
        """A palette's colours, each of three bytes."""
        numbers = [int(each) for each in self._directory.numbers(tags.COLOURS)[: 3 * 257]]
        count = len(numbers) // 3
        if not 1 <= count <= 256:
            raise DecodeError(Status.CORRUPT, f"a TIFF in palette of {count} colours")
        if max(numbers) > 0xFF:  # where all are of 8 bits libtiff takes them for that, too
            numbers = [each >> 8 for each in numbers]
        return bytes(numbers[plane * count + number] for number in range(count) for plane in range(3))


def _orientation(directory: Directory) -> int:
    """Its own tag's, of any type of whole numbers; XMP's where it has none."""
    if _ORIENTATION not in directory:
        return orientation_of(b"", bytes(directory.hints(_XMP)))
    orientation = int(next(iter(directory.hints(_ORIENTATION)), 1))
    return orientation if 1 <= orientation <= 8 else 1


def open_tiff(content: BinaryIO, size: int) -> Picture:
    """Opens a TIFF; see `opening.open_picture`."""
    if not features.check("libtiff"):
        raise DecodeError(Status.UNSUPPORTED, "TIFF needs a Pillow built with libtiff", again=True)
    return TiffPicture(Directory(content, size))


def _is_signed(image: Image.Image) -> bool:
    """Whether grey of 8 bits that is said to be signed has black below zero: neighbours are closer to each other so.

    Writers say so of plain bytes, too, and few readers look at it.
    """
    import numpy as np

    from fer_fast.decode.numbers import limits_of

    left, top = (max(0, (side - _JUDGED) // 2) for side in image.size)
    numbers = np.asarray(image.crop((left, top, min(image.width, left + _JUDGED), min(image.height, top + _JUDGED))))
    plain, signed = (
        sum(int(np.abs(np.diff(each.astype(np.int16), axis=axis)).sum()) for axis in (0, 1))
        for each in (numbers, numbers.view(np.int8))
    )
    return signed < plain and limits_of(numbers.view(np.int8)) == (-128, 127)


@cache
def _has_codec(compression: str) -> bool:
    try:
        Image.new("L", (8, 8)).save(io.BytesIO(), "tiff", compression=compression)
    except OSError:
        return False
    return True


def _piece_bytes(directory: Directory, size: tuple[int, int], is_made_rgb: bool) -> int:
    """Bytes of what libtiff decodes at once: a strip or a tile; a plain strip that is the only one it cuts itself."""
    width, height = size
    is_planar = directory.number(tags.PLANES, 1) == 2
    rows = min(directory.number(_ROWS, height), height)
    if _TILE_WIDTH in directory:
        width, rows = directory.number(_TILE_WIDTH, width), directory.number(_TILE_HEIGHT, height)
    elif rows == height and not is_planar and directory.number(tags.COMPRESSION, 1) == 1:
        rows = 1
    bits = directory.number(tags.BITS, 1) * (1 if is_planar else directory.number(tags.SAMPLES, 1))
    return width * rows * (bits + 7 + 32 * is_made_rgb) // 8

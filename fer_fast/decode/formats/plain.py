"""A BMP or a GIF comes in, a picture goes out."""

from __future__ import annotations

import os
import struct
from typing import Any, BinaryIO, NamedTuple

from PIL import Image, ImagePalette
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile

from fer_fast.decode.formats.picture import Picture, PillowPicture, stored_bytes
from fer_fast.decode.pixels import Size
from fer_fast.types import DecodeError, Status

#: A frame on its canvas, and one that is being made of it.
_GIF_BYTES = 3
#: What of a GIF is passed over before its picture, at most: profiles and comments, by 255 bytes.
_MOST_BLOCKS = 1 << 16
#: By the standard; Pillow refuses what begins with more.
_WIDEST_CODE = 12
#: What a BMP of run lengths is decoded into before it is an image.
_RUNS_BYTES = 3
#: Ends of a row that follow each other, two bytes of zeros each; rows without pixels Pillow cannot read.
_MOST_ENDS = 16
_HOLE = bytes(2 * _MOST_ENDS)
#: A block of the file, and Pillow's own.
_CONSTANT = 1 << 20

#: The picture's end, two bytes, and what fills it up.
_END_OF_RUNS = 6

_CORE, _OS2_SHORT, _OS2 = 12, 16, 64
_RUNS_OF_8, _RUNS_OF_4, _BIT_FIELDS = 1, 2, 3
#: Compressions that Pillow does not know; OS/2 has two of its own in place of others.
_UNREAD = {4: "a JPEG inside", 5: "a PNG inside", 6: "bit fields with alpha", **dict.fromkeys((11, 12, 13), "CMYK")}
_UNREAD_OF_OS2 = {3: "Huffman codes", 4: "run lengths of 24 bits"}
_DEPTHS = (1, 2, 4, 8, 16, 24, 32, 64)
_UNREAD_DEPTHS = (2, 64)
_RAW_MODES = {1: "P;1", 4: "P;4", 8: "P"}


class _Header(NamedTuple):
    """What a BMP's header says; `end` is where its pixels end."""

    end: int
    length: int
    width: int
    height: int
    bits: int
    compression: int
    masks: tuple[int, int, int]

    @property
    def has_run_lengths(self) -> bool:
        return self.compression in (_RUNS_OF_8, _RUNS_OF_4)


class _BmpPicture(PillowPicture):
    def __init__(self, image: BmpImageFile, header: _Header) -> None:
        super().__init__(image, 0)
        self.memory = stored_bytes(image.mode, image.size) + _CONSTANT
        self._header = header
        self._content = image.fp
        self._start = image.tile[0].offset
        if header.has_run_lengths:
            self.is_slow = True  # they are decoded in Python
            self.memory += _RUNS_BYTES * header.width * abs(header.height)

    def load(self, least: Size) -> Image.Image:
        """See `Picture.load`."""
        try:
            image = super().load(least)
        except (OSError, ValueError):
            if self._header.has_run_lengths and self._content:
                self._content.seek(self._header.end - _END_OF_RUNS)
                if self._content.read(_END_OF_RUNS).rstrip(b"\0").endswith(b"\0\1"):  # the end, where it should be
                    raise _unsupported("run lengths that leave pixels out") from None
            raise
        if self._header.has_run_lengths and self._content:
            self._content.seek(self._start)
            if _has_hole(self._content.read(self._header.end - self._start), self._header.compression):
                raise DecodeError(Status.CORRUPT, "the run lengths of the BMP were not written whole")
        return image


def open_bmp(content: BinaryIO, size: int) -> PillowPicture:
    """Opens a BMP; see `opening.open_picture`."""
    header = _header(content, size)
    _check(header)
    try:
        image = BmpImageFile(content)
    except OSError as error:
        red, green, blue = header.masks
        if header.compression != _BIT_FIELDS or red & green or green & blue or blue & red or not min(header.masks):
            raise
        fields = ", ".join(f"{mask:#x}" for mask in header.masks)
        raise _unsupported(f"bit fields {fields} of {header.bits} bits") from error
    _mend_palette(image, header)
    return _BmpPicture(image, header)


class _GifPicture(Picture):
    mode = "P"

    def __init__(self, content: BinaryIO) -> None:
        self.size = width, height = _canvas(content)
        self.memory = _GIF_BYTES * width * height
        # Pillow's plugin goes by a limit that belongs to the program around us; in a process there is none.
        self.is_slow = Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS
        self._content = content

    def load(self, least: Size) -> Image.Image:
        """See `Picture.load`."""
        self._content.seek(0)
        image = GifImageFile(self._content)
        image.load()
        return image


def open_gif(content: BinaryIO, size: int) -> Picture:
    """Opens a GIF; see `opening.open_picture`."""
    return _GifPicture(content)


def _canvas(content: BinaryIO) -> tuple[int, int]:
    """Width and height of a GIF with its first picture, which may reach beyond its screen."""
    screen = content.read(13)
    if len(screen) == 13:
        width, height, flags = struct.unpack_from("<HHB", screen, 6)
        _skip_palette(content, flags)
        _skip_to_picture(content)
        picture = content.read(9)
        if len(picture) == 9:
            x, y, across, down, flags = struct.unpack("<HHHHB", picture)
            _skip_palette(content, flags)
            bits = content.read(1)
            if not across or not down:
                raise DecodeError(Status.CORRUPT, f"a GIF whose picture has {across} x {down} pixels")
            if bits and bits[0] > _WIDEST_CODE:
                raise DecodeError(Status.CORRUPT, f"a GIF whose codes have {bits[0]} bits or more")
            if bits:
                return max(width, x + across), max(height, y + down)
    raise DecodeError(Status.CORRUPT, "the file ends before the GIF's picture")


def _skip_palette(content: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        content.seek(6 << (flags & 7), os.SEEK_CUR)


def _skip_to_picture(content: BinaryIO) -> None:
    """Passes over comments and the like, and what stands between them."""
    blocks = iter(range(_MOST_BLOCKS))
    for _ in blocks:
        kind = content.read(1)
        if kind == b",":
            return
        if kind in (b"", b";"):
            raise DecodeError(Status.CORRUPT, "a GIF without a picture")
        if kind == b"!":
            content.seek(1, os.SEEK_CUR)
            for _ in blocks:
                length = content.read(1)
                if length in (b"", b"\0"):
                    break
                content.seek(length[0], os.SEEK_CUR)
    raise DecodeError(Status.CORRUPT, f"a GIF of more than {_MOST_BLOCKS} blocks before its picture")


def _header(content: BinaryIO, size: int) -> _Header:
    data = content.read(66)
    content.seek(0)
    if len(data) < 26:
        raise DecodeError(Status.CORRUPT, "the file ends within the BMP's header")
    start, length = struct.unpack_from("<II", data, 10)
    if length in (_CORE, _OS2_SHORT):
        width, height, _, bits = struct.unpack_from("<HHHH" if length == _CORE else "<IIHH", data, 18)
        return _Header(size, length, width, height, bits, 0, (0, 0, 0))
    width, height, _, bits, compression, stored = struct.unpack_from("<iiHHII", data.ljust(66, b"\0"), 18)
    end = start + stored if 2 < stored <= size - start else size
    masks = struct.unpack_from("<III", data.ljust(66, b"\0"), 54)
    return _Header(end, length, width, height, bits, compression, masks)


def _check(header: _Header) -> None:
    """Tells what Pillow has no word for from what no BMP is."""
    _, length, width, height, bits, compression, _ = header
    if width <= 0 or not height:
        raise DecodeError(Status.CORRUPT, f"a BMP of {width} x {height} pixels")
    if length == _OS2 and compression in _UNREAD_OF_OS2:
        raise _unsupported(_UNREAD_OF_OS2[compression])
    if compression in _UNREAD:
        raise _unsupported(_UNREAD[compression])
    if compression > _BIT_FIELDS or bits not in _DEPTHS:
        raise DecodeError(Status.CORRUPT, f"a BMP of {bits} bits, compressed by method {compression}")
    if length == _OS2_SHORT:
        raise _unsupported("a header of 16 bytes, by OS/2")
    if bits in _UNREAD_DEPTHS:
        raise _unsupported(f"{bits} bits a pixel")


def _mend_palette(image: BmpImageFile, header: _Header) -> None:
    """Pillow takes grey palettes for grey of 1 or 8 bits, whatever the pixels have, and none of over 256 colours."""
    if image.mode in ("1", "L") and header.bits != (1 if image.mode == "1" else 8):
        shades = (0, 255) if image.mode == "1" else range(256)
        image._mode = "P"
        image.palette = ImagePalette.raw("RGB", bytes(shade for shade in shades for _ in range(3)))
        (tile,) = image.tile
        arguments: Any = tile.args
        image.tile = [tile._replace(args=(_RAW_MODES[header.bits], *arguments[1:]))]
    elif image.mode == "P" and image.palette:
        colours = len(image.palette.rawmode or image.palette.mode)
        image.palette.palette = bytes(image.palette.palette)[: 256 * colours]


def _has_hole(runs: bytes, compression: int) -> bool:
    """Whether a part was never written: zeros end the row, and the rows behind it move up, if each has several runs."""
    if _HOLE not in runs:
        return False
    place = ends = 0
    while place + 1 < len(runs) and ends < _MOST_ENDS:
        count, value = runs[place : place + 2]
        place += 2
        ends = ends + 1 if count == value == 0 else 0
        if count == 0 and value > 2:  # as many pixels as they are
            copied = value if compression == _RUNS_OF_8 else (value + 1) // 2
            place += copied + copied % 2
        elif count == 0 and value:
            place += 2 if value == 2 else len(runs)  # a step, the picture's end
    return ends == _MOST_ENDS


def _unsupported(what: str) -> DecodeError:
    return DecodeError(Status.UNSUPPORTED, f"a BMP of {what}")

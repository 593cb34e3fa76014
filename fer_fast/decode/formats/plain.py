"""A BMP or a GIF comes in, a picture goes out."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, NamedTuple

from PIL import Image, ImagePalette
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile

from fer_fast.decode.formats.picture import PillowPicture, stored_bytes
from fer_fast.types import DecodeError, Status

#: A frame on its canvas, and one that is being made of it.
_GIF_BYTES = 3
#: What a BMP of run lengths is decoded into before it is an image.
_RUNS_BYTES = 3
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
        if header.has_run_lengths:
            self.is_slow = True  # they are decoded in Python
            self.memory += _RUNS_BYTES * header.width * abs(header.height)

    def load(self, side: int) -> Image.Image:
        """See `Picture.load`."""
        try:
            return super().load(side)
        except (OSError, ValueError):
            if self._header.has_run_lengths and self._content:
                self._content.seek(self._header.end - _END_OF_RUNS)
                if self._content.read(_END_OF_RUNS).rstrip(b"\0").endswith(b"\0\1"):  # the end, where it should be
                    raise _unsupported("run lengths that leave pixels out") from None
            raise


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


def open_gif(content: BinaryIO, size: int) -> PillowPicture:
    """Opens a GIF; see `opening.open_picture`."""
    return PillowPicture(GifImageFile(content), _GIF_BYTES)


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


def _unsupported(what: str) -> DecodeError:
    return DecodeError(Status.UNSUPPORTED, f"a BMP of {what}")

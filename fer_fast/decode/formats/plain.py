"""A BMP or a GIF comes in, a picture goes out."""

from __future__ import annotations

from typing import BinaryIO

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile

from fer_fast.decode.formats.picture import PillowPicture

#: A palette's indices, and its colours with and without alpha.
_BYTES_A_PIXEL = 10


def open_bmp(content: BinaryIO, size: int) -> PillowPicture:
    """Opens a BMP; see `opening.open_picture`."""
    return PillowPicture(BmpImageFile(content), _BYTES_A_PIXEL)


def open_gif(content: BinaryIO, size: int) -> PillowPicture:
    """Opens a GIF; see `opening.open_picture`."""
    return PillowPicture(GifImageFile(content), _BYTES_A_PIXEL)

"""A TIFF comes in, a picture goes out."""

from __future__ import annotations

from typing import BinaryIO

from PIL.TiffImagePlugin import TiffImageFile

from fer_fast.decode.formats.picture import PillowPicture

#: Numbers in 32 bits become 8 by arithmetic.
_BYTES_A_PIXEL = 30


def open_tiff(content: BinaryIO, size: int) -> PillowPicture:
    """Opens a TIFF; see `opening.open_picture`."""
    return PillowPicture(TiffImageFile(content), _BYTES_A_PIXEL)

"""A file of the family of ISO 14496-12, AVIF or HEIC, comes in, a picture goes out."""

from __future__ import annotations

from typing import BinaryIO

from fer_fast.decode.formats.picture import PillowPicture

#: The codec's planes, RGB, and Pillow's own.
_BYTES_A_PIXEL = 16


def open_avif(content: BinaryIO, size: int) -> PillowPicture:
    """Opens an AVIF; see `opening.open_picture`."""
    from PIL.AvifImagePlugin import AvifImageFile  # not in every Pillow

    return PillowPicture(AvifImageFile(content), _BYTES_A_PIXEL)


def open_heif(content: BinaryIO, size: int) -> PillowPicture:
    """Opens a HEIC; see `opening.open_picture`."""
    from pillow_heif import HeifImageFile  # its plugin is not registered: the program around us may mind

    return PillowPicture(HeifImageFile(content), _BYTES_A_PIXEL)  # type: ignore[no-untyped-call]

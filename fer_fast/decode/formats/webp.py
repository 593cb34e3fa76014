"""A WebP comes in, a picture goes out."""

from __future__ import annotations

from typing import BinaryIO

from fer_fast.decode.formats.picture import PillowPicture

#: A canvas, two frames, and Pillow's own.
_BYTES_A_PIXEL = 16


def open_webp(content: BinaryIO, size: int) -> PillowPicture:
    """Opens a WebP; see `opening.open_picture`."""
    from PIL.WebPImagePlugin import WebPImageFile  # not in every Pillow

    return PillowPicture(WebPImageFile(content), _BYTES_A_PIXEL)


def webp_pixels(head: bytes) -> int:
    """How many pixels a WebP's header promises; 0 if it has none."""
    kind, body = head[12:16], head[20:30]
    if kind == b"VP8X":
        return (1 + int.from_bytes(body[4:7], "little")) * (1 + int.from_bytes(body[7:10], "little"))
    if kind == b"VP8L":
        sides = int.from_bytes(body[1:5], "little")
        return (1 + (sides & 0x3FFF)) * (1 + (sides >> 14 & 0x3FFF))
    return (int.from_bytes(body[6:8], "little") & 0x3FFF) * (int.from_bytes(body[8:10], "little") & 0x3FFF)

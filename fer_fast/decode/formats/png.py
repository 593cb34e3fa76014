"""A PNG comes in, a picture goes out."""

from __future__ import annotations

import os
import zlib
from typing import IO, BinaryIO

from PIL.PngImagePlugin import PngImageFile

from fer_fast.decode.formats.picture import PillowPicture
from fer_fast.types import DecodeError, Status

#: Bytes of a chunk that are checked at once.
_PIECE = 1 << 20

#: Grey in 16 bits becomes 8 by arithmetic.
_BYTES_A_PIXEL = 12


def open_png(content: BinaryIO, size: int) -> PillowPicture:
    """Opens a PNG; see `opening.open_picture`."""
    image = PngImageFile(content)
    check_png(content)
    return PillowPicture(image, _BYTES_A_PIXEL)


def check_png(content: IO[bytes]) -> None:
    """Checks a PNG's chunks up to its end, as Pillow does not: it takes pixels whose checksum is wrong.

    An interrupted copy often has its full length and zeros at the end; without this it would be half a face.

    Raises:
        DecodeError: `CORRUPT` for a missing end or a wrong checksum of a chunk that the pixels depend on.
    """
    position = content.tell()
    content.seek(8)
    kind = b""
    while kind != b"IEND":
        start = content.read(8)
        left, kind = int.from_bytes(start[:4], "big"), start[4:]
        if kind[:1].islower():  # ancillary: no reason to lose a face
            content.seek(left + 4, os.SEEK_CUR)
            continue
        checksum = zlib.crc32(kind)
        while left > _PIECE and (piece := content.read(_PIECE)):
            checksum = zlib.crc32(piece, checksum)
            left -= len(piece)
        rest = content.read(min(left, _PIECE) + 4)
        if len(rest) != left + 4 or zlib.crc32(rest[:left], checksum) != int.from_bytes(rest[left:], "big"):
            raise DecodeError(Status.CORRUPT, f"broken PNG chunk {ascii(kind)[1:]}" if kind else "no end of the PNG")
    content.seek(position)

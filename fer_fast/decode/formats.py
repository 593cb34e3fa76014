"""A file's bytes come in; its format by content goes out, and what tells that a file of that format is whole.

The suffix has no say.
"""

from __future__ import annotations

import os
import zlib
from typing import IO

from fer_fast.types import DecodeError, Status

#: Bytes that tell the format: up to the brands of a HEIF file.
HEAD = 256

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
#: A file that is shorter may be the beginning of an image; of the formats here a BMP tells itself last.
_SHORTEST = 18
#: Brands in the first box of the family of ISO 14496-12. The structural ones say only that there are images in it.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_STRUCTURAL_BRANDS = {b"mif1", b"mif2", b"msf1"}

#: Bytes of a chunk that are checked at once.
_PIECE = 1 << 20


def format_of(head: bytes, size: int) -> str:
    """The format: jpeg, png, webp, bmp, tiff, gif, avif or heif.

    Args:
        head: the file's first bytes, `HEAD` of them if it has as many.
        size: of the file, in bytes.

    Raises:
        DecodeError: `UNSUPPORTED`, or `CORRUPT` for a file that ends where an image might only begin.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if head[4:8] == b"ftyp" and (name := _branded(head)):
        return name
    if size < _SHORTEST and _may_begin_an_image(head):
        raise DecodeError(Status.CORRUPT, f"the file ends after {size} bytes")
    raise DecodeError(Status.UNSUPPORTED, "not a jpeg, png, webp, bmp, tiff, gif, avif or heic image")


def _branded(head: bytes) -> str:
    """The format by the brands of a file's first box; empty for a film's."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major = {head[8:12]}
    every = major | {head[place : place + 4] for place in range(16, end, 4)}
    for brands in (major, every):
        if brands & _HEVC_BRANDS:
            return "heif"
        if brands & _AVIF_BRANDS:
            return "avif"
    return "heif" if every & _STRUCTURAL_BRANDS else ""


def _may_begin_an_image(head: bytes) -> bool:
    if any(magic.startswith(head) for magic, _ in _MAGIC):
        return True
    if head.startswith(b"BM"[: len(head)]):
        return True
    if b"\0\0\0".startswith(head[:3]) and b"ftyp".startswith(head[4:8]):
        return len(head) < 12 or head[8:12] in _STRUCTURAL_BRANDS
    return b"RIFF".startswith(head[:4]) and b"WEBP".startswith(head[8:12])


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


def webp_pixels(head: bytes) -> int:
    """How many pixels a WebP's header promises; 0 if it has none."""
    kind, body = head[12:16], head[20:30]
    if kind == b"VP8X":
        return (1 + int.from_bytes(body[4:7], "little")) * (1 + int.from_bytes(body[7:10], "little"))
    if kind == b"VP8L":
        sides = int.from_bytes(body[1:5], "little")
        return (1 + (sides & 0x3FFF)) * (1 + (sides >> 14 & 0x3FFF))
    return (int.from_bytes(body[6:8], "little") & 0x3FFF) * (int.from_bytes(body[8:10], "little") & 0x3FFF)


def jpeg_coding(content: bytes) -> int:
    """How a JPEG's pixels are coded: the last byte of its frame header's marker, 0xC0 to 0xCF; 0 if it has none."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # fill
            place += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # tables and extensions among them
            return marker
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return 0

"""A JPEG comes in; what its markers say up to its first scan goes out, and the segments that a codec needs.

Whatever else stands there, however odd, is no reason to lose a face: it never reaches a codec.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from fer_fast.decode.formats.exif import orientation_of
from fer_fast.types import DecodeError, Status

#: Fewer bytes than these, where they belong to no segment or to no code, are taken for some writer's padding, and fewer
#: steps of 0 for its whim. A hole is a block of a disk, 512 bytes or more.
FEW = 16

#: Frame headers, by the last byte of their markers, as T.81 table B.1 has them.
BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS = 0xC0, 0xC1, 0xC2, 0xC3
_ARITHMETIC = 0xC9
_ARITHMETIC_PROGRESSIVE = 0xCA
_ARITHMETIC_LOSSLESS = 0xCB
_HIERARCHICAL = (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE)
_JPEG_LS = 0xF7
_READ_HERE = (BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, _ARITHMETIC, _ARITHMETIC_PROGRESSIVE)
_FRAMES = (*_READ_HERE, _ARITHMETIC_LOSSLESS, *_HIERARCHICAL, _JPEG_LS)

_END, _SCAN, _STEPS, _COMMENT = 0xD9, 0xDA, 0xDB, 0xFE
_JFIF, _EXIF, _ADOBE = 0xE0, 0xE1, 0xEE
_APPLICATION = range(0xE0, 0xF0)
#: What follows 0xFF and begins no segment: a stuffed zero, fill, TEM, restarts, a second beginning.
_NO_SEGMENT = (0x00, 0xFF, 0x01, *range(0xD0, 0xD9))

#: Bytes that give a component's factors, horizontal and vertical, each 1 to 4.
_FACTORS = frozenset(16 * across + down for across in range(1, 5) for down in range(1, 5))

#: How the header of a sequential scan ends; some cameras write otherwise, and every codec reads it so.
WHOLE_BAND = b"\x00\x3f\x00"

_XMP = b"http://ns.adobe.com/xap/1.0/\0"


@dataclass
class JpegHeader:
    """What stands before a JPEG's first scan.

    Attributes:
        coding: the last byte of the frame header's marker, 0xC0 to 0xCF.
        size: width and height in pixels.
        sampling: of each component the factors, horizontal and vertical.
        is_jfif, adobe: what says the colours: a JFIF segment, and the transform in Adobe's; None if there is none.
        exif, xmp: what these segments hold; empty if there are none.
        segments: the tables, the frame's header, the first scan's: what a codec needs, as the file has it.
        scanned: components of the first scan.
        end: of the first scan's header: where its pixels begin.
    """

    coding: int = 0
    size: tuple[int, int] = (0, 0)
    sampling: list[tuple[int, int]] = field(default_factory=list)
    is_jfif: bool = False
    adobe: int | None = None
    exif: bytes = b""
    xmp: bytes = b""
    segments: list[bytes] = field(default_factory=list)
    scanned: int = 0
    end: int = 0

    @property
    def is_arithmetic(self) -> bool:
        """Whether its codes are arithmetic, not Huffman's."""
        return self.coding >= _ARITHMETIC

    @property
    def is_sequential(self) -> bool:
        """Whether a scan holds all of its components' coefficients."""
        return self.coding in (BASELINE, EXTENDED, _ARITHMETIC)

    @property
    def is_lossless(self) -> bool:
        """Whether it holds differences of samples, no coefficients."""
        return self.coding == LOSSLESS

    @property
    def has_scans(self) -> bool:
        """Whether it has several scans: a codec holds all of the picture until the last of them."""
        return self.coding in (PROGRESSIVE, _ARITHMETIC_PROGRESSIVE) or self.scanned < len(self.sampling)

    @property
    def orientation(self) -> int:
        """1 to 8: by EXIF, by XMP if that has none; 1 if there is neither."""
        return orientation_of(self.exif, self.xmp)


def read_header(content: BinaryIO) -> JpegHeader:
    """Reads a JPEG's segments up to its first scan.

    Raises:
        DecodeError: `CORRUPT`; `UNSUPPORTED` for a kind of JPEG that no codec here reads, with what it is.
    """
    header = JpegHeader()
    content.seek(2)
    lost = 0
    while True:
        start = content.read(4)
        if len(start) < 4:
            raise _damage("the file ends in the JPEG's header")
        marker = start[1]
        if start[0] != 0xFF or marker in _NO_SEGMENT:
            step = 1 if start[0] != 0xFF or marker == 0xFF else 2
            lost += step if start[0] != 0xFF or marker in (0x00, 0xD8) else 0
            if lost >= FEW:
                raise _damage(f"{lost} or more bytes of the JPEG's header belong to no segment")
            content.seek(step - 4, os.SEEK_CUR)
            continue
        if marker == _END:
            raise _damage("the JPEG ends before its pixels")
        length = max(int.from_bytes(start[2:], "big") - 2, 0)
        if marker in _APPLICATION or marker == _COMMENT:
            _note(header, marker, content, length)
            continue
        body = content.read(length)
        if len(body) < length:
            raise _damage("the file ends in the JPEG's header")
        if marker == _SCAN:
            _begin_scan(header, body)
            header.end = content.tell()
            return header
        if marker in _FRAMES:
            _begin_frame(header, marker, body)
        elif marker == _STEPS:
            _check_steps(body)
        header.segments.append(start + body)


def _note(header: JpegHeader, marker: int, content: BinaryIO, length: int) -> None:
    """Takes from an application's segment what bears on how the picture looks."""
    if marker not in (_JFIF, _EXIF, _ADOBE):
        content.seek(length, os.SEEK_CUR)
        return
    body = content.read(length)
    if marker == _JFIF:
        header.is_jfif |= length >= 14 and body.startswith(b"JFIF\0")
    elif marker == _ADOBE:
        if length >= 12 and body.startswith(b"Adobe"):
            header.adobe = body[11]
    elif body.startswith(b"Exif\0\0"):
        header.exif += body[6:] if header.exif else body  # one that is long goes on in a second segment
    elif body.startswith(_XMP):
        header.xmp = body


def _begin_frame(header: JpegHeader, marker: int, body: bytes) -> None:
    if header.coding:
        raise _damage("a JPEG with a second frame header")
    if marker == _JPEG_LS:
        raise _unsupported("a JPEG-LS picture")
    if marker in _HIERARCHICAL:
        raise _unsupported("a hierarchical JPEG")
    if marker == _ARITHMETIC_LOSSLESS:
        raise _unsupported("a lossless JPEG in arithmetic codes")
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise _damage(f"a frame header of {len(body)} bytes")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    factors = body[7::3]
    if not width or not components or not _FACTORS.issuperset(factors):
        raise _damage("a frame header without a width, or without components that T.81 allows")
    if precision != 8:
        valid = range(2, 17) if marker == LOSSLESS else (12,)
        raise (_unsupported if precision in valid else _damage)(f"a JPEG of {precision} bits a sample")
    if components not in (1, 3, 4):
        raise _unsupported(f"a JPEG of {components} components")
    if not height:
        raise _unsupported("a JPEG whose height stands behind its first scan (DNL)")
    header.coding, header.size = marker, (width, height)
    header.sampling = [(factor >> 4, factor & 15) for factor in factors]


def _check_steps(body: bytes) -> None:
    """Looks for quantisation steps of 0: they stand for a hole, and a codec shows the picture grey without a word."""
    place = 0
    while place < len(body):
        end = place + (129 if body[place] >> 4 else 65)
        steps = body[place + 1 : end]
        if body[place] >> 4:  # of two bytes
            steps = bytes(map(max, steps[::2], steps[1::2]))
        zeros = steps.count(0)
        if zeros >= FEW or steps[:1] == b"\0":
            raise _damage(f"a quantisation table with {zeros} steps of 0")
        place = end


def _begin_scan(header: JpegHeader, body: bytes) -> None:
    if not header.coding:
        raise _damage("a JPEG without a frame header")
    header.scanned = body[0] if body else 0
    if header.is_sequential and len(body) == 4 + 2 * header.scanned:
        body = body[:-3] + WHOLE_BAND
    header.segments.append(b"\xff\xda" + (len(body) + 2).to_bytes(2, "big") + body)


def _damage(reason: str) -> DecodeError:
    return DecodeError(Status.CORRUPT, reason)


def _unsupported(reason: str) -> DecodeError:
    return DecodeError(Status.UNSUPPORTED, reason)

"""A PNG's chunks come in; those that its pixels depend on, where those are, and how to turn them go out.

Text, profiles, times, animations and whatever else is ancillary may be damaged, misplaced or unknown: no face is lost
for it. Checksums are looked at where pixels depend on them, as Pillow does not: an interrupted copy often has its full
length and zeros at the end, and would be half a face.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import BinaryIO, NamedTuple

from fer_fast.decode.formats.exif import orientation_of, profile_in
from fer_fast.types import DecodeError, Status

SIGNATURE = b"\x89PNG\r\n\x1a\n"

HEADER = struct.Struct(">IIBBBBB")

#: Bytes of a chunk that are read at once, and the most that are looked at of one that may tell the orientation.
PIECE = 1 << 20

#: By bits a sample and type of colours: the mode, what Pillow's decoder calls the samples, how many are a pixel.
MODES = {
    (1, 0): ("1", "1", 1),
    (2, 0): ("L", "L;2", 1),
    (4, 0): ("L", "L;4", 1),
    (8, 0): ("L", "L", 1),
    (16, 0): ("I;16", "I;16B", 1),
    (8, 2): ("RGB", "RGB", 3),
    (16, 2): ("RGB", "RGB;16B", 3),
    (1, 3): ("P", "P;1", 1),
    (2, 3): ("P", "P;2", 1),
    (4, 3): ("P", "P;4", 1),
    (8, 3): ("P", "P", 1),
    (8, 4): ("LA", "LA", 2),
    (16, 4): ("RGBA", "LA;16B", 2),
    (8, 6): ("RGBA", "RGBA", 4),
    (16, 6): ("RGBA", "RGBA;16B", 4),
}
WITH_PALETTE = 3

#: Chunks that may tell the orientation, and of those with text the keywords. Of profiles the first counts.
_NOTES = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")
_XMP = b"XML:com.adobe.xmp"


class Header(NamedTuple):
    """What a PNG begins with; no width before it was read."""

    width: int = 0
    height: int = 0
    bits: int = 0
    colours: int = 0
    compression: int = 0
    filters: int = 0
    interlace: int = 0


class Chunks:
    """What a walk over a PNG's chunks finds.

    Attributes:
        header: checked.
        palette: red, green and blue of each colour, where pixels are numbers of colours.
        first: where the first chunk of pixels begins; 0 for nowhere.
        coded: bytes of all chunks of pixels.
        is_bare: no other chunk is there.
        notes: what may tell the orientation, by chunk or keyword.

    Raises:
        DecodeError: `CORRUPT` for chunks that pixels depend on and that are damaged, missing or there twice, and for a
            missing end; `UNSUPPORTED` for a chunk without which pixels cannot be read, and that no standard has.
    """

    def __init__(self, content: BinaryIO) -> None:
        self.header = Header()
        self.palette = b""
        self.first = self.coded = 0
        self.is_bare = True
        self.notes: dict[bytes, bytes] = {}
        content.seek(len(SIGNATURE))
        kind = b""
        while kind != b"IEND":
            length, kind = next_chunk(content)
            if _is_ancillary(kind) and kind not in _NOTES:
                self.is_bare = False
                content.seek(length + 4, os.SEEK_CUR)
                continue
            data = _read(content, length, kind)
            if kind == b"IDAT" and data is not None:
                self.first = self.first or content.tell() - length - 12
                self.coded += length
            else:
                self._take(kind, data)
        if not self.coded or not self.header.width:
            raise DecodeError(Status.CORRUPT, f"a PNG without {'pixels' if self.header.width else 'a header'}")
        if self.header.colours == WITH_PALETTE and not self.palette:
            raise DecodeError(Status.CORRUPT, "a PNG without the palette of its pixels")

    @property
    def orientation(self) -> int:
        """By EXIF, in its own chunk or as text, or by XMP."""
        if not self.notes:
            return 1
        exif = self.notes.get(b"eXIf")
        if exif is None:
            exif = profile_in(next((self.notes[each] for each in _PROFILES if each in self.notes), b""))
        return orientation_of(exif, self.notes.get(_XMP, b""))

    def _take(self, kind: bytes, data: bytes | None) -> None:
        """Keeps what counts of a chunk; its checksum is wrong if there is no data."""
        if kind in _NOTES:
            self.is_bare = False
            if data is not None:
                self.notes.update(_note(kind, data))
        elif kind == b"PLTE" and (self.header.colours != WITH_PALETTE or self.first):  # no pixel is of its colours
            self.is_bare = False
        elif data is None:
            raise DecodeError(Status.CORRUPT, f"broken PNG chunk {ascii(kind)[1:]}")
        elif kind == b"IHDR" and not self.header.width and not self.first:
            self.header = _header(data)
        elif kind == b"PLTE" and not self.palette:
            self.palette = data
        elif kind in (b"IHDR", b"PLTE"):
            raise DecodeError(Status.CORRUPT, f"a PNG chunk {ascii(kind)[1:]} too many")
        elif kind != b"IEND":
            raise DecodeError(Status.UNSUPPORTED, f"a PNG whose pixels depend on a chunk {ascii(kind)[1:]}")


def next_chunk(content: BinaryIO) -> tuple[int, bytes]:
    """The length and the name of the next chunk."""
    start = content.read(8)
    if len(start) < 8:
        raise DecodeError(Status.CORRUPT, "no end of the PNG")
    return int.from_bytes(start[:4], "big"), start[4:]


def _is_ancillary(kind: bytes) -> bool:
    return bool(kind[0] & 0x20)  # a small letter


def _read(content: BinaryIO, length: int, kind: bytes) -> bytes | None:
    """The first megabyte of a chunk; None if its checksum is wrong."""
    checksum = zlib.crc32(kind)
    first = b""
    while length > PIECE and (piece := content.read(PIECE)):
        first = first or piece
        checksum = zlib.crc32(piece, checksum)
        length -= len(piece)
    rest = content.read(min(length, PIECE) + 4)
    data = rest[:length]
    if len(rest) != length + 4 or zlib.crc32(data, checksum) != int.from_bytes(rest[length:], "big"):
        return None
    return first or data


def _header(data: bytes) -> Header:
    if len(data) != HEADER.size:
        raise DecodeError(Status.CORRUPT, f"a PNG's header of {len(data)} bytes, not {HEADER.size}")
    header = Header(*HEADER.unpack(data))
    if not header.width or not header.height:
        raise DecodeError(Status.CORRUPT, f"{header.width} x {header.height} pixels")
    known = (header.bits, header.colours) in MODES and header.interlace < 2
    if not known or header.compression or header.filters:
        raise DecodeError(Status.CORRUPT, f"a PNG's header that no standard has: {', '.join(map(str, header[2:]))}")
    return header


def _note(kind: bytes, data: bytes) -> dict[bytes, bytes]:
    if kind == b"eXIf":
        return {kind: data}
    keyword, _, text = data.partition(b"\0")
    if keyword != _XMP and keyword not in _PROFILES:
        return {}
    if kind == b"zTXt":
        return {keyword: _inflated(text[1:])}
    if kind == b"iTXt":
        is_coded, text = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]  # behind a language and a translation
        return {keyword: _inflated(text) if is_coded else text}
    return {keyword: text}


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, PIECE)
    except zlib.error:
        return b""

"""A compressed strip of a TIFF comes in; whether a part of it was never written goes out.

A copy that was interrupted, or a disk that failed, leaves zeros, by blocks of 512 bytes or more.
"""

from __future__ import annotations

import zlib

_HOLE = bytes(64)
#: Bytes that are inflated at once.
_PIECE = 1 << 20


def has_hole(data: bytes) -> bool:
    """Whether there is a run of 64 zero bytes, as no compressed data has that codes what occurs most in fewest bits.

    Two codings have some in the right place, see below; for JPEG see `jpeg_holes`.
    """
    return data.find(_HOLE) >= 0


def deflate_has_hole(data: bytes) -> bool:
    """The same of a zlib stream: what is stored in it as it is may be zeros; its checksum tells."""
    if not has_hole(data):
        return False
    stream = zlib.decompressobj()
    try:
        while data and not stream.eof:
            stream.decompress(data, _PIECE)
            data = stream.unconsumed_tail
    except zlib.error:
        return True
    return not stream.eof


def packbits_has_hole(data: bytes) -> bool:
    """The same of PackBits: zeros may be copied as they are, at most 128 at once, but not counted one by one."""
    if not has_hole(data):
        return False
    place = single = 0
    while place + 1 < len(data) and single < 16:
        head = data[place]
        single = single + 1 if head == data[place + 1] == 0 else 0
        place += 2 + head if head < 0x80 else 2 if head > 0x80 else 1
    return single == 16

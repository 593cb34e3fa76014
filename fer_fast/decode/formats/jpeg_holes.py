"""A JPEG's segments and scans come in; whether zeros among its codes can only be a hole in the file goes out.

libjpeg tells of a hole by what is left over or lacking at the end of a scan, and that may come out even.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fer_fast.types import DecodeError, Status

_TABLES, _SCAN, _END = 0xC4, 0xDA, 0xD9
_ZEROS = bytes(64)
#: A marker that ends a scan: none of its own restarts, no stuffed or fill byte.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
#: Fewer coefficients may be alike in many blocks in a row where a picture is drawn, a gradient for one.
_ALIKE = 5


def check_holes(stream: bytes, is_arithmetic: bool = False) -> None:
    """Looks for zeros that no encoder writes.

    The code that begins with zeros is a table's first. Where that one says that nothing follows, zeros are a plain part
    of the picture. Where it is a coefficient's, zeros would be hundreds of coefficients of -1, one after the other. In
    arithmetic codes 64 bytes of zeros would be millions of blocks without a surprise.

    Args:
        stream: a JPEG with no more before its first scan than a codec needs.
        is_arithmetic: its codes are not Huffman's.

    Raises:
        DecodeError: `CORRUPT`.
    """
    place = stream.find(_ZEROS)
    if place < 0 or 0 <= stream.find(b"\xff\xd9") < place:  # nearly always; or it is followed by padding
        return
    for start, end, may_be_zeros in _scans(stream):
        if (is_arithmetic or not may_be_zeros) and (place := stream.find(_ZEROS, start, end)) >= 0:
            raise DecodeError(
                Status.CORRUPT, f"a hole of zeros in a JPEG's scan, {place - start} bytes from its beginning"
            )


def _scans(stream: bytes) -> Iterator[tuple[int, int, bool]]:
    """Of each scan where its codes begin and end, and whether they may be zeros for long."""
    first = {0x10: 0x01}  # where a file has no tables they are those of T.81 K.3, as in films
    place = 2
    while (found := _MARKER.search(stream, place)) and (marker := found[1][0]) != _END:
        length = int.from_bytes(stream[found.end() : found.end() + 2], "big")
        body = stream[found.end() + 2 : found.end() + length]
        place = found.end() + max(length, 2)
        if marker == _TABLES:
            first |= _first_codes(body)
        elif marker == _SCAN and len(body) > 3:
            ends = _MARKER.search(stream, place)
            end = ends.start() if ends else len(stream)
            band = body[-2] - max(body[-3], 1) + 1
            yield place, end, all(_is_plain(first.get(16 + (each & 15), 0), band) for each in body[2:-3:2])
            place = end


def _is_plain(code: int, band: int) -> bool:
    """Whether a code, a run of zeros and a coefficient, may come again and again in a band of so many coefficients."""
    run, bits = code >> 4, code & 15
    return not bits or band // (run + 1) < _ALIKE


def _first_codes(body: bytes) -> dict[int, int]:
    """What the code of zeros alone stands for in each table of a segment, by the table's class and number."""
    first: dict[int, int] = {}
    place = 0
    while place + 17 < len(body):
        first[body[place]] = body[place + 17]
        place += 17 + sum(body[place + 1 : place + 17])
    return first

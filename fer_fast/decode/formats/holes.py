"""Compressed bytes come in; whether part of them was never written goes out.

A copy that was interrupted, or a disk that failed, leaves zeros, by blocks of 512 bytes or more.
"""

from __future__ import annotations

import zlib

_HOLE = bytes(64)
#: Bytes that are inflated at once.
_PIECE = 1 << 20


def has_hole(data: bytes) -> bool:
    """Whether there is a run of 64 zero bytes, as no compressed data has that codes what occurs most in fewest bits.

    Three codings have some in the right place, see below.
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


def jpeg_has_hole(data: bytes, tables: bytes = b"") -> bool:
    """The same of a JPEG: a flat picture is zeros where its Huffman tables have zero bits for that alone.

    Args:
        data: the whole stream.
        tables: another one that has its tables, if they are kept apart.
    """
    return has_hole(data) and {*_shortest_codes(tables), *_shortest_codes(data)} != {0}


def _shortest_codes(stream: bytes) -> list[int]:
    """What zero bits stand for in each Huffman table of a JPEG; 0 is a block as bright as the last, or its end."""
    found = []
    place = 2
    while place + 4 <= len(stream) and stream[place] == 0xFF and stream[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        if stream[place + 1] == 0xC4:
            table = place + 4
            while table + 17 < end <= len(stream):
                found.append(stream[table + 17])
                table += 17 + sum(stream[table + 1 : table + 17])
        place = end
    return found

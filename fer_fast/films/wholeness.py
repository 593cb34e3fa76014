"""A film's file comes in; how many bytes its container says should follow the last goes out: it was cut off there."""

from __future__ import annotations

import os
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
#: Where a box of MP4's container begins that can be the first of a film.
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"moof")


def missing_bytes(file: BinaryIO) -> int:
    """Of MP4, Matroska and AVI; 0 where all is there, or nothing is said.

    Args:
        file: its content; it is left at its beginning.

    Raises:
        OSError: it cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    head = _at(file, 0, 12)
    end = 0
    if head[4:8] in _BOXES:
        end = _end_of_boxes(file, size)
    elif head.startswith(_EBML):
        end = _end_of_segment(file)
    elif head[:4] == b"RIFF" and head[8:] == b"AVI ":
        end = int.from_bytes(head[4:8], "little") + 8
    file.seek(0)
    return max(0, end - size)


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last box ends; 0 of one that reaches as far as the file does."""
    place = 0
    while place < size:
        head = _at(file, place, 16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end; else no box, but what somebody put behind the film
            return 0
        place += length
    return place


def _end_of_segment(file: BinaryIO) -> int:
    """Where the segment ends that follows the first element; 0 of one that does not say."""
    length, place = _vint(file, 4)
    place += length or 0
    if length is None or _at(file, place, 4) != _SEGMENT:
        return 0
    length, place = _vint(file, place + 4)
    return 0 if length is None else place + length


def _vint(file: BinaryIO, place: int) -> tuple[int | None, int]:
    """A number of EBML's (RFC 8794, 4), None if it stands for an unknown one; and where it ends."""
    data = _at(file, place, 8)
    if not data or not data[0]:
        return None, place
    width = 9 - data[0].bit_length()
    bits = 7 * width
    number = int.from_bytes(data[:width], "big") & ((1 << bits) - 1)
    return (None if number == (1 << bits) - 1 else number), place + width


def _at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)

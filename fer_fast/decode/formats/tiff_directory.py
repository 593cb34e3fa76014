"""A TIFF's header comes in, the numbers of its first directory go out: classic and BigTIFF, in either byte order."""

from __future__ import annotations

import struct
import sys
from array import array
from typing import BinaryIO

from fer_fast.types import DecodeError, Status

#: Of each type of numbers: what `array` calls it. Text and fractions hold nothing that a picture is read by.
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}

#: What a classic TIFF can count; more of them in a BigTIFF are damage.
_MOST_ENTRIES = 0xFFFF


class Directory:
    """The first directory of a TIFF: the first page, whose tags are read when they are asked for.

    Args:
        content: at its beginning.
        size: of the file, in bytes.

    Raises:
        DecodeError: `CORRUPT` if the directory is not whole.
    """

    def __init__(self, content: BinaryIO, size: int) -> None:
        self.content = content
        self.size = size
        head = content.read(16)
        self._order = "<" if head[:2] == b"II" else ">"
        is_big = 43 in (head[2], head[3])
        self._inline, entry, count, offset = (8, "HHQ8s", "Q", "Q") if is_big else (4, "HHI4s", "H", "I")
        self._offset = self._order + offset
        start = self._number(offset, head[8:] if is_big else head[4:])
        content.seek(min(start, size))
        counted = content.read(struct.calcsize(count))
        length = struct.calcsize("<" + entry)
        entries = self._number(count, counted) if start < size else 0
        if entries > _MOST_ENTRIES or start + len(counted) + entries * length > size:
            raise DecodeError(Status.CORRUPT, "the file ends within the TIFF's directory")
        self._entries: dict[int, tuple[int, int, bytes]] = {}
        for tag, kind, values, data in struct.iter_unpack(self._order + entry, content.read(entries * length)):
            self._entries.setdefault(tag, (kind, values, data))

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def numbers(self, tag: int) -> array[int] | array[float]:
        """A tag's numbers; none if the directory has no such tag, or no numbers in it.

        Raises:
            DecodeError: `CORRUPT` if they lie beyond the end of the file.
        """
        kind, count, data = self._entries.get(tag, (0, 0, b""))
        if kind not in _TYPES:
            return array("B")
        numbers = array(_TYPES[kind])
        length = count * numbers.itemsize
        if length > self._inline:
            (place,) = struct.unpack(self._offset, data)
            if place + length > self.size:
                raise DecodeError(Status.CORRUPT, f"the file ends before the numbers of the TIFF's tag {tag}")
            self.content.seek(place)
            data = self.content.read(length)
        numbers.frombytes(data[:length])
        if (self._order == "<") != (sys.byteorder == "little"):
            numbers.byteswap()
        return numbers

    def hints(self, tag: int) -> array[int] | array[float]:
        """The same of a tag that the picture can do without: none if they lie beyond the end of the file."""
        try:
            return self.numbers(tag)
        except DecodeError:
            return array("B")

    def number(self, tag: int, default: int) -> int:
        """A tag's first number."""
        numbers = self.numbers(tag)
        return int(numbers[0]) if numbers else default

    def _number(self, form: str, data: bytes) -> int:
        length = struct.calcsize("<" + form)
        if len(data) < length:
            raise DecodeError(Status.CORRUPT, "the file ends before the TIFF's directory")
        (number,) = struct.unpack(self._order + form, data[:length])
        return int(number)

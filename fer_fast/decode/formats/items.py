"""A file of the family of ISO 14496-12 comes in, where its picture's coded bytes lie goes out (ISO 23008-12, HEIF).

Only the boxes that describe the picture are read, up to a megabyte of them. What is not understood here is no damage.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

#: Of a box that is read: a picture of 16,384 tiles takes about as much.
_MOST_BYTES = 1 << 20
#: Of a file's own boxes; those that count stand among the first.
_MOST_BOXES = 1 << 10
#: Items that are made of others: a grid of tiles, an overlay, one turned.
_DERIVED = (b"grid", b"iovl", b"iden")
#: Items made of items made of others.
_DEEPEST = 4
#: A box's length and kind.
_HEADER = struct.Struct(">I4s")
#: EXIF's orientation for so many quarter turns against the clock, after them not mirrored, upside down, left to right.
_ORIENTATIONS = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))


class Coded(NamedTuple):
    """A picture without tiles, or a tile: its codec as the file names it; the start and the end of each piece."""

    codec: bytes
    pieces: list[tuple[int, int]]


class Layout(NamedTuple):
    """The first picture of a file.

    Attributes:
        size: width and height in pixels, as they are coded.
        cropped: what the file says is to be shown of them.
        orientation: how the file says it is to be turned, 1 to 8 as EXIF counts.
        coded: the picture, or its tiles.
        has_alpha: or may have it.
        configuration: its codec's, the body of a box av1C or hvcC; empty if there is none.
        end: of what the boxes speak of; a film may lie behind it.
    """

    size: tuple[int, int]
    cropped: tuple[int, int]
    orientation: int
    coded: list[Coded]
    has_alpha: bool
    configuration: bytes
    end: int


def layout_of(content: BinaryIO, size: int) -> Layout | None:
    """Where the first picture of a file lies; None if that is not understood here.

    Args:
        content: the file; its position is moved.
        size: of the file, in bytes.
    """
    content.seek(8)
    wanted = b"moov" if content.read(4) == b"avis" else b"meta"  # an animation has both, and is played
    try:
        fields = _described(content, size, wanted)
        if fields is None:
            return None
        return _film(fields, size) if wanted == b"moov" else _Items(fields).layout(size)
    except (_UnclearError, KeyError, StopIteration):  # a box or an item that has to be there is not
        return None


class _UnclearError(Exception):
    pass


class _Fields:
    """Numbers and boxes one after the other, of a body that starts at some byte of the file."""

    __slots__ = ("body", "place", "start")

    def __init__(self, body: bytes, start: int) -> None:
        self.body, self.start, self.place = body, start, 0

    def number(self, length: int) -> int:
        place = self.place
        self.place = end = place + length
        if end > len(self.body):
            raise _UnclearError
        return int.from_bytes(self.body[place:end], "big")

    def version(self) -> int:
        """Of a full box; its flags are passed over."""
        return self.number(4) >> 24

    def boxes(self) -> Iterator[tuple[bytes, _Fields]]:
        body, place, size = self.body, self.place, len(self.body)
        while place + 8 <= size:
            length, kind = _HEADER.unpack_from(body, place)
            header = 8
            if length == 1:
                length, header = int.from_bytes(body[place + 8 : place + 16], "big"), 16
            end = place + length if length else size
            if not place + header <= end <= size:
                raise _UnclearError
            yield kind, _Fields(body[place + header : end], self.start + place + header)
            place = end


def _described(content: BinaryIO, size: int, wanted: bytes) -> _Fields | None:
    """The inside of the first box of a file of that kind."""
    start = 0
    for _ in range(_MOST_BOXES):
        content.seek(start)
        head = content.read(16)
        if len(head) < 8:
            return None
        length, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, header = int.from_bytes(head[8:], "big"), 16
        length = length or size - start
        if kind == wanted:
            if not header <= length <= _MOST_BYTES:
                return None
            content.seek(start + header)
            return _Fields(content.read(length - header), start + header)
        start += max(length, header)
    return None


class _Items:
    """What a box meta says of the items of its file."""

    def __init__(self, meta: _Fields) -> None:
        self._end = meta.start + len(meta.body)
        meta.version()
        boxes = dict(meta.boxes())
        properties = dict(boxes[b"iprp"].boxes())
        pitm = boxes[b"pitm"]
        self._primary = pitm.number(_id_length(pitm.version(), 1))
        self._kinds = dict(_kinds(boxes[b"iinf"]))
        self._pieces = dict(_pieces(boxes[b"iloc"], boxes.get(b"idat")))
        references = list(_references(boxes[b"iref"])) if b"iref" in boxes else []
        self._parts = {item: others for kind, item, others in references if kind == b"dimg"}
        self._has_alpha = any(kind == b"auxl" and self._primary in others for kind, _, others in references)
        self._known = list(properties[b"ipco"].boxes())
        self._associations = dict(_associations(properties[b"ipma"]))

    def layout(self, size: int) -> Layout:
        """Of the primary item; `size` is the file's."""
        of_picture = self._properties(self._primary)
        ispe = of_picture[b"ispe"]
        ispe.version()
        items = self._coded_items()
        coded = [Coded(self._kinds[item], [(a, b or size) for a, b in self._pieces[item]]) for item in items]
        if not coded:
            raise _UnclearError
        configuration = _configuration(self._properties(items[0]))
        coded_size = ispe.number(4), ispe.number(4)
        cropped, orientation = _cropped(coded_size, of_picture), _orientation(of_picture)
        end = max(end or size for pieces in (*self._pieces.values(), [(0, self._end)]) for _, end in pieces)
        return Layout(coded_size, cropped, orientation, coded, self._has_alpha, configuration, min(end, size))

    def _properties(self, item: int) -> dict[bytes, _Fields]:
        places = self._associations.get(item, [])
        if max(places, default=0) > len(self._known):
            raise _UnclearError
        found = (self._known[place - 1] for place in places if place)
        return {kind: _Fields(each.body, each.start) for kind, each in found}

    def _coded_items(self) -> list[int]:
        """The items that hold what the primary one is made of."""
        items = dict.fromkeys([self._primary])
        for _ in range(_DEEPEST):
            if not any(self._kinds[item] in _DERIVED for item in items):
                return list(items)
            parts = ([item] if self._kinds[item] not in _DERIVED else self._parts[item] for item in items)
            items = dict.fromkeys(itertools.chain.from_iterable(parts))
        raise _UnclearError


def _id_length(version: int, last_of_two: int) -> int:
    return 2 if version < last_of_two else 4


def _kinds(iinf: _Fields) -> Iterator[tuple[int, bytes]]:
    iinf.number(_id_length(iinf.version(), 1))
    for _, infe in iinf.boxes():
        version = infe.version()
        if version >= 2:  # older ones are no pictures
            item = infe.number(_id_length(version, 3))
            yield item, infe.body[infe.place + 2 : infe.place + 6]


def _pieces(iloc: _Fields, idat: _Fields | None) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Of each item where its bytes start and end, 0 for the end of the file; of those alone that this file holds."""
    version, sizes = iloc.version(), iloc.number(2)
    of_offset, of_length, of_base, of_index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(iloc.number(_id_length(version, 2))):
        item = iloc.number(_id_length(version, 2))
        method = iloc.number(2) & 15 if version else 0
        is_elsewhere = iloc.number(2) != 0 or method > 1 or (method == 1 and idat is None)
        base = iloc.number(of_base) + (idat.start if idat and method == 1 else 0)
        pieces = []
        for _ in range(iloc.number(2)):
            iloc.number(of_index if version else 0)
            start = base + iloc.number(of_offset)
            length = iloc.number(of_length)
            pieces.append((start, start + length if length else 0))
        if not is_elsewhere:
            yield item, pieces


def _references(iref: _Fields) -> Iterator[tuple[bytes, int, list[int]]]:
    """What an item has to do with others, itself and those."""
    length = _id_length(iref.version(), 1)
    for kind, reference in iref.boxes():
        yield kind, reference.number(length), [reference.number(length) for _ in range(reference.number(2))]


def _associations(ipma: _Fields) -> Iterator[tuple[int, list[int]]]:
    """Of each item the places of its properties among those known; 0 is none."""
    head = ipma.number(4)
    length, of_place, mask = (4 if head >> 24 else 2), *((2, 0x7FFF) if head & 1 else (1, 0x7F))
    for _ in range(ipma.number(4)):
        yield ipma.number(length), [ipma.number(of_place) & mask for _ in range(ipma.number(1))]


def _film(moov: _Fields, file_size: int) -> Layout:
    """Of the first frame of an animation's first track of pictures."""
    for kind, trak in moov.boxes():
        if kind != b"trak":
            continue
        media = dict(dict(trak.boxes())[b"mdia"].boxes())
        if media[b"hdlr"].body[8:12] != b"pict":  # auxv: alpha
            continue
        table = dict(dict(media[b"minf"].boxes())[b"stbl"].boxes())
        descriptions, lengths = table[b"stsd"], table[b"stsz"]
        offsets, of_offset = (table[b"stco"], 4) if b"stco" in table else (table[b"co64"], 8)
        descriptions.number(8)
        codec, entry = next(descriptions.boxes())
        entry.number(24)
        size = entry.number(2), entry.number(2)
        entry.number(50)
        properties = dict(entry.boxes())
        lengths.number(4)
        length = lengths.number(4)
        lengths.number(4)
        offsets.number(8)
        start = offsets.number(of_offset)
        coded = Coded(codec, [(start, start + (length or lengths.number(4)))])
        return Layout(size, size, _orientation(properties), [coded], True, _configuration(properties), file_size)
    raise _UnclearError


def _cropped(size: tuple[int, int], properties: dict[bytes, _Fields]) -> tuple[int, int]:
    if b"clap" not in properties:
        return size
    clap = properties[b"clap"]
    width, height = (clap.number(4) // (clap.number(4) or 1) for _ in range(2))
    return width, height


def _orientation(properties: dict[bytes, _Fields]) -> int:
    turns = properties[b"irot"].number(1) & 3 if b"irot" in properties else 0
    mirrored = 1 + (properties[b"imir"].number(1) & 1) if b"imir" in properties else 0
    return _ORIENTATIONS[turns][mirrored]


def _configuration(properties: dict[bytes, _Fields]) -> bytes:
    return next((properties[kind].body for kind in (b"av1C", b"hvcC") if kind in properties), b"")

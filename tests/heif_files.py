"""AVIF and HEIC files, box by box."""

import importlib.util
import io
import struct

import pytest
from PIL import features

KINDS = [
    pytest.param("avif", marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")),
    pytest.param(
        "heif", marks=pytest.mark.skipif(not importlib.util.find_spec("pillow_heif"), reason="pillow-heif is missing")
    ),
]


def saved(image, kind, **options):
    """The bytes of an image; of several, if `append_images` has more."""
    stream = io.BytesIO()
    if kind == "heif":
        import pillow_heif

        pillow_heif.register_heif_opener()  # it saves, too
    options = {"quality": 95} | options
    image.save(stream, kind.upper(), save_all="append_images" in options, **options)
    return stream.getvalue()


def box(kind, *parts, large=False):
    body = b"".join(parts)
    if large:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full(kind, version, *parts, flags=0):
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def found(content, kind):
    """The first box of a kind, with its header."""
    start = content.index(kind) - 4
    return content[start : start + int.from_bytes(content[start : start + 4], "big")]


def grid(tiles, size, properties=(), method=1, id_length=2, large=False):
    """A picture of tiles side by side.

    Args:
        tiles: files of the kind that comes out, all of one size.
        size: width and height of the whole.
        properties: boxes that the whole has, too.
        method: 0 puts the description of the grid in the file, 1 into a box idat.
        id_length: 2 or 4 bytes for an item's number.
        large: sizes of boxes in 64 bits.
    """
    coding, configuration = (b"av01", b"av1C") if b"av01" in tiles[0] else (b"hvc1", b"hvcC")
    bodies = [found(tile, b"mdat")[8:] for tile in tiles]
    description = struct.pack(">BBBBHH", 0, 0, 0, len(tiles) - 1, *size)
    wide = id_length == 4

    def number(each):
        return struct.pack(">I" if wide else ">H", each)

    known = [found(tiles[0], configuration), found(tiles[0], b"ispe"), full(b"ispe", 0, struct.pack(">II", *size))]
    kinds = [b"grid"] + [coding] * len(tiles)
    names = [
        full(b"infe", 3 if wide else 2, number(1 + item), bytes(2), kind, b"\0") for item, kind in enumerate(kinds)
    ]
    associations = [bytes([1 + len(properties), 3, *range(0x84, 0x84 + len(properties))])] + [b"\2\x81\2"] * len(tiles)
    owned = [number(1 + item) + each for item, each in enumerate(associations)]

    def meta(start):
        places = [
            0 if method == 1 else start,
            *(start + len(description) + sum(map(len, bodies[:n])) for n in range(len(tiles))),
        ]
        methods, lengths = [method] + [0] * len(tiles), [len(description), *map(len, bodies)]
        items = [
            number(1 + item) + struct.pack(">HHHII", methods[item], 0, 1, places[item], lengths[item])
            for item in range(len(kinds))
        ]
        return full(
            b"meta",
            0,
            full(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            full(b"pitm", int(wide), number(1)),
            full(b"iinf", int(wide), number(len(kinds)), *names),
            full(b"iloc", 1 + wide, b"\x44\0", number(len(kinds)), *items),
            full(
                b"iref",
                int(wide),
                box(b"dimg", number(1), struct.pack(">H", len(tiles)), *map(number, range(2, 2 + len(tiles)))),
            ),
            box(
                b"iprp",
                box(b"ipco", *known, *properties),
                full(b"ipma", int(wide), struct.pack(">I", len(kinds)), *owned),
            ),
            box(b"idat", description),
        )

    brand = b"avif" if coding == b"av01" else b"heic"
    head = box(b"ftyp", brand, bytes(4), b"mif1", b"miaf", brand)
    header = 16 if large else 8
    start = len(head) + len(meta(0)) + header
    return head + meta(start) + box(b"mdat", description, *bodies, large=large)

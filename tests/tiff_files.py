"""TIFF files, written number by number: samples and how they are to be kept come in, the bytes of a file go out."""

import lzma
import struct
import zlib

import numpy as np

NONE, DEFLATE, PACKBITS, LZMA = 1, 8, 32773, 34925
NEGATIVE, GREY, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
TYPES = {"B": 1, "H": 3, "I": 4, "b": 6, "h": 8, "i": 9, "f": 11, "d": 12, "Q": 16}


def tiff(
    samples,
    photometric=GREY,
    order="<",
    big=False,
    bits=None,
    planar=False,
    compression=NONE,
    predictor=1,
    fill_order=1,
    rows=None,
    tile=None,
    extra=(),
    tags=(),
    pages=1,
    level=-1,
):
    """A TIFF of some samples.

    Args:
        samples: [height, width] or [height, width, samples], of the type that the file says.
        bits: of a sample, if they are packed; else those of its type.
        rows: of a strip; all of them if there is none.
        tile: height and width of the tiles, instead of strips.
        extra: what each sample behind the colours is.
        tags: (tag, type, numbers) besides those that follow from the rest.
        pages: how many, all of them the same strips.
        level: how hard Deflate tries.
    """
    samples = samples[..., None] if samples.ndim == 2 else samples
    height, width, count = samples.shape
    bits = bits or 8 * samples.itemsize
    form = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    directory = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [bits] * count),
        (259, "H", [compression]),
        (262, "H", [photometric]),
        (266, "H", [fill_order]),
        (277, "H", [count]),
        (284, "H", [2 if planar else 1]),
        (317, "H", [predictor]),
        (339, "H", [form] * count),
        *([(338, "H", extra)] if extra else []),
        *([(278, "I", [rows or height])] if tile is None else [(322, "I", [tile[1]]), (323, "I", [tile[0]])]),
        *tags,
    ]
    planes = [samples[..., [n]] for n in range(count)] if planar else [samples]
    cut = [piece for plane in planes for piece in pieces(plane, rows or height, tile)]
    kept = [packed(piece, order, bits, compression, predictor, fill_order, level) for piece in cut]
    return whole(directory, kept, order, big, tile is not None, pages)


def pieces(plane, rows, tile):
    """Strips or tiles, the latter filled up."""
    height, width, _ = plane.shape
    if tile is None:
        return [plane[top : top + rows] for top in range(0, height, rows)]
    filled = np.pad(plane, ((0, -height % tile[0]), (0, -width % tile[1]), (0, 0)), mode="edge")
    return [
        filled[top : top + tile[0], left : left + tile[1]]
        for top in range(0, height, tile[0])
        for left in range(0, width, tile[1])
    ]


def packed(piece, order, bits, compression=NONE, predictor=1, fill_order=1, level=-1):
    """The bytes of a strip or a tile."""
    height, width, count = piece.shape
    if predictor == 2:
        piece = np.concatenate([piece[:, :1], np.diff(piece, axis=1)], axis=1)
    if predictor == 3:  # of each row the highest bytes of all numbers first, then each byte less the one before
        highest_first = np.frombuffer(piece.astype(piece.dtype.newbyteorder(">")).tobytes(), np.uint8)
        shuffled = highest_first.reshape(height, width * count, -1).swapaxes(1, 2).reshape(height, -1)
        data = np.concatenate([shuffled[:, :count], shuffled[:, count:] - shuffled[:, :-count]], axis=1).tobytes()
    elif bits < 8 * piece.itemsize:
        each = np.unpackbits(piece.astype(">u2").view(np.uint8).reshape(*piece.shape, 2), axis=-1)[..., 16 - bits :]
        data = np.packbits(each.reshape(height, -1), axis=1).tobytes()
    else:
        data = piece.astype(piece.dtype.newbyteorder(order)).tobytes()
    data = {
        NONE: bytes,
        DEFLATE: lambda raw: zlib.compress(raw, level),
        LZMA: lzma.compress,
        PACKBITS: lambda raw: b"".join(
            bytes([len(raw[at : at + 128]) - 1]) + raw[at : at + 128] for at in range(0, len(raw), 128)
        ),
    }[compression](data)
    return data if fill_order == 1 else bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


def whole(directory, kept, order="<", big=False, tiled=False, pages=1):
    """The bytes of a file with these tags and these strips or tiles."""
    offset, entry, inline = ("Q", 20, 8) if big else ("I", 12, 4)
    start = 16 if big else 8
    places = [start + sum(map(len, kept[:n])) for n in range(len(kept))]
    after = start + sum(map(len, kept))
    after += after % 2
    strips = [(324, offset, places), (325, offset, [*map(len, kept)])]
    if not tiled:
        strips = [(273, offset, places), (279, offset, [*map(len, kept)])]
    directory = sorted([*directory, *strips])
    body = b"".join(kept).ljust(after - start, b"\0")
    length = (8 if big else 2) + entry * len(directory) + inline
    for page in range(pages):
        here, behind, entries = start + len(body), b"", b""
        for tag, kind, numbers in directory:
            data = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
            if len(data) > inline:
                place = here + length + len(behind)
                behind += data
                data = struct.pack(order + offset, place)
            entries += struct.pack(f"{order}HH{offset}", tag, TYPES[kind], len(numbers)) + data.ljust(inline, b"\0")
        following = here + length + len(behind) if page + 1 < pages else 0
        number = struct.pack(order + ("Q" if big else "H"), len(directory))
        body += number + entries + struct.pack(order + offset, following) + behind
    name = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    return name + head + struct.pack(order + offset, after) + body

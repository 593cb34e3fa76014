"""PNG files of every kind, sound and broken: arrays and chunks come in, the bytes of a file go out."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind, data=b"", checksum=None):
    right = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", right if checksum is None else checksum)


def broken(kind, data=b""):
    """A chunk whose checksum is wrong."""
    return chunk(kind, data, zlib.crc32(kind + data) ^ 1)


def header(samples, bits, colours, interlace=0):
    height, width = samples.shape[:2]
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlace))


def rows(samples, bits):
    """Each row packed, a filter of none in front."""
    flat = samples.reshape(len(samples), -1)
    if bits == 16:
        packed = flat.astype(">u2").view(np.uint8)
    else:
        numbers = np.unpackbits(flat.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :]
        packed = np.packbits(numbers.reshape(len(flat), -1), axis=1)
    return np.pad(packed, ((0, 0), (1, 0))).tobytes()


def raw(samples, bits, interlace=0):
    """What is compressed: the picture's rows, or those of its passes."""
    if not interlace:
        return rows(samples, bits)
    passes = (samples[y::down, x::across] for x, y, across, down in _PASSES)
    return b"".join(rows(each, bits) for each in passes if each.size)


def png(samples, bits=8, colours=GREY, interlace=0, before=b"", between=b"", after=b"", pixels=None, pieces=1):
    """A PNG.

    Args:
        samples: [height, width] or [height, width, samples], as large as `bits` allow.
        bits, colours, interlace: as in its header.
        before, between, after: chunks before the pixels, behind each of their chunks, and behind all.
        pixels: what is in their chunks; None packs the samples.
        pieces: in how many chunks they are.
    """
    pixels = zlib.compress(raw(samples, bits, interlace)) if pixels is None else pixels
    step = -(-len(pixels) // pieces) or 1
    parts = [chunk(b"IDAT", pixels[place : place + step]) for place in range(0, len(pixels), step)]
    body = header(samples, bits, colours, interlace) + before + between.join(parts) + after
    return SIGNATURE + body + chunk(b"IEND")


def text(keyword, value, kind=b"tEXt"):
    """A chunk of text, compressed where its kind is; kind `iTXt+` compresses, too."""
    if kind == b"tEXt":
        return chunk(kind, keyword + b"\0" + value)
    if kind == b"zTXt":
        return chunk(kind, keyword + b"\0\0" + zlib.compress(value))
    packed = zlib.compress(value) if kind == b"iTXt+" else value
    return chunk(b"iTXt", keyword + b"\0" + bytes([kind == b"iTXt+", 0]) + b"en\0\0" + packed)

"""JPEG streams that no encoder at hand writes, written by hand; and what can be done to a stream that one wrote."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageFile

from fer_fast.decode.codecs import decode_content
from fer_fast.decode.formats.jpeg import open_jpeg
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError

SCAN, FRAME = b"\xff\xda", b"\xff\xc0"


def photo(height, width, grain=8, seed=0):
    """Smooth colours under a camera's grain."""
    rng = np.random.default_rng(seed)
    colours = Image.fromarray(rng.integers(0, 255, (height // 24 + 2, width // 24 + 2, 3), dtype=np.uint8))
    smooth = np.asarray(colours.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return Image.fromarray((smooth + rng.normal(0, grain, smooth.shape)).clip(0, 255).astype(np.uint8))


def written(image, **options):
    content = io.BytesIO()
    room, ImageFile.MAXBLOCK = ImageFile.MAXBLOCK, 1 << 24  # a grainy progressive file outgrows what Pillow sets aside
    try:
        image.save(content, "JPEG", **({"quality": 92} | options))
    finally:
        ImageFile.MAXBLOCK = room
    return content.getvalue()


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def inserted(content, piece):
    """With a segment before all others but JFIF's, which must be the first."""
    place = 20 if content[2:4] == b"\xff\xe0" else 2
    return content[:place] + piece + content[place:]


def without_jfif(content):
    assert content[2:4] == b"\xff\xe0"
    return content[:2] + content[20:]


def patched(content, place, piece):
    return content[:place] + piece + content[place + len(piece) :]


def sampled(content, factors):
    """The same codes under other sampling factors: no picture to look at, but one that can be decoded."""
    place = content.index(FRAME) + 11
    for number, factor in enumerate(factors):
        content = patched(content, place + 3 * number, bytes([factor]))
    return content


def lossless(pixels, names=(1, 2, 3, 4), before=b""):
    """A lossless JPEG: each sample less the one on its left, in codes of five bits a category."""
    rows = np.atleast_3d(pixels).astype(int)
    height, width, components = rows.shape
    left = np.concatenate([rows[:, :1], rows[:, :-1]], axis=1)
    left[:, 0] = np.concatenate([np.full((1, components), 128), rows[:-1, 0]])
    bits = []
    for difference in (rows - left).reshape(-1).tolist():
        size = abs(difference).bit_length()
        value = difference if difference >= 0 else difference + (1 << size) - 1
        bits.append(f"{size:05b}" + (f"{value:0{size}b}" if size else ""))
    codes = "".join(bits)
    codes += "1" * (-len(codes) % 8)
    frame = struct.pack(">BHHB", 8, height, width, components)
    frame += b"".join(bytes([name, 0x11, 0]) for name in names[:components])
    table = bytes([0, 0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    scan = bytes([components]) + b"".join(bytes([name, 0]) for name in names[:components]) + b"\1\0\0"
    stuffed = int(codes, 2).to_bytes(len(codes) // 8, "big").replace(b"\xff", b"\xff\0")
    head = b"\xff\xd8" + before + segment(0xC3, frame) + segment(0xC4, table)
    return head + segment(0xDA, scan) + stuffed + b"\xff\xd9"


def many_scans(height, width, scans):
    """A grey progressive JPEG of empty scans, each a coefficient's, ever more exactly."""
    blocks = -(-width // 8) * -(-height // 8)
    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\x10" * 64)
    head += segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    head += segment(0xC4, b"\0\1" + bytes(15) + b"\0")  # a bit of 0: a block as light as the one before
    head += segment(0xC4, b"\x10\0\1" + bytes(14) + b"\xe0")  # two bits of 0: the end of 16,384 blocks or more
    head += segment(0xDA, b"\1\1\0\0\0\0") + bytes(-(-blocks // 8))
    codes = ("00" + "1" * 14) * -(-blocks // 32767)
    empty = int(codes, 2).to_bytes(len(codes) // 8, "big").replace(b"\xff", b"\xff\0")
    bands = [(band, band, ah) for ah in range(13, 0, -1) for band in range(1, 64)][: scans - 1]
    exact = b"".join(
        segment(0xDA, bytes([1, 1, 0, low, high, (ah if ah < 13 else 0) << 4 | ah - 1])) + empty
        for low, high, ah in bands
    )
    return head + exact + b"\xff\xd9"


SIDE = 64
PHOTO = photo(240, 320)
PLAIN = written(PHOTO)
ADOBE = b"Adobe\0\x64\0\0\0\0"

#: 32 x 24 pixels, red x * 8, green y * 10, blue 255 - 4 x - 4 y, in arithmetic codes: sequential, and progressive.
ARITHMETIC = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0o"
    "MCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/yQARCAAYACAD"
    "AREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/AM8eonVMg/unhY8uaFd+g3QQStc4hodeINGfgiRfHoYrlKTK6G6pTrOulVjWsMgz"
    "qpapAo2TX4YRr+7WgUZIUZ5J2LszcPvr45vsr5SEMkcvWNAq2IUWMBVV8qjh405pP5gzthIokC3hgv4hvHD/2Q==",
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYnKSopGR8tMC0o"
    "MCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/ygARCAAYACAD"
    "AREAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAf8AnecSTXTvNo7MgPKDIYjgk5boq1oJzyplbHYrO+OlTujsh3r/zAAEEAX/2gAIAQEAAQUC"
    "Ho3SQN4lzvCXR/CA/8wABBEF/9oACAEDAQE/ARQmYQnazPlQ/8wABBEF/9oACAECAQE/AUN8PZEPuN462GHgrcD/zAAEEAX/2gAIAQEABj8CwP/M"
    "AAQQBf/aAAgBAQABPyFMY7wHMej/2gAMAwEAAgADAAAAEDY7EReA/8wABBEF/9oACAEDAQE/ELyA/8wABBEF/9oACAECAQE/EKYbqvtvkP/MAAQQ"
    "Bf/aAAgBAQABPxCqMuNFI7T/2Q==",
)


#: How an encoder may write a picture.
OPTIONS = {
    "plain": {},
    "4:4:4": {"subsampling": 0, "quality": 95},
    "optimized": {"optimize": True, "quality": 97},
    "restarts": {"restart_marker_blocks": 3, "quality": 96},
    "progressive": {"progressive": True, "quality": 95},
    "RGB": {"keep_rgb": True, "progressive": True},
}


def verdict(content, side=SIDE):
    with pytest.raises(DecodeError) as caught:
        decode_content(content, Square(side))
    return caught.value.status, str(caught.value)


def opened(content):
    return open_jpeg(io.BytesIO(content), len(content))


def loaded(content, side=4000):
    return np.asarray(opened(content).load((2 * side, 2 * side)).convert("RGB"))


def shown(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def frame(place, value):
    return patched(PLAIN, PLAIN.index(FRAME) + place, value)

"""JPEG files with damage, and others that are only odd, come in; the first are corrupt, the others show their face."""

import base64
import random
import re
import struct

import numpy as np
import pytest
from jpeg_streams import (
    ADOBE,
    ARITHMETIC,
    FRAME,
    OPTIONS,
    PHOTO,
    PLAIN,
    SCAN,
    SIDE,
    frame,
    inserted,
    loaded,
    patched,
    photo,
    segment,
    shown,
    verdict,
    without_jfif,
    written,
)
from PIL import Image

from fer_fast.decode.codecs import decode_content
from fer_fast.decode.views import Square
from fer_fast.types import Status

WHOLE = decode_content(PLAIN, Square(SIDE))
HARMLESS = {
    "JFIF of another version": PLAIN.replace(b"JFIF\0\1\1", b"JFIF\0\7\1"),
    "a short JFIF": inserted(without_jfif(PLAIN), segment(0xE0, b"JFIF\0")),
    "no JFIF": without_jfif(PLAIN),
    "a short Adobe": inserted(PLAIN, segment(0xEE, b"Adobe\0")),
    "a very short Adobe": inserted(without_jfif(PLAIN), segment(0xEE, b"Adobe")),
    "Adobe of an unknown transform": inserted(without_jfif(PLAIN), segment(0xEE, ADOBE[:11] + b"\7")),
    "half a profile": inserted(PLAIN, segment(0xE2, b"ICC_PROFILE\0\2\3abc")),
    "a profile without a number": inserted(PLAIN, segment(0xE2, b"ICC_PROFILE\0")),
    "Photoshop's, cut": inserted(PLAIN, segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0")),
    "EXIF of nothing": inserted(PLAIN, segment(0xE1, b"Exif\0\0")),
    "pictures' directory, cut": inserted(PLAIN, segment(0xE2, b"MPF\0II")),
    "a length of 0": inserted(PLAIN, b"\xff\xe5\0\0"),
    "fill": inserted(PLAIN, b"\xff" * 40),
    "padding between segments": inserted(PLAIN, bytes(5)),
    "padding behind the beginning": PLAIN[:2] + bytes(5) + PLAIN[2:],
    "a second beginning": inserted(PLAIN, b"\xff\xd8"),
    "a camera's scan": patched(PLAIN, PLAIN.index(SCAN) + 11, bytes(3)),
    "a camera's padding": PLAIN[:-2] + bytes(4) + PLAIN[-2:],
    "fill before the end": PLAIN[:-2] + b"\xff" * 9 + PLAIN[-2:],
    "no end": PLAIN[:-2],
    "half an end": PLAIN[:-1],
    "padded": PLAIN + bytes(5000),
    "padded and no end": PLAIN[:-2] + bytes(5000),
    "padded and half an end": PLAIN[:-1] + bytes(5000),
    "padded and marked": PLAIN + bytes(5000) + b"\xff\xd9",
    "a second picture": PLAIN + written(PHOTO.transpose(Image.Transpose.ROTATE_180)),
    "rubbish": PLAIN + random.Random(1).randbytes(3000),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_odd_and_harmless_costs_no_face(name):
    assert decode_content(HARMLESS[name], Square(SIDE)) == WHOLE


def test_damage_behind_something_odd_is_seen_too():
    scan = PLAIN.index(SCAN)
    for name in (
        "JFIF of another version",
        "Adobe of an unknown transform",
        "a camera's scan",
        "padding between segments",
    ):
        content = HARMLESS[name]
        place = content.index(SCAN, len(content) - len(PLAIN) + scan) + 3000
        assert verdict(content[:place] + b"\x55" * 700 + content[place + 700 :])[0] is Status.CORRUPT, name


@pytest.mark.parametrize(
    "content",
    [
        PLAIN[:-3],
        written(PHOTO, progressive=True)[:-2],
        PLAIN[:-2] + bytes(40) + PLAIN[-2:],
        frame(4, b"\x4d"),
        frame(7, bytes(2)),
        frame(9, b"\4"),
        frame(11, b"\x00"),
        patched(PLAIN, 25, bytes(64)),
        patched(PLAIN, 25, b"\0"),
        inserted(PLAIN, bytes(40)),
        PLAIN[: PLAIN.index(FRAME)] + PLAIN[PLAIN.index(FRAME) + 19 :],
        PLAIN[: PLAIN.index(SCAN)] + b"\xff\xd9",
        inserted(PLAIN, PLAIN[PLAIN.index(FRAME) : PLAIN.index(FRAME) + 19]),
        b"\xff\xd8\xff\xe1\xff\xff" + bytes(30),
    ],
)
def test_damage_is_told_as_such(content):
    assert verdict(content)[0] is Status.CORRUPT


@pytest.mark.parametrize("grain", [3, 12])
@pytest.mark.parametrize("options", OPTIONS)
def test_holes_and_ends_of_zeros_are_corrupt_wherever_they_are(options, grain):
    """A flipped bit shows in one file of three alone: it may leave the lengths of all codes as they are."""
    rng = random.Random(options)
    for mode in ("RGB", "L", "CMYK") if options != "RGB" else ("RGB",):
        content = written(photo(240, 320, grain).convert(mode), **({"quality": 95} | OPTIONS[options]))
        assert decode_content(content, Square(SIDE))
        start = content.index(SCAN) + 20
        for size in (512, 1024, 4096):
            for _ in range(5):
                place = rng.randrange(start, len(content) - size)
                assert verdict(content[:place] + bytes(size) + content[place + size :])[0] is Status.CORRUPT
            for end in (b"", b"\xff\xd9"):
                assert verdict(content[:-size] + bytes(size - len(end)) + end)[0] is Status.CORRUPT


def test_an_end_in_the_place_of_a_restart_is_corrupt():
    """What is left over before an end may be a camera's padding, and half of the rows may be missing all the same."""
    content = written(PHOTO, restart_marker_rows=1)
    places = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", content)]
    assert len(places) == 14
    for place in places:
        for left in range(16):
            assert verdict(content[:place] + bytes(left) + b"\xff\xd9")[0] is Status.CORRUPT
    for left in range(16):
        assert decode_content(content[:-2] + bytes(left) + b"\xff\xd9", Square(SIDE)) == decode_content(
            content, Square(SIDE)
        )


def test_a_hole_in_arithmetic_codes_is_corrupt():
    """Their decoder misses none: whatever bytes come are some picture."""
    for content in map(base64.b64decode, ARITHMETIC):
        start = content.index(SCAN) + 14
        assert decode_content(content, Square(SIDE))
        for place in range(start, start + 24):
            assert verdict(content[:place] + bytes(64) + content[-2:])[0] is Status.CORRUPT


def test_a_hole_in_the_header_is_corrupt():
    for place in range(2, PLAIN.index(SCAN), 7):
        assert verdict(PLAIN[:place] + bytes(512) + PLAIN[place + 512 :])[0] is Status.CORRUPT


def test_scans_of_one_component_are_whole_or_corrupt():
    """A sequential picture in three scans: where one of them is missing there is no end, either."""
    content = written(PHOTO.convert("L"), quality=80)
    start, scan = content.index(FRAME), content.index(SCAN)
    head = content[:start] + segment(0xC0, struct.pack(">BHHB", 8, 240, 320, 3) + b"\1\x11\0\2\x11\0\3\x11\0")
    head += content[start + 13 : scan]
    scans = [content[scan:-2].replace(SCAN + b"\0\x08\1\1", SCAN + bytes([0, 8, 1, name])) for name in (1, 2, 3)]
    whole = head + b"".join(scans) + b"\xff\xd9"
    assert np.array_equal(loaded(whole), shown(whole))
    camera = whole.replace(b"\0\x3f\0" + scans[0][10:40], bytes(3) + scans[0][10:40])
    assert camera != whole and np.array_equal(loaded(camera), shown(whole))
    assert verdict(head + scans[0] + scans[1])[0] is Status.CORRUPT


def test_flat_drawn_and_black_pictures_are_no_holes():
    y, x = np.mgrid[:200, :304]
    drawn = [
        x * 0,
        255 - x * 255 // 304,
        255 - y * 255 // 200,
        (255 - x) % 256,
        y % 2 * 255,
        (x // 8 + y // 8) % 2 * 255,
    ]
    for values in drawn:
        for options in ({"optimize": True}, {"progressive": True}, {"optimize": True, "quality": 100}):
            content = written(Image.fromarray(values.astype(np.uint8)).convert("RGB"), **options)
            assert np.array_equal(loaded(content), shown(content))
    half = PHOTO.copy()
    half.paste(0, (0, 0, 320, 130))
    content = written(half, optimize=True, quality=40)
    assert bytes(64) in content, "zeros that stand for black"
    assert np.array_equal(loaded(content), shown(content))

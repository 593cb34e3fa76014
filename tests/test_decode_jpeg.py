"""JPEG files of every kind, odd and damaged ones come in; the right pixels or the right verdict must go out."""

import base64
import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from image_files import oriented
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
    lossless,
    many_scans,
    opened,
    patched,
    photo,
    sampled,
    segment,
    shown,
    verdict,
    without_jfif,
    written,
)
from PIL import Image, ImageOps

from fer_fast.decode import files
from fer_fast.decode.codecs import decode_content, decode_file
from fer_fast.decode.formats.jpeg import open_jpeg
from fer_fast.decode.views import Square
from fer_fast.types import Status


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", OPTIONS)
def test_whole_files_give_pillows_pixels(mode, options):
    if options == "RGB" and mode != "RGB":
        return
    content = written(PHOTO.convert(mode), **OPTIONS[options])
    assert opened(content).mode == mode
    assert np.array_equal(loaded(content), shown(content))
    for scale in (2, 4, 8):
        with Image.open(io.BytesIO(content)) as image:
            image.draft(None, (320 // scale, 240 // scale))
            assert np.array_equal(loaded(content, 240 // scale // 2), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("height", [*range(1, 18), 33])
def test_small_pictures_are_never_scaled(height):
    for width in (1, 5, 7, 8, 9, 16, 31):
        content = written(photo(height, width), quality=95)
        assert np.array_equal(loaded(content), shown(content))


def test_a_photo_is_scaled_by_halves_and_never_below_twice_the_side():
    sizes = {side: opened(PLAIN).load((2 * side, 2 * side)).size for side in (14, 15, 16, 31, 60, 61, 120)}
    assert sizes == {
        14: (40, 30),
        15: (40, 30),
        16: (80, 60),
        31: (160, 120),
        60: (160, 120),
        61: (320, 240),
        120: (320, 240),
    }


def exif(orientation):
    return segment(0xE1, oriented(orientation).tobytes())


def xmp(text):
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description " + text + b"/></x:xmpmeta>")


@pytest.mark.parametrize(
    "pieces",
    [
        [exif(6)],
        [xmp(b'tiff:Orientation="8"')],
        [xmp(b"><tiff:Orientation>3</tiff:Orientation>")],
        [xmp(b'tiff:Orientation="8"'), exif(6)],
        [exif(1), xmp(b'tiff:Orientation="8"')],  # turned by a program that forgot the XMP
        [segment(0xE1, Image.Exif().tobytes()), xmp(b'tiff:Orientation="5"')],
        [xmp(b'tiff:Orientation="0"')],
        [xmp(b'tiff:Orientation="9"')],
        [segment(0xE1, b"something else"), exif(7)],
    ],
)
def test_orientation_is_by_exif_and_by_xmp_where_that_has_none(pieces):
    content = PLAIN
    for piece in reversed(pieces):
        content = inserted(content, piece)
    with Image.open(io.BytesIO(content)) as image:
        wanted = ImageOps.exif_transpose(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.frombuffer(decode_content(content, Square(SIDE)), np.uint8).reshape(SIDE, SIDE, 3)
    assert np.abs(pixels.astype(int) - np.asarray(wanted)).mean() < 2


def test_colours_are_what_the_file_says():
    for content in (written(PHOTO, keep_rgb=True), written(PHOTO.convert("CMYK"))):
        assert np.array_equal(loaded(content), shown(content))
    named = without_jfif(PLAIN)
    for transform in (0, 1):
        content = inserted(named, segment(0xEE, ADOBE[:11] + bytes([transform])))
        assert np.array_equal(loaded(content), shown(content))
    ycck = written(PHOTO.convert("CMYK")).replace(ADOBE[:11] + b"\0", ADOBE[:11] + b"\2")
    assert np.array_equal(loaded(ycck), shown(ycck))
    assert not np.array_equal(loaded(ycck), loaded(written(PHOTO.convert("CMYK"))))


@pytest.mark.parametrize("factors", [(0x31, 0x11, 0x11), (0x41, 0x21, 0x21), (0x42, 0x11, 0x11), (0x11, 0x22, 0x22)])
def test_samplings_without_a_name_are_read(factors):
    content = sampled(written(PHOTO, subsampling=0), factors)
    assert np.array_equal(loaded(content), shown(content))


def test_lossless_and_arithmetic_coding_are_read():
    pixels = np.asarray(photo(60, 90))
    for names in ((1, 2, 3), b"RGB"):
        assert np.array_equal(loaded(lossless(pixels, names)), pixels)
    assert np.array_equal(loaded(lossless(pixels), 4), pixels), "it cannot be scaled"
    grey = np.asarray(photo(60, 90).convert("L"))
    assert np.array_equal(loaded(lossless(grey))[..., 0], grey)
    jfif = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    ycc = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    assert np.abs(loaded(lossless(ycc, before=jfif)).astype(int) - pixels).max() <= 4  # YCbCr in whole numbers
    y, x = np.mgrid[:24, :32]
    drawn = np.stack([x * 8, y * 10, 255 - 4 * x - 4 * y], axis=2)
    for content in map(base64.b64decode, ARITHMETIC):
        assert np.abs(loaded(content) - drawn).mean() < 4
        assert verdict(content[:-20])[0] is Status.CORRUPT


def of_two():
    start = PLAIN.index(FRAME)
    two = segment(0xC0, struct.pack(">BHHB", 8, 240, 320, 2) + b"\1\x11\0\2\x11\1")
    return PLAIN[:start] + two + PLAIN[start + 19 :]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (frame(4, b"\x0c"), "a JPEG of 12 bits a sample"),
        (frame(1, b"\xc1\0\x11\x0c"), "a JPEG of 12 bits a sample"),
        (patched(lossless(np.zeros((8, 8))), 6, b"\x10"), "a JPEG of 16 bits a sample"),
        *((frame(1, bytes([marker])), "a hierarchical JPEG") for marker in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE)),
        (frame(1, b"\xcb"), "a lossless JPEG in arithmetic codes"),
        (frame(1, b"\xf7"), "a JPEG-LS picture"),
        (frame(5, bytes(2)), "a JPEG whose height stands behind its first scan (DNL)"),
        (of_two(), "a JPEG of 2 components"),
        (sampled(PLAIN, (0x31, 0x21, 0x11)), "a JPEG of fractional sampling"),
        (frame(5, b"\0\x10\xff\xff"), "a JPEG with a side of 65535 pixels"),
    ],
)
def test_what_cannot_be_read_here_is_told_by_name(content, said):
    assert verdict(content) == (Status.UNSUPPORTED, said)


def test_sixteen_bit_steps_are_no_damage():
    tables = b"".join(segment(0xDB, bytes([16 + number]) + b"\0\x08" * 64) for number in (0, 1))
    content = inserted(PLAIN.replace(b"\xff\xdb", b"\xff\xfe"), tables)
    assert np.array_equal(loaded(content), shown(content))


@pytest.mark.parametrize("name", ["plain", "progressive"])
def test_a_large_file_is_read_as_a_small_one(tmp_path, monkeypatch, name):
    path = tmp_path / "photo.jpg"
    path.write_bytes(inserted(written(PHOTO, **OPTIONS[name]), exif(6)))
    whole = decode_file(str(path), Square(SIDE))
    monkeypatch.setattr(files, "READ_AT_ONCE", 100)
    assert decode_file(str(path), Square(SIDE)) == whole


def test_many_scans_are_slow():
    for size, scans, slow in (((8, 8), 700, False), ((1500, 2000), 600, False), ((3000, 4000), 600, True)):
        content = many_scans(*size, scans)
        assert content.count(SCAN) == scans
        assert opened(content).is_slow is slow
    assert np.array_equal(loaded(many_scans(64, 64, 60)), np.full((64, 64, 3), 128))
    assert not opened(PLAIN).is_slow and not opened(written(PHOTO, progressive=True)).is_slow


def test_the_coding_is_told():
    contents = [PLAIN, written(PHOTO, progressive=True), lossless(np.zeros((8, 8))), base64.b64decode(ARITHMETIC[0])]
    assert [open_jpeg(io.BytesIO(content), len(content)).coding for content in contents] == [0xC0, 0xC2, 0xC3, 0xC9]


PEAK = """
import io, re, sys
from pathlib import Path
from fer_fast.decode.formats.jpeg import open_jpeg
from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.codecs import memory_of
from fer_fast.decode.views import Square
prepare_codecs()
content = Path(sys.argv[1]).read_bytes()
picture = open_jpeg(io.BytesIO(content), len(content))
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
Path("/proc/self/clear_refs").write_text("5")
before = peak()
view = Square(int(sys.argv[2]))
view.make(picture, picture.load(view.least(picture)))
print(memory_of(picture, view), peak() - before)
"""


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", ["plain", "4:4:4", "progressive"])
def test_memory_is_what_decoding_takes_at_most(tmp_path, mode, options):
    path = tmp_path / "large.jpg"
    path.write_bytes(written(photo(1600, 2400, 0).convert(mode), **OPTIONS[options]))
    for side in (900, 100):  # at the second it is scaled by 1/8
        command = [sys.executable, "-c", PEAK, str(path), str(side)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        said, taken = map(int, ran.stdout.split())
        assert 0.95 * taken < said + (1 << 21) and said < 1.35 * taken + (28 << 20)

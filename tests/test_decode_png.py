"""PNG files of every kind come in, whole, damaged and odd; the right pixels, or the reason, must go out."""

import io
import struct
import zlib

import numpy as np
import pytest
from exif_blocks import SHORT, block, tag
from PIL import Image
from png_files import COLOURS, GREY, KINDS, PALETTE, RGB, SIGNATURE, broken, chunk, drawn, png, raw, text

from fer_fast.decode import pixels_of
from fer_fast.decode.codecs import decode_content
from fer_fast.decode.formats.png import open_png
from fer_fast.decode.pixels import spread
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

SIDE = 12
FACE = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3))


def decoded(content, side=SIDE):
    out = np.empty((side, side, 3), np.uint8)
    spread(decode_content(content, Square(side)), out)
    return out


def refused(content):
    with pytest.raises(DecodeError) as caught:
        decoded(content)
    return caught.value.status


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("bits", "colours"), KINDS)
def test_every_kind_of_pixel_is_shown(bits, colours, interlace):
    for side in (1, 2, 3, 5, 8, 9, 31):
        samples, palette, wanted = drawn(bits, colours, side)
        content = png(samples, bits, colours, interlace, before=palette, pieces=3)
        np.testing.assert_array_equal(decoded(content, side), wanted, err_msg=str(side))


@pytest.mark.parametrize(
    ("bits", "colours", "data"),
    [
        (8, PALETTE, b"\0\x80\xff"),
        (8, PALETTE, bytes(256)),
        (2, GREY, b"\0\1"),
        (16, GREY, b"\1\2"),
        (8, RGB, b"\0\1\0\1\0\1"),
    ],
)
def test_transparent_colours_look_as_they_are(bits, colours, data):
    samples, palette, wanted = drawn(bits, colours)
    content = png(samples, bits, colours, before=palette + chunk(b"tRNS", data))
    np.testing.assert_array_equal(decoded(content), wanted)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        np.testing.assert_array_equal(pixels_of(image, SIDE), wanted, err_msg="loaded by Pillow")


FRAME = struct.pack(">5I2H2B", 0, 4, 4, 2, 2, 1, 10, 0, 0)
NEEDLESS = {
    "compressed text of 4 MB": text(b"Comment", b"x" * (4 << 20), b"zTXt"),
    "international text of 4 MB": text(b"Comment", b"x" * (4 << 20), b"iTXt+"),
    "XMP of 4 MB": text(b"XML:com.adobe.xmp", b" " * (4 << 20), b"iTXt+"),
    "a raw profile of 4 MB": text(b"Raw profile type exif", b"\nexif\n9\n" + b"00" * (2 << 20), b"zTXt"),
    "80 MB of text": text(b"Comment", b"x" * (1 << 20)) * 80,
    "text packed by no known way": chunk(b"zTXt", b"Comment\0\1" + zlib.compress(b"x")),
    "broken packed text": chunk(b"zTXt", b"Comment\0\0junk"),
    "text without a keyword": chunk(b"tEXt", b"\0x") + chunk(b"zTXt") + chunk(b"iTXt", b"x"),
    "a raw profile that is no number": text(b"Raw profile type exif", b"\nexif\n9\nxyz"),
    "a raw profile of nothing": text(b"Raw profile type exif", b""),
    "XMP in no alphabet": text(b"XML:com.adobe.xmp", b"\xff\xfe\0", b"iTXt"),
    "a profile of 4 MB": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(4 << 20))),
    "a profile packed by no known way": chunk(b"iCCP", b"x\0\7"),
    "an empty orientation": chunk(b"eXIf"),
    "a broken orientation": chunk(b"eXIf", b"junk" * 9),
    "two acTL": chunk(b"acTL", bytes(8)) * 2,
    "fcTL out of order": chunk(b"fcTL", b"\0\0\0\7" + FRAME[4:]),
    "fcTL larger than the picture": chunk(b"fcTL", FRAME[:4] + b"\0\1\0\0" * 2 + FRAME[12:]),
    "stray fdAT": chunk(b"fdAT", b"\0\0\0\5junk"),
    "tRNS that is too short": chunk(b"tRNS", b"\0"),
    "tRNS that is too long": chunk(b"tRNS", bytes(999)),
    "a palette that is a proposal": chunk(b"PLTE", bytes(7)),
    "a broken palette that is a proposal": broken(b"PLTE", bytes(6)),
    "an unknown chunk": chunk(b"vpAg", b"x"),
    "an unknown chunk of a private name": chunk(b"abcd", b"x" * 9),
    "a chunk called as Pillow's reader": chunk(b"call") + chunk(b"crc_") + chunk(b"im_i"),
    "a chunk of no letters": chunk(b"a\xff\0!", b"x"),
}
for name in b"pHYs gAMA cHRM tIME sRGB iCCP tRNS bKGD hIST sBIT oFFs sPLT cICP mDCV iDOT acTL fcTL fdAT".split():
    for length in (0, 1, 300):
        NEEDLESS[f"{name.decode()} of {length} bytes"] = chunk(name, bytes(length))
for name in b"pHYs tEXt zTXt iTXt eXIf iCCP tRNS acTL abcd".split():
    NEEDLESS[f"{name.decode()} with a wrong checksum"] = broken(name, b"x" * 9)


@pytest.mark.parametrize("place", ["before", "between", "after"])
@pytest.mark.parametrize("name", NEEDLESS)
def test_what_no_pixel_needs_costs_no_face(name, place):
    content = png(FACE, colours=RGB, pieces=3, **{place: NEEDLESS[name]})
    np.testing.assert_array_equal(decoded(content), FACE)
    bare = open_png(io.BytesIO(content), len(content)).bare()
    assert bare == png(FACE, colours=RGB, pieces=1)


def test_a_bare_file_is_left_as_it_is():
    content = png(FACE, colours=RGB, pieces=3) + b"and more"
    assert open_png(io.BytesIO(content), len(content)).bare() == content


def test_a_broken_orientation_says_nothing():
    exif = block(tag(SHORT, 3))
    np.testing.assert_array_equal(decoded(png(FACE, colours=RGB, before=broken(b"eXIf", exif))), FACE)
    np.testing.assert_array_equal(decoded(png(FACE, colours=RGB, before=chunk(b"eXIf", exif))), FACE[::-1, ::-1])


def test_a_profile_that_is_too_long_counts_as_far_as_it_is_read():
    digits = block(tag(SHORT, 3)).hex().encode() + b"00" * (2 << 20)
    given = text(b"Raw profile type exif", b"\nexif\n26\n" + digits, b"zTXt")
    np.testing.assert_array_equal(decoded(png(FACE, colours=RGB, after=given)), FACE[::-1, ::-1])


def test_of_an_animation_the_picture_without_it_counts():
    other = zlib.compress(raw(255 - FACE, 8))
    size = struct.pack(">2I", SIDE, SIDE)
    frames = [chunk(b"fcTL", struct.pack(">I", number) + size + FRAME[12:]) for number in (0, 2)]
    second = frames[1] + chunk(b"fdAT", struct.pack(">I", 3) + other)
    for before in (frames[0], b""):
        content = png(FACE, colours=RGB, before=chunk(b"acTL", struct.pack(">2I", 2, 0)) + before, after=second)
        np.testing.assert_array_equal(decoded(content), FACE)


PACKED = zlib.compress(raw(FACE, 8))
FLAT = np.zeros((SIDE, SIDE, 3), int)


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("face", [FACE, FLAT], ids=["face", "flat"])
def test_what_is_beyond_the_pixels_may_be_missing_wrong_or_too_much(face, interlace):
    packed = zlib.compress(raw(face, 8, interlace))
    cases = [packed[:-missing] for missing in (1, 2, 3, 4)]
    cases += [packed[:-4] + b"junk", packed + b"junk", packed * 2, zlib.compress(raw(face, 8, interlace) + b"junk")]
    for pixels in cases:
        content = png(face, colours=RGB, interlace=interlace, pixels=pixels, pieces=2)
        np.testing.assert_array_equal(decoded(content), face)


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("bits", "colours"), KINDS)
def test_pixels_that_end_early_are_corrupt(bits, colours, interlace):
    """Pillow shows them, and leaves the rest black."""
    samples, palette, _ = drawn(bits, colours)
    whole = raw(samples, bits, interlace)
    packed = zlib.compress(whole)
    cases = [zlib.compress(whole[:length]) for length in (0, 1, len(whole) // 2, len(whole) - 1)]
    cases += [packed[: len(packed) // 2], packed[:2], b"", b"\0", b"junk" * 9, zlib.compress(b"\7" * len(whole))]
    for pixels in cases:
        content = png(samples, bits, colours, interlace, before=palette, pixels=pixels)
        assert refused(content) is Status.CORRUPT, pixels


def changed(**fields):
    """A header with other fields."""
    values = {"width": SIDE, "height": SIDE, "bits": 8, "colours": RGB, "packing": 0, "filters": 0, "interlace": 0}
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *(values | fields).values()))


BODY, END = chunk(b"IDAT", PACKED), chunk(b"IEND")
HEAD = changed()
NUMBERED, NUMBERS = changed(colours=PALETTE), chunk(b"IDAT", zlib.compress(raw(FACE[..., :1], 8)))
DAMAGED = {
    "no width": changed(width=0) + BODY + END,
    "no height": changed(height=0) + BODY + END,
    "more rows than there are": changed(height=SIDE + 1) + BODY + END,
    "no bits": changed(bits=0, colours=GREY) + BODY + END,
    "three bits": changed(bits=3, colours=GREY) + BODY + END,
    "99 bits": changed(bits=99) + BODY + END,
    "colours of 4 bits": changed(bits=4) + BODY + END,
    "a palette of 16 bits": changed(bits=16, colours=PALETTE) + BODY + END,
    "unknown colours": changed(colours=1) + BODY + END,
    "more unknown colours": changed(colours=9) + BODY + END,
    "an unknown packing": changed(packing=1) + BODY + END,
    "unknown filters": changed(filters=64) + BODY + END,
    "an unknown interlacing": changed(interlace=2) + BODY + END,
    "a broken header": broken(b"IHDR", HEAD[8:21]) + BODY + END,
    "a short header": chunk(b"IHDR", HEAD[8:20]) + BODY + END,
    "a long header": chunk(b"IHDR", HEAD[8:21] + b"\0") + BODY + END,
    "no header": BODY + END,
    "two headers": HEAD * 2 + BODY + END,
    "a header behind the pixels": BODY + HEAD + END,
    "no pixels": HEAD + END,
    "empty pixels": HEAD + chunk(b"IDAT") + END,
    "an animation's pixels alone": HEAD + chunk(b"fdAT", bytes(4) + PACKED) + END,
    "broken pixels": HEAD + broken(b"IDAT", PACKED) + END,
    "no end": HEAD + BODY,
    "a broken end": HEAD + BODY + broken(b"IEND"),
    "half an end": HEAD + BODY + END[:6],
    "text longer than the file": HEAD + BODY + b"\0\0\xff\xfftEXt" + END,
    "a broken unknown chunk": HEAD + broken(b"JUNK") + BODY + END,
    "zeros for an end": HEAD + BODY + bytes(99),
    "no palette": NUMBERED + NUMBERS + END,
    "an empty palette": NUMBERED + chunk(b"PLTE") + NUMBERS + END,
    "a broken palette": NUMBERED + broken(b"PLTE", bytes(768)) + NUMBERS + END,
    "two palettes": NUMBERED + chunk(b"PLTE", bytes(768)) * 2 + NUMBERS + END,
    "a palette behind the pixels": NUMBERED + NUMBERS + chunk(b"PLTE", bytes(768)) + END,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_pixels_need_is_missed(name):
    assert refused(SIGNATURE + DAMAGED[name]) is Status.CORRUPT


@pytest.mark.parametrize(("kind", "place"), [(b"CgBI", "first"), (b"JDAT", "before"), (b"JUNK", "after")])
def test_an_unknown_chunk_that_must_be_known_says_what_it_is(kind, place):
    content = png(FACE, colours=RGB, **({} if place == "first" else {place: chunk(kind, b"\0\0\x20\6")}))
    if place == "first":  # an iPhone's, with pixels that are no PNG's
        content = SIGNATURE + chunk(kind, b"\0\0\x20\6") + content[8:]
    with pytest.raises(DecodeError, match=f"pixels depend on a chunk '{kind.decode()}'") as caught:
        decoded(content)
    assert caught.value.status is Status.UNSUPPORTED


def test_odd_palettes():
    numbers = np.arange(SIDE * SIDE).reshape(SIDE, SIDE, 1)
    few = COLOURS[:100].tobytes()
    wanted = np.where(numbers < 100, COLOURS[numbers[..., 0]], 0)
    np.testing.assert_array_equal(decoded(png(numbers, 8, PALETTE, before=chunk(b"PLTE", few))), wanted)
    for more in (COLOURS.tobytes() + b"\1\2\3", COLOURS.tobytes() + b"\1"):
        got = decoded(png(numbers, 8, PALETTE, before=chunk(b"PLTE", more), after=chunk(b"PLTE", few)))
        np.testing.assert_array_equal(got, COLOURS[numbers[..., 0]])
    bits = numbers % 2
    np.testing.assert_array_equal(decoded(png(bits, 1, PALETTE, before=chunk(b"PLTE", few))), COLOURS[bits[..., 0]])


def test_what_follows_the_end_is_nobodys():
    for more in (b"\0" * 999, png(255 - FACE, colours=RGB), b"\xff\xd8\xff"):
        np.testing.assert_array_equal(decoded(png(FACE, colours=RGB) + more), FACE)

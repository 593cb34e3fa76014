"""WebP, AVIF and HEIC of which a part was never written come in, and whole ones that look like it."""

import collections
import importlib.util
import io
import itertools

import numpy as np
import pytest
from image_files import face
from PIL import Image, features
from webp_files import chunk, chunks_of, riff

from fer_fast.decode.codecs import decode_content
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

SIDE = 24
SECTOR = 512
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
needs_heif = pytest.mark.skipif(not importlib.util.find_spec("pillow_heif"), reason="pillow-heif is missing")


def saved(image, kind, **options):
    if kind == "heif":
        import pillow_heif

        pillow_heif.register_heif_opener()  # it saves, too
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def photo(height=320, width=240, seed=1):
    """Smooth shades, edges and a little noise."""
    rng = np.random.default_rng(seed)
    few = Image.fromarray(rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8))
    shades = np.asarray(few.resize((width, height), Image.Resampling.BICUBIC)) + rng.normal(0, 4, (height, width, 3))
    shades[height // 3 : height // 2, width // 4 : width // 2] //= 2
    return Image.fromarray(np.clip(shades, 0, 255).astype(np.uint8))


def drawings(height, width, rng):
    """Pictures whose codes may be many zeros: flat ones, few colours, noise beside nothing."""
    y, x = np.mgrid[:height, :width]
    noise = rng.integers(0, 256, (height, width, 3))
    for level in (0, 255, 128):
        yield np.full((height, width, 3), level)
        dot = np.full((height, width, 3), level)
        dot[height // 2, width // 2] = 255 - level
        yield dot
        for part in (slice(height // 2), slice(height // 4, None), slice(height // 3, height // 2)):
            beside = noise.copy()
            beside[part] = level
            yield beside
    for plane in (x * 255 // width, (x + y) % 256, x % 2 * 255, (x + y) // 5 % 2 * 200, (y < height // 2) * 255):
        yield np.repeat(plane[..., None], 3, 2)
    for chance in (0.002, 0.03, 0.5):
        yield np.repeat(rng.random((height, width, 1)) < chance, 3, 2) * 255
        yield (rng.random((height, width, 3)) < chance) * 255
    yield noise
    yield rng.integers(0, 4, (height, width, 3)) * 60
    yield 128 + rng.normal(0, 2, (height, width, 3))
    yield np.asarray(photo(120, 120).resize((width, height)))


def is_whole(content):
    try:
        decode_content(content, Square(SIDE))
    except DecodeError as error:
        assert error.status is Status.CORRUPT, error
        return False
    return True


WEBP = [
    *({"quality": quality, "method": method} for quality in (0, 75, 100) for method in (0, 4)),
    *({"lossless": True, "quality": quality, "method": method} for quality in (0, 100) for method in (0, 4)),
]
AVIF = [
    {"quality": quality, "speed": speed, "subsampling": subsampling}
    for quality, speed in ((20, 10), (75, 8), (95, 10), (100, 10))
    for subsampling in ("4:2:0", "4:4:4", "4:0:0")
]


@pytest.mark.parametrize("side", [(160, 208), (48, 48), (7, 30)], ids=str)
@pytest.mark.parametrize("alpha", [False, True])
def test_no_whole_webp_is_taken_for_one_with_a_hole(side, alpha):
    rng = np.random.default_rng(1)
    for drawing, options in itertools.product(drawings(*side, rng), WEBP):
        image = Image.fromarray(drawing.astype(np.uint8))
        if alpha:
            image.putalpha(Image.fromarray(rng.integers(0, 256, side, dtype=np.uint8)))
        assert is_whole(saved(image, "webp", **options)), options


@needs_avif
@pytest.mark.parametrize("side", [(96, 144), (48, 48), (7, 30)], ids=str)
def test_no_whole_avif_is_taken_for_one_with_a_hole(side):
    for drawing, options in itertools.product(drawings(*side, np.random.default_rng(2)), AVIF):
        assert is_whole(saved(Image.fromarray(drawing.astype(np.uint8)), "avif", **options)), options


@needs_heif
@pytest.mark.parametrize("side", [(96, 144), (48, 48), (7, 30)], ids=str)
def test_no_whole_heic_is_taken_for_one_with_a_hole(side):
    for drawing, quality in itertools.product(drawings(*side, np.random.default_rng(3)), (10, 60, 95, -1)):
        assert is_whole(saved(Image.fromarray(drawing.astype(np.uint8)), "heif", quality=quality)), quality


def test_a_large_flat_picture_is_whole():
    """Thousands of zeros in a row, and a decoder needs them all."""
    noise = np.random.default_rng(4).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    noise[300:] = 255
    for options in ({"method": 0}, {"method": 0, "lossless": True, "quality": 0}):
        content = saved(Image.fromarray(noise), "webp", **options)
        assert bytes(10_000) in content
        assert is_whole(content)


FILES = {
    "webp": lambda: saved(photo(), "webp", quality=90),
    "webp, fast": lambda: saved(photo(), "webp", quality=75, method=0),
    "webp, lossless": lambda: saved(photo(), "webp", lossless=True),
    "webp, lossless and fast": lambda: saved(photo(), "webp", lossless=True, quality=0, method=0),
    "webp, animated": lambda: saved(photo(), "webp", save_all=True, append_images=[photo(seed=2)]),
    "webp, alpha": lambda: saved(photo().convert("RGBA"), "webp", lossless=True),
    "avif": lambda: saved(photo(), "avif", quality=90, speed=9),
    "avif, full colour": lambda: saved(photo(), "avif", quality=80, speed=9, subsampling="4:4:4"),
    "avif, animated": lambda: saved(photo(), "avif", quality=90, speed=9, save_all=True, append_images=[photo(seed=2)]),
    "heif": lambda: saved(photo(), "heif", quality=90),
}
MARKS = {"avif": needs_avif, "heif": needs_heif}


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name[:4], ())) for name in FILES])
def content(request):
    return FILES[request.param]()


def coded_part(content):
    """Where the first picture's coded bytes start and end: of these files, where zeros matter."""
    if content[:4] == b"RIFF":
        kind, body = next(each for each in chunks_of(content) if each[0] in (b"VP8 ", b"VP8L", b"ANMF"))
        if kind == b"ANMF":
            body = chunks_of(body, 16)[0][1]
        start = content.index(body)
        return start, start + len(body)
    start = content.index(b"mdat") + 4
    return start, len(content) // 2 if b"avis" in content[:12] else len(content)


def test_a_hole_is_damage(content):
    start, end = coded_part(content)
    assert is_whole(content)
    for place in range(start + 32, end - SECTOR, max(SECTOR, (end - start) // 40)):
        holed = content[:place] + bytes(SECTOR) + content[place + SECTOR :]
        assert not is_whole(holed), place


def test_an_end_that_was_never_written_is_damage(content):
    start, end = coded_part(content)
    for place in range(start + 32, end - 64, (end - start) // 40):
        assert not is_whole(content[:place] + bytes(len(content) - place)), place


def test_a_hole_in_the_modes_of_a_lossy_picture_is_damage():
    """Those come first, in a part of their own, with the coefficients behind them whole."""
    content = saved(face(640, 640), "webp", quality=100, method=6)
    tag = int.from_bytes(content[20:23], "little")
    end = 30 + (tag >> 5)
    assert end > 1200
    for place in range(40, end - SECTOR, 100):
        assert not is_whole(content[:place] + bytes(SECTOR) + content[place + SECTOR :]), place
    for place in range(40, end - 64, 100):
        assert not is_whole(content[:place] + bytes(end - place) + content[end:]), place


@pytest.mark.parametrize(
    "name", ["webp", pytest.param("avif", marks=needs_avif), pytest.param("heif", marks=needs_heif)]
)
def test_zeros_in_what_no_pixel_needs_are_no_damage(name):
    metadata = {"xmp": b"<x>" + bytes(4000) + b"</x>", "icc_profile": bytes(4000)}
    if name == "heif":
        del metadata["icc_profile"]
    content = saved(photo(), name, **metadata)
    assert bytes(3000) in content
    assert is_whole(content)
    assert is_whole(content + bytes(4096))


@needs_avif
def test_a_hole_in_alpha_is_none_in_the_picture():
    image = photo()
    image.putalpha(Image.fromarray(np.random.default_rng(5).integers(0, 256, (320, 240), dtype=np.uint8)))
    content = saved(image, "avif", quality=90, speed=9)
    whole = decode_content(content, Square(SIDE))
    start = content.index(b"mdat") + 4
    statuses = collections.Counter()
    for place in range(start + 40, len(content) - 4096, 4096):
        holed = content[:place] + bytes(4096) + content[place + 4096 :]
        try:
            statuses[decode_content(holed, Square(SIDE)) == whole] += 1
        except DecodeError as error:
            statuses[error.status] += 1
    assert statuses[True] and statuses[Status.CORRUPT] and not statuses[False]


@pytest.mark.parametrize("options", [{}, {"quality": 30, "method": 0}, {"lossless": True}], ids=str)
def test_padding_behind_the_codes_of_a_webp_is_no_damage(options):
    ((kind, body),) = chunks_of(saved(photo(), "webp", **options))
    padded = riff(chunk(kind, body + bytes(100)))
    assert decode_content(padded, Square(SIDE)) == decode_content(riff(chunk(kind, body)), Square(SIDE))

"""WebP files of every kind come in; the pixels of Pillow, or the reason why not, must go out."""

import io
from pathlib import Path

import numpy as np
import pytest
from counting import Counting
from decoding_peak import peak_and_estimate
from image_files import face, oriented
from PIL import Image
from webp_files import chunk, chunks_of, coded, extended, frame, riff, saved

from fer_fast.decode.codecs import decode_content, decode_file
from fer_fast.decode.formats.webp import open_webp
from fer_fast.decode.pixels import square
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

SIDE = 24
PHOTO = face(64, 48)
ALPHA = np.tile(np.linspace(0, 255, 48).astype(np.uint8), (64, 1))
SEE_THROUGH = Image.fromarray(np.dstack([np.asarray(PHOTO), ALPHA]))

FILES = {
    "lossy": saved(PHOTO),
    "lossless": saved(PHOTO, lossless=True),
    "lossy alpha": saved(SEE_THROUGH),
    "lossy alpha, coarse": saved(SEE_THROUGH, alpha_quality=20),
    "lossless alpha": saved(SEE_THROUGH, lossless=True),
    "lossless alpha, exact": saved(SEE_THROUGH, lossless=True, exact=True),
    "grey": saved(PHOTO.convert("L")),
    "one pixel": saved(PHOTO.crop((0, 0, 1, 1))),
    "odd sides": saved(PHOTO.crop((0, 0, 31, 17)), lossless=True),
    "metadata": saved(PHOTO, icc_profile=b"odd length", xmp=b"<x/>", exif=oriented(1)),
    "animated": saved(PHOTO, save_all=True, append_images=[face(64, 48, 2)]),
    "animated alpha": saved(SEE_THROUGH, save_all=True, append_images=[SEE_THROUGH.rotate(180)], lossless=True),
    "small frame": riff(
        extended(2, 64, 80), chunk(b"ANIM", bytes(6)), frame(coded(PHOTO), 48, 64, 6, 10), frame(coded(PHOTO), 48, 64)
    ),
    "small alpha frame": riff(
        extended(0x12, 64, 80),
        chunk(b"ANIM", b"\xff\x80\x40\xff\0\0"),
        frame(coded(SEE_THROUGH, lossless=True), 48, 64, 16, 16),
    ),
}


def pixels(content):
    return decode_content(content, Square(SIDE))


def fault_of(content, **options):
    with pytest.raises(DecodeError) as caught:
        decode_content(content, Square(SIDE), **options)
    return caught.value


@pytest.mark.parametrize("name", FILES)
def test_the_pixels_are_pillows(name):
    content = FILES[name]
    assert pixels(content) == square(Image.open(io.BytesIO(content)), SIDE)


@pytest.mark.parametrize("name", FILES)
def test_opening_reads_headers_alone(name):
    content = FILES[name]
    counting = Counting(content)
    picture = open_webp(counting, len(content))
    assert picture.size == Image.open(io.BytesIO(content)).size
    assert counting.count < 200


def test_an_animation_with_many_frames_is_not_walked_twice():
    frames = [frame(coded(PHOTO), 48, 64)] * 300
    content = riff(extended(2, 48, 64), chunk(b"ANIM", bytes(6)), *frames)
    counting = Counting(content)
    open_webp(counting, len(content)).load((SIDE, SIDE))
    assert counting.count < 2 * len(frames[0]) + 301 * 18


PICTURE = coded(PHOTO)
PLAIN = riff(PICTURE)


@pytest.mark.parametrize(
    "content",
    {
        "a profile that is none": riff(extended(0x20, 48, 64), chunk(b"ICCP", b"\xff" * 7), PICTURE),
        "an unknown chunk first": riff(chunk(b"ABCD", b"odd"), PICTURE),
        "unknown chunks around": riff(extended(0, 48, 64), chunk(b"abcd", b"1"), PICTURE, chunk(b"\0\1\2\3", b"")),
        "metadata of zeros": riff(extended(12, 48, 64), PICTURE, chunk(b"EXIF", bytes(99)), chunk(b"XMP ", bytes(9))),
        "a chunk behind that has no end": riff(extended(4, 48, 64), PICTURE, chunk(b"XMP ", b"<", length=1 << 31)),
        "alpha that is none": riff(extended(0x10, 48, 64), chunk(b"ALPH", b"\xff" * 50), PICTURE),
        "alpha that was never written": riff(extended(0x10, 48, 64), chunk(b"ALPH", b"\1" + bytes(5000)), PICTURE),
        "a wrong canvas": riff(extended(0, 480, 640), PICTURE),
        "data behind": PLAIN + b"behind" * 9999,
        "zeros behind": PLAIN + bytes(1 << 20),
        "no padding": riff(extended(4, 48, 64), PICTURE, chunk(b"XMP ", b"odd")[:-1]),
        "two pictures": riff(PICTURE, coded(face(64, 48, 5))),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_no_pixel_needs_costs_no_face(content):
    assert pixels(content[1]) == pixels(PLAIN)


@pytest.mark.parametrize(
    "content",
    {
        "a size that is too large": riff(PICTURE, size=len(PLAIN) + 2),
        "a size that is too small": riff(PICTURE, size=len(PLAIN) - 40),
        "a picture beyond the end": riff(chunk(b"VP8 ", PICTURE[8:], length=1 << 20)),
        "no chunk": riff(),
        "no picture": riff(extended(0, 48, 64), chunk(b"XMP ", b"<x/>")),
        "half a first chunk": riff(extended(0, 48, 64)[:12]),
        "another header": riff(chunk(b"VP8 ", bytes(10) + PICTURE[18:])),
        "lossless by name": riff(chunk(b"VP8L", PICTURE[8:])),
        "no width": riff(chunk(b"VP8 ", PICTURE[8:14] + bytes(2) + PICTURE[16:])),
        "a frame without a picture": riff(extended(2, 48, 64), frame(b"", 48, 64), frame(PICTURE, 48, 64)),
        "a frame beside its canvas": riff(extended(2, 48, 64), frame(PICTURE, 48, 64, x=2)),
        "a frame larger than its canvas": riff(extended(2, 1, 1), frame(PICTURE, 48, 64)),
        "a frame without a canvas": riff(frame(PICTURE, 48, 64)),
        "zeros for an orientation": riff(extended(8, 48, 64), PICTURE, bytes(60)),
    }.items(),
    ids=lambda item: item[0],
)
def test_damage_is_corrupt(content):
    assert fault_of(content[1]).status is Status.CORRUPT


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_corrupt(name):
    content = FILES[name]
    for length in sorted({*range(18, min(60, len(content))), *range(60, len(content), 23), len(content) - 1}):
        assert fault_of(content[:length]).status is Status.CORRUPT, length


@pytest.mark.parametrize("animated", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_an_orientation_is_obeyed_wherever_it_stands(animated, first):
    turned = Image.Transpose.ROTATE_270
    exif, picture = chunk(b"EXIF", b"Exif\0\0" + oriented(6).tobytes()), PICTURE
    if animated:
        picture = frame(picture, 48, 64)
    head = extended(10 if animated else 8, 48, 64)
    content = riff(head, *((exif, picture) if first else (picture, exif)))
    upright = Image.open(io.BytesIO(PLAIN)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    assert pixels(content) == upright.transpose(turned).tobytes()


def test_zeros_between_chunks_are_a_hole_only_where_the_orientation_is_lost():
    exif, zeros = chunk(b"EXIF", b"Exif\0\0" + oriented(6).tobytes()), bytes(16)
    whole = decode_content(riff(extended(8, 48, 64), PICTURE, exif), Square(32))
    assert decode_content(riff(extended(8, 48, 64), PICTURE, zeros, exif), Square(32)) == whole
    with pytest.raises(DecodeError, match="never written") as caught:
        decode_content(riff(extended(8, 48, 64), PICTURE, zeros, bytes(len(exif))), Square(32))
    assert caught.value.status is Status.CORRUPT


def test_a_header_that_promises_much_is_believed_before_anything_is_decoded():
    largest = b"\x9d\x01\x2a\xff\x3f\xff\x3f"
    content = riff(chunk(b"VP8 ", b"\x10\0\0" + largest + bytes(30)))
    picture = open_webp(io.BytesIO(content), len(content))
    assert picture.size == (16383, 16383)
    assert picture.memory > 16 * 16383**2
    assert fault_of(content).status is Status.TOO_LARGE
    canvas = riff(extended(2, 1 << 24, 1 << 24), frame(PICTURE, 48, 64))
    assert fault_of(canvas).status is Status.TOO_LARGE


def sparse(path, content, size):
    """Writes a file that goes on with zeros."""
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(size)
    return str(path)


def test_what_lies_behind_a_picture_is_not_read(tmp_path):
    assert decode_file(sparse(tmp_path / "face.webp", PLAIN, 3 << 30), Square(SIDE))[0] == pixels(PLAIN)


def test_no_more_is_read_than_pixels_may_take(tmp_path):
    body = chunks_of(saved(PHOTO, lossless=True))[0][1]
    size = 100 << 20
    path = sparse(tmp_path / "face.webp", riff(chunk(b"VP8L", body[:-40], length=size - 20), size=size - 8), size)
    with Path(path).open("rb") as file:
        assert open_webp(file, size).memory < 1 << 20
    with pytest.raises(DecodeError) as caught:
        decode_file(path, Square(SIDE))
    assert caught.value.status is Status.CORRUPT


def drawn(side, channels, noisy):
    """A smooth picture, or blocks and noise."""
    rng = np.random.default_rng(1)
    few = Image.fromarray(rng.integers(0, 256, (side // 32, side // 32, channels), dtype=np.uint8))
    smooth = np.asarray(few.resize((side, side), Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(smooth + noisy * rng.normal(0, 9, smooth.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("side", [512, 1536])
@pytest.mark.parametrize(
    "options",
    [
        {"method": 0},
        {"method": 0, "lossless": True, "quality": 10},
        {"method": 0, "save_all": True, "append_images": [drawn(64, 3, False)]},
    ],
    ids=["lossy", "lossless", "animated"],
)
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_memory_that_decoding_takes_is_known_before(tmp_path, options, side, noisy, channels):
    small, large = tmp_path / "small", tmp_path / "large"
    more = {"append_images": [drawn(side, channels, noisy)]} if "save_all" in options else {}
    small.write_bytes(saved(drawn(64, channels, noisy), **options))
    large.write_bytes(saved(drawn(side, channels, noisy), **(options | more)))
    peak, estimate = peak_and_estimate(small, large)
    assert peak <= estimate <= 2 * peak


def test_a_canvas_takes_memory_beside_its_frame(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(FILES["small frame"])
    large.write_bytes(riff(extended(2, 3000, 3000), frame(PICTURE, 48, 64)))
    peak, estimate = peak_and_estimate(small, large)
    assert peak <= estimate <= 2 * peak


def test_the_chunks_of_a_drawn_file_are_as_meant():
    assert [kind for kind, _ in chunks_of(FILES["small frame"])] == [b"VP8X", b"ANIM", b"ANMF", b"ANMF"]

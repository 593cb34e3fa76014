"""Images in memory come in; the pixels must be those of the same image as a file."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import FACE, encoded, face, oriented
from PIL import Image

from fer_fast.decode import pixels_of
from fer_fast.decode.codecs import decode_file
from fer_fast.decode.pixels import spread
from fer_fast.types import DecodeError

SIDE = 24


def decoded(path, side=SIDE):
    out = np.empty((side, side, 3), np.uint8)
    spread(decode_file(str(path), side)[0], out)
    return out


@pytest.fixture
def photo(tmp_path):
    """A JPEG that is scaled while it is decoded, and turned."""
    path = tmp_path / "photo.jpg"
    face(48, 64).resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90, exif=oriented(6))
    return path


def test_arrays_and_images_take_the_files_path(tmp_path):
    path = tmp_path / "face.png"
    FACE.save(path)
    pixels = decoded(path)
    assert np.array_equal(pixels_of(np.asarray(FACE), SIDE), pixels)
    assert np.array_equal(pixels_of(FACE, SIDE), pixels)
    grey = np.asarray(FACE)[..., 0]
    assert np.array_equal(pixels_of(grey, SIDE), pixels_of(np.repeat(grey[..., None], 3, axis=2), SIDE))
    assert np.array_equal(pixels_of(grey[::2, ::-1], SIDE), pixels_of(grey[::2, ::-1].copy(), SIDE))
    path.write_bytes(encoded("jpeg")[:-100])
    with pytest.raises(DecodeError), Image.open(path) as image:
        pixels_of(image, SIDE)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((8, 8, 3), np.float32), TypeError),
        ("face.jpg", TypeError),
        (np.zeros((8, 8, 4), np.uint8), ValueError),
        (np.zeros((2, 8, 8, 3), np.uint8), ValueError),
        (np.zeros((0, 8, 3), np.uint8), ValueError),
    ],
)
def test_what_is_no_image_in_memory_is_refused(image, error):
    with pytest.raises(error, match="an image"):
        pixels_of(image, SIDE)


def test_a_jpeg_that_is_not_loaded_gives_its_files_pixels_and_stays_as_it_is(photo):
    wanted = decoded(photo)
    with Image.open(photo) as image:
        position = image.fp.tell()
        assert np.array_equal(pixels_of(image, SIDE), wanted)
        assert image.tile and image.size == (640, 480)
        assert image.fp.tell() == position
        assert np.array_equal(pixels_of(image, SIDE), wanted)
        image.load()
        full = pixels_of(image, SIDE)
    assert not np.array_equal(full, wanted), "a photo that is not large shows nothing"
    assert np.abs(full.astype(int) - wanted).mean() < 1
    with Image.open(io.BytesIO(photo.read_bytes())) as image:
        assert np.array_equal(pixels_of(image, SIDE), wanted)


def test_what_draft_has_chosen_is_the_owners(photo):
    with Image.open(photo) as image, Image.open(photo) as other:
        for each in (image, other):
            each.draft("L", (80, 60))
        assert image.mode == "L" and image.size == (80, 60)
        other.load()
        assert np.array_equal(pixels_of(image, SIDE), pixels_of(other, SIDE))


def test_a_later_picture_of_several_is_the_owners(tmp_path):
    path = tmp_path / "pair.mpo"
    first, second = (Image.new("RGB", (64, 64), colour) for colour in ((200, 0, 0), (0, 0, 200)))
    first.save(path, "MPO", save_all=True, append_images=[second])
    with Image.open(path) as image:
        assert image.format == "MPO"
        assert np.array_equal(pixels_of(image, SIDE), decoded(path))
        image.seek(1)
        assert pixels_of(image, SIDE)[..., 2].min() > 150


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff-lzw"])
def test_one_image_may_be_given_to_several_threads(name):
    size = (400, 300)
    content = io.BytesIO()
    kind = Image.open(io.BytesIO(encoded(name))).format
    face(48, 64).resize(size).save(content, kind)
    with Image.open(io.BytesIO(content.getvalue())) as image:
        wanted = pixels_of(image, SIDE)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            with Image.open(io.BytesIO(content.getvalue())) as image:
                for pixels in pool.map(pixels_of, [image] * 8, [SIDE] * 8):
                    assert np.array_equal(pixels, wanted)


def test_a_closed_image_is_the_callers_fault(photo):
    for name in ("with", "close"):
        image = Image.open(photo)
        image.close() if name == "close" else image.__exit__(None, None, None)
        with pytest.raises(ValueError, match="an image must be open or loaded, not closed"):
            pixels_of(image, SIDE)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_orientation_behind_a_pngs_pixels_counts_at_any_size(tmp_path, mode):
    image = Image.new(mode, (8, 8))
    image.paste(Image.new(mode, (8, 4), "white"))
    content = io.BytesIO()
    image.save(content, "png")
    end = chunk(b"IEND", b"")
    path = tmp_path / "turned.png"
    path.write_bytes(content.getvalue().removesuffix(end) + chunk(b"eXIf", oriented(3).tobytes()[6:]) + end)
    turned = np.asarray(image.rotate(180).convert("RGB"))
    assert np.array_equal(decoded(path, 8), turned)
    with Image.open(path) as unread:
        assert np.array_equal(pixels_of(unread, 8), turned)


def test_a_png_that_pillow_has_not_read_is_checked_as_its_file(tmp_path):
    content = bytearray(encoded("png"))
    content[content.rindex(b"IEND") - 8] ^= 1  # the checksum of the last pixels
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with Image.open(path) as image, pytest.raises(DecodeError, match="broken PNG chunk 'IDAT'"):
        pixels_of(image, 8)

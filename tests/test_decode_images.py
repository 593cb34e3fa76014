"""Images in memory come in; the pixels must be those of the same image as a file."""

import errno
import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import FACE, FILES, GREY16, encoded, face, oriented
from PIL import Image, ImageFile

from fer_fast.decode import pixels_of
from fer_fast.decode.codecs import decode_file
from fer_fast.decode.images import copy_of
from fer_fast.decode.pixels import spread
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

SIDE = 24


def decoded(path, side=SIDE):
    out = np.empty((side, side, 3), np.uint8)
    spread(decode_file(str(path), Square(side))[0], out)
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


def film(kind):
    content = io.BytesIO()
    FACE.save(content, kind, save_all=True, append_images=[face(seed=2)])
    return content


def closed(content, way):
    image = Image.open(content)
    if way == "loaded":
        image.load()
    elif way == "second":
        image.seek(1)
    if way == "with":
        image.__exit__(None, None, None)
    elif way == "file":
        content.close()
    else:
        image.close()
    return image


@pytest.mark.parametrize("way", ["with", "close", "file", "loaded", "second"])
@pytest.mark.parametrize("kind", ["TIFF", "PNG", "GIF"])
def test_a_closed_image_is_unreadable(kind, way):
    assert is_refused(closed(film(kind), way), Status.UNREADABLE, "the image is closed: it must be open or loaded")


def is_refused(image, status, words=None, **options):
    with pytest.raises(DecodeError, match=words) as caught:
        pixels_of(image, SIDE, **options)
    return caught.value.status is status


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_the_same_pixels_however_it_is_given(tmp_path, name):
    path = tmp_path / "face"
    content = encoded(name)
    path.write_bytes(content)
    wanted = decoded(path)
    spaced = memoryview(bytes(byte for each in content for byte in (each, 0)))[::2]
    for given in (content, bytearray(content), memoryview(content), spaced, io.BytesIO(content)):
        assert np.array_equal(pixels_of(given, SIDE), wanted)
        assert np.array_equal(pixels_of(copy_of(given), SIDE), wanted)
    with path.open("rb") as file, Image.open(path) as unread, Image.open(path) as loaded:
        loaded.load()
        for image in (file, unread, loaded, loaded.copy()):
            # Pillow has turned a TIFF that it has loaded: before it is reduced, and rounded.
            close = int(name == "tiff-deflate-turned" and not (image is file or image is unread))
            for given in (copy_of(image), image):
                assert np.abs(pixels_of(given, SIDE).astype(int) - wanted).max() <= close


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGBA", "RGBa", "CMYK", "I", "I;16", "F", "YCbCr"])
def test_an_image_of_any_mode_gives_its_pixels_without_a_file(tmp_path, mode):
    steps = {"La": ["LA", "La"], "PA": ["P", "PA"], "RGBa": ["RGBA", "RGBa"]}.get(mode, [mode])
    image = FACE.convert("L") if mode in ("I", "F") else FACE
    if mode == "I;16":
        image, steps = GREY16, []
    for step in steps:
        image = image.convert(step)
    assert image.mode == mode
    path = tmp_path / "face.tif"
    if mode in ("La", "RGBa", "PA"):
        image.convert("LA" if mode == "La" else "RGBA").save(path)
    else:
        image.save(path, compression="raw")
    assert np.array_equal(pixels_of(image, SIDE), decoded(path)) or mode == "YCbCr"
    assert np.array_equal(pixels_of(copy_of(image), SIDE), pixels_of(image, SIDE))
    assert np.abs(pixels_of(image, SIDE).mean(axis=2) - decoded(path).mean(axis=2)).mean() < 3


def test_a_copy_stays_as_it_was():
    array = np.array(FACE)
    palette = FACE.quantize(16)
    content = bytearray(encoded("png"))
    drafted = Image.open(io.BytesIO(encoded("jpeg")))
    drafted.draft("L", (16, 20))
    images = [
        array,
        array[..., 0],
        palette,
        FACE.convert("L"),
        content,
        memoryview(content),
        io.BytesIO(content),
        drafted,
    ]
    wanted = [pixels_of(image, SIDE) for image in images]
    copies = [copy_of(image) for image in images]
    array[...] = 0
    content[:] = bytes(len(content))
    for image in (palette, images[3], drafted):
        image.paste(0, (0, 0, *image.size))
    palette.putpalette(bytes(768))
    images[6].truncate(0)
    for copied, pixels in zip(copies, wanted, strict=True):
        assert np.array_equal(pixels_of(copied, SIDE), pixels)


def test_an_array_may_lie_and_be_kept_as_it_likes():
    pixels = np.asarray(FACE)
    wanted = pixels_of(pixels.copy(), SIDE)
    spread_out = np.zeros((40, 64, 5), np.uint8)
    spread_out[:, ::2, 1:4] = pixels
    fortran = np.asfortranarray(pixels)
    fixed = pixels.copy()
    fixed.flags.writeable = False
    for array in (spread_out[:, ::2, 1:4], fortran, fixed, pixels[::-1, :, ::-1][::-1, :, ::-1]):
        assert np.array_equal(pixels_of(array, SIDE), wanted)
        assert np.array_equal(pixels_of(copy_of(array), SIDE), wanted)
    grey = pixels[..., :1]
    assert np.array_equal(pixels_of(grey, SIDE), pixels_of(grey[..., 0].copy(), SIDE))


def test_what_is_no_file_of_an_image():
    for given in (b"", bytearray(), memoryview(b""), io.BytesIO()):
        assert is_refused(given, Status.EMPTY, "the file has no bytes")
    for given in (b"face.png", b"GIF", b"no image, but long enough"):
        status = Status.CORRUPT if given == b"GIF" else Status.UNSUPPORTED
        assert is_refused(given, status)
        assert is_refused(io.BytesIO(given), status)
    assert is_refused(encoded("png")[:-30], Status.CORRUPT)


def test_a_file_object_is_read_from_its_beginning_and_stands_where_it_stood():
    content = encoded("png")
    wanted = pixels_of(content, SIDE)
    for position in (0, 5, len(content)):
        file = io.BytesIO(content)
        file.seek(position)
        for _ in range(2):
            assert np.array_equal(pixels_of(file, SIDE), wanted)
            assert file.tell() == position


class Stream(io.RawIOBase):
    """What cannot seek, as a socket or a pipe; or fails."""

    def __init__(self, content=b"", error=None):
        self.content, self.error = io.BytesIO(content), error

    def readable(self):
        return True

    def readinto(self, buffer):
        if self.error:
            raise self.error
        return self.content.readinto(buffer)


class OnlyRead:
    def __init__(self, content):
        self.content = content

    def read(self):
        return self.content


def test_a_file_object_that_cannot_seek_is_read_to_its_end():
    content = encoded("png")
    wanted = pixels_of(content, SIDE)
    assert np.array_equal(pixels_of(OnlyRead(content), SIDE), wanted)
    stream = Stream(b"head" + content)
    assert stream.read(4) == b"head"
    assert np.array_equal(pixels_of(stream, SIDE), wanted)
    assert is_refused(stream, Status.EMPTY)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        with os.fdopen(writing, "wb") as end:
            end.write(content)
        assert np.array_equal(pixels_of(pipe, SIDE), wanted)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), Status.FAILED, os.strerror(errno.EIO)),
        (OSError("connection lost"), Status.UNREADABLE, "the file object cannot be read: connection lost"),
        (LookupError("no such object"), Status.UNREADABLE, "the file object cannot be read: no such object"),
        (MemoryError(), Status.FAILED, "not enough memory"),
    ],
    ids=["disk", "network", "other", "memory"],
)
def test_a_file_object_that_fails(error, status, words):
    assert is_refused(Stream(error=error), status, words)


def test_a_file_object_that_is_closed_or_written_is_unreadable(tmp_path):
    file = io.BytesIO(encoded("png"))
    file.close()
    assert is_refused(file, Status.UNREADABLE, "the file object cannot be read: I/O operation on closed file")
    with (tmp_path / "face.png").open("wb") as file:
        assert is_refused(file, Status.UNREADABLE, "the file object cannot be read: read")


@pytest.mark.parametrize("kind", ["PPM", "TGA", "PCX", "ICO", "JPEG2000"])
def test_a_format_that_pillow_alone_reads_is_loaded_by_pillow(kind):
    content = io.BytesIO()
    FACE.save(content, kind)
    with Image.open(content) as unread, Image.open(content) as loaded:
        loaded.load()
        assert np.array_equal(pixels_of(unread, SIDE), pixels_of(loaded, SIDE))
    assert is_refused(content, Status.UNSUPPORTED, "not a jpeg, png")


def test_what_pillow_raises_of_an_image_in_memory_is_damage():
    image = FACE.quantize(16)
    image.palette.rawmode, image.palette.dirty = "XYZ", 1
    assert is_refused(image, Status.CORRUPT, "unrecognized raw mode")
    content = io.BytesIO()
    FACE.quantize(16).save(content, "png")
    start = content.getvalue().index(b"PLTE") - 4
    size = int.from_bytes(content.getvalue()[start : start + 4], "big")
    long = content.getvalue()[:start] + chunk(b"PLTE", bytes(1024)) + content.getvalue()[start + 12 + size :]
    with Image.open(io.BytesIO(long)) as unread:
        assert is_refused(unread, Status.CORRUPT, "invalid palette size", exif=False)  # as Pillow loads it
    assert not pixels_of(long, SIDE).any(), "more colours than a palette has cost no pixel"
    with Image.open(io.BytesIO(encoded("jpeg")[:-100])) as unread:
        assert is_refused(unread, Status.CORRUPT, "premature end")
        assert is_refused(unread, Status.CORRUPT, "truncated", exif=False)  # as Pillow loads it


def test_too_many_pixels_are_refused_before_anything_is_decoded(monkeypatch):
    content = io.BytesIO()
    Image.new("L", (3000, 2000)).save(content, "png")
    drafted = Image.open(io.BytesIO(encoded("jpeg")))
    drafted.draft("L", (16, 20))
    with Image.open(content) as unread, Image.open(film("GIF")) as second:
        second.seek(1)
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("it is decoded"))
        for image in (content, content.getvalue(), unread):
            assert is_refused(
                image, Status.TOO_LARGE, "3000 x 2000 pixels are more than .* 5999999", max_pixels=5999999
            )
        for image in (second, drafted):
            assert is_refused(image, Status.TOO_LARGE, "are more than the limit of 99", max_pixels=99)


def test_pixels_that_are_there_have_the_same_limit():
    for image in (FACE, np.asarray(FACE), np.asarray(FACE)[..., 0]):
        assert is_refused(image, Status.TOO_LARGE, "32 x 40 pixels are more than .* 1279", max_pixels=1279)
        with pytest.raises(DecodeError, match="32 x 40 pixels"):
            copy_of(image, max_pixels=1279)
        assert pixels_of(image, SIDE, max_pixels=1280).shape == (SIDE, SIDE, 3)


def test_an_image_that_was_turned_by_hand_may_keep_its_exif(photo):
    with Image.open(photo) as image:
        lying = pixels_of(image, SIDE, exif=False)
        by_hand = image.transpose(Image.Transpose.ROTATE_270)
        assert np.array_equal(pixels_of(copy_of(image, exif=False), SIDE, exif=False), lying)
    wanted = decoded(photo)
    assert np.abs(wanted - np.rot90(lying, -1).astype(int)).mean() < 1 < np.abs(wanted - lying.astype(int)).mean()
    assert np.abs(wanted - pixels_of(by_hand, SIDE, exif=False).astype(int)).mean() < 1
    assert np.abs(wanted - pixels_of(by_hand, SIDE).astype(int)).mean() > 1
    assert np.array_equal(pixels_of(photo.read_bytes(), SIDE, exif=False), wanted), "a file is turned as it says"


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

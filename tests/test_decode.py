"""Files of every kind and every kind of damage come in; pixels or the right status must go out."""

import os
import random
import socket
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import FACE, FILES, encoded, face, oriented
from PIL import Image, ImageFile, ImageOps

from fer_fast.decode import DEFAULT_MAX_PIXELS, apart, open_decoder, pixels_of, views
from fer_fast.decode.codecs import decode_file
from fer_fast.decode.limits import limits_of
from fer_fast.decode.pixels import spread
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, FerFastError, Status

SIDE = 24


def decoded(path, side=SIDE, **options):
    data, stamp = decode_file(str(path), Square(side), **options)
    status = Path(path).stat()
    assert stamp == (status.st_size, status.st_mtime_ns)
    out = np.empty((side, side, 3), np.uint8)
    spread(data, out)
    return out


def status_of(path, **options):
    with pytest.raises(DecodeError) as caught:
        decoded(path, **options)
    assert str(caught.value) and "\n" not in str(caught.value)
    return caught.value.status


def expected(image, side=SIDE):
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("P", "PA"):
        upright = upright.convert("RGBA")
    return np.asarray(upright.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)).astype(int)


@pytest.mark.parametrize("name", [name for name in FILES if name != "png-16-bit"])
def test_a_file_gives_the_pixels_that_pillow_shows(tmp_path, name):
    path = tmp_path / "face.jpg"  # the content decides, whatever the suffix
    path.write_bytes(encoded(name))
    with Image.open(path) as image:
        difference = np.abs(decoded(path) - expected(image))
    assert difference.max() <= 2, "a turn before or after the resize may round differently, no more"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_is_obeyed_and_only_once(tmp_path, kind, orientation):
    path = tmp_path / "face"
    photo = face(256, 192)  # large enough for a JPEG to be scaled while it is decoded
    photo.save(path, kind, exif=oriented(orientation), **({"lossless": True} if kind == "WEBP" else {}))
    with Image.open(path) as image:
        difference = np.abs(decoded(path) - expected(image))
    assert difference.mean() < 1.5
    with Image.open(path) as image:
        assert np.array_equal(decoded(path), pixels_of(image, SIDE)) or kind == "JPEG"


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16", "I", "F", "P", "RGBA", "LA", "1"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_those_of_the_arithmetic_written_out(mode, orientation):
    """Resized first, then turned; grey in three equal channels: bit for bit, as predictions depend on it."""
    grey = face(40, 56).convert("L")
    if mode in ("I;16", "I", "F"):
        scale = 1 / 255 if mode == "F" else 257
        image = Image.fromarray(
            (np.asarray(grey, float) * scale).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
        )
        flat = grey
    else:
        image = face(40, 56).convert("RGB").convert(mode)
        flat = image.convert("RGBA").convert("RGB") if mode in ("P", "RGBA") else image
        flat = flat.convert("L") if mode in ("LA", "1") else flat
    image.info["exif"] = oriented(orientation).tobytes()
    resized = np.asarray(flat.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    turned = resized.swapaxes(0, 1) if orientation >= 5 else resized
    turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
    turned = turned[::-1] if orientation in (3, 4, 7, 8) else turned
    wanted = turned if turned.ndim == 3 else np.repeat(turned[..., None], 3, axis=2)
    assert np.array_equal(pixels_of(image, SIDE), wanted)


def test_scaled_jpeg_decoding_stays_close_to_a_full_decode(tmp_path):
    path = tmp_path / "photo.jpg"
    photo = face(48, 64).resize((1280, 960), Image.Resampling.BICUBIC)
    photo.save(path, quality=90)
    with Image.open(path) as image:
        assert np.abs(decoded(path, 112) - expected(image, 112)).mean() < 0.7  # of 255


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE)
    for name in ("ramp.png", "ramp.tiff"):
        Image.fromarray(ramp).save(tmp_path / name)
        assert np.array_equal(decoded(tmp_path / name)[..., 1], ramp >> 8)
    Image.fromarray(ramp.astype(np.int32)).save(tmp_path / "i.tiff")
    Image.fromarray((ramp / 65535).astype(np.float32)).save(tmp_path / "f.tiff")
    for name in ("i.tiff", "f.tiff"):
        assert np.abs(decoded(tmp_path / name)[..., 2].astype(int) - (ramp / 257)).max() <= 1


def test_inverted_cmyk_of_adobe_is_not_a_negative(tmp_path):
    path = tmp_path / "cmyk.jpg"
    Image.new("CMYK", (16, 16), (0, 0, 0, 20)).save(path)
    assert b"Adobe" in path.read_bytes()[:200]
    assert decoded(path).min() > 200


def test_alpha_is_dropped_as_by_training_loaders(tmp_path):
    path = tmp_path / "clear.png"
    Image.new("RGBA", (16, 16), (200, 100, 50, 0)).save(path)
    assert (decoded(path) == (200, 100, 50)).all()


def test_the_first_frame_of_an_animation(tmp_path):
    first, second = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 250))
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        first.save(tmp_path / kind, kind, save_all=True, append_images=[second])
        assert decoded(tmp_path / kind)[..., 0].min() > 230, kind


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on half a TIFF directory
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_corrupt(tmp_path, name):
    data, path = encoded(name), tmp_path / "cut"
    path.write_bytes(data)
    whole = decoded(path)
    step = max(1, len(data) // 60)
    for length in sorted({*range(1, len(data), step), *range(1, 30), *range(len(data) - 24, len(data))}):
        path.write_bytes(data[:length])
        try:
            pixels = decoded(path)
        except DecodeError as error:
            assert error.status is Status.CORRUPT, (length, error)
        else:  # the two bytes that close these hold nothing of their pixels
            assert name.startswith(("gif", "jpeg")) and length >= len(data) - 2
            assert np.array_equal(pixels, whole)


@pytest.mark.parametrize("name", ["png", "png-palette", "png-16-bit"])
def test_a_png_of_full_length_with_an_empty_end_is_corrupt(tmp_path, name):
    data, path = encoded(name), tmp_path / "preallocated.png"
    for length in range(40, len(data), 11):
        path.write_bytes(data[:length] + bytes(len(data) - length))
        assert status_of(path) is Status.CORRUPT


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_noise_in_a_file_never_escapes_as_another_exception(tmp_path):
    rng, path = random.Random(5), tmp_path / "noise"
    statuses = set()
    for name in FILES:
        data = encoded(name)
        for _ in range(40):
            noisy = bytearray(data)
            for _ in range(rng.choice((1, 4, 30))):
                noisy[rng.randrange(rng.choice((60, len(data))))] = rng.randrange(256)
            path.write_bytes(noisy)
            try:
                decoded(path, limits=limits_of(1, max_pixels=1 << 22))
                statuses.add(Status.OK)
            except DecodeError as error:
                statuses.add(error.status)
    assert {Status.OK, Status.CORRUPT, Status.UNSUPPORTED} <= statuses
    assert Status.UNREADABLE not in statuses


@pytest.mark.parametrize(
    "content", [b"plain text", b"BMW is a car, not a bitmap", b"%PDF-1.7", b"<html>", b"\0" * 64, b"RIFF....WAVE"]
)
def test_what_is_no_image_is_unsupported(tmp_path, content):
    path = tmp_path / "face.jpg"
    path.write_bytes(content)
    assert status_of(path) is Status.UNSUPPORTED


def test_a_file_that_begins_with_zeros_is_told_from_others(tmp_path):
    path = tmp_path / "face.jpg"
    for content, words in (
        (bytes(4096) + encoded("jpeg"), "begins with zeros"),
        (bytes(7) + b"x" * 40, "not a jpeg, png"),
    ):
        path.write_bytes(content)
        with pytest.raises(DecodeError, match=words) as caught:
            decoded(path)
        assert caught.value.status is Status.UNSUPPORTED


@pytest.mark.parametrize(
    ("kind", "name", "cut"),
    [("gif", "GIF", 60), ("bmp", "BMP", 60), ("jpeg", "JPEG", 60), ("jpeg-progressive-turned", "JPEG", 60)],
)
def test_a_codecs_own_words_say_of_what_they_are(tmp_path, kind, name, cut):
    content = encoded(kind)
    path = tmp_path / "face"
    path.write_bytes(content[: len(content) * cut // 100])
    with pytest.raises(DecodeError, match=name) as caught:
        decoded(path)
    assert caught.value.status is Status.CORRUPT and caught.value.stamp


def test_what_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "empty.png").touch()
    assert status_of(tmp_path / "empty.png") is Status.EMPTY
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        listener.bind("socket.jpg")
    for name in ("folder.jpg", "dangling.jpg", "loop.jpg", "pipe.jpg", "socket.jpg", "vanished.jpg", "nul\0.jpg"):
        assert status_of(f"{tmp_path}/{name}") is Status.UNREADABLE, name
    assert status_of("/dev/zero") is Status.UNREADABLE
    assert status_of("\ud800.jpg") is Status.UNREADABLE


def test_no_permission_is_unreadable(tmp_path):
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded("jpeg"))
    path.chmod(0)
    if os.geteuid() != 0:
        assert status_of(path) is Status.UNREADABLE
        return
    tmp_path.chmod(0o755)
    # Root reads everything: a process that has imported what it needs gives its rights up.
    code = "import os, sys; from fer_fast.decode.files import *; os.seteuid(65534); read_image_file(sys.argv[1])"
    for folder in list(path.parents)[:3]:
        folder.chmod(0o755)
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "DecodeError: Permission denied" in run.stderr


def bomb(width, height):
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 50) + b"IDAT" + bytes(54)


def test_the_pixel_limit_is_checked_before_decoding_and_warns_nobody(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(60000, 60000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert status_of(path) is Status.TOO_LARGE
        path.write_bytes(bomb(12000, 12000))  # where Pillow warns: under our limit, so the lack of pixels counts
        assert status_of(path) is Status.CORRUPT
        path.write_bytes(encoded("jpeg"))
        assert status_of(path, limits=limits_of(1, 40 * 32 - 1)) is Status.TOO_LARGE
        assert decoded(path, limits=limits_of(1, 40 * 32)).shape == (SIDE, SIDE, 3)


def test_decoding_leaves_pillows_settings_alone(tmp_path):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    with open_decoder("auto", SIDE, 1, 1000) as decoder:
        decoder.decode([str(tmp_path / "none")])
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == before == (Image.MAX_IMAGE_PIXELS, False)
    assert DEFAULT_MAX_PIXELS == 2 * 89_478_485


def test_a_program_that_lets_half_images_pass_is_warned(monkeypatch, caplog):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    open_decoder("auto", SIDE, 1).close()
    assert "half an image" in caplog.text


def test_a_large_file_that_is_no_image_is_not_read(tmp_path):
    path = tmp_path / "film.jpg"
    path.write_bytes(b"film")
    os.truncate(path, 1 << 40)  # one sparse terabyte
    assert status_of(path) is Status.UNSUPPORTED


def test_a_large_file_that_is_an_image_is_decoded_piecewise(tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(encoded("png"))
    whole = decoded(path)
    os.truncate(path, 65 << 20)  # what follows the end of a PNG is not part of it
    assert np.array_equal(decoded(path), whole)


def test_a_batch_keeps_pixels_and_places_together(tmp_path):
    shades, paths = {}, []
    for index in range(75):
        path = tmp_path / f"{index}.png"
        if index % 7 == 3:
            path.write_bytes(b"not an image")
        else:
            shades[index] = index * 3
            Image.new("L", (9, 9), index * 3).save(path)
        paths.append(str(path))
    with open_decoder("pillow", SIDE, 3) as decoder:
        futures = [decoder.submit(paths[start:]) for start in (0, 30, 75)]
        whole, tail, nothing = (future.result(timeout=60) for future in futures)
    assert whole.indices == sorted(shades)
    assert whole.pixels.shape == (len(shades), SIDE, SIDE, 3) and whole.pixels.flags.c_contiguous
    assert [int(pixels[0, 0, 0]) for pixels in whole.pixels] == [shades[index] for index in whole.indices]
    assert all(pixels.min() == pixels.max() for pixels in whole.pixels)
    assert [index for index, _ in whole.failures] == list(range(3, 75, 7))
    assert {error.status for _, error in whole.failures} == {Status.UNSUPPORTED}
    assert tail.indices == [index - 30 for index in sorted(shades) if index >= 30]
    assert nothing.pixels.shape == (0, SIDE, SIDE, 3) and nothing.indices == nothing.failures == []


@pytest.fixture
def blocked(monkeypatch):
    """Lets Pillow's threads wait in their first file until the test is over."""
    gate = threading.Event()

    def waits(*given, right=apart.decode_file):
        gate.wait(60)
        return right(*given)

    monkeypatch.setattr(apart, "decode_file", waits)
    yield
    gate.set()


def test_closing_answers_what_was_asked_and_nothing_more_is_taken(tmp_path, blocked):
    path = tmp_path / "face.png"
    FACE.save(path)
    decoder = open_decoder("pillow", SIDE, 1)
    futures = [decoder.submit([str(path)] * 40) for _ in range(3)]
    answers = []
    futures[2].add_done_callback(answers.append)
    assert futures[1].cancel()  # as a caller may
    decoder.close()
    for future in (futures[0], futures[2]):
        with pytest.raises(FerFastError, match="the decoder is closed"):
            future.result(timeout=10)
    assert answers == [futures[2]]
    with pytest.raises(FerFastError, match="the decoder is closed"):
        decoder.submit([str(path)])
    decoder.close()


def test_an_unforeseen_error_reaches_the_caller(tmp_path, monkeypatch):
    def broken(*_):
        raise KeyError("lost")

    monkeypatch.setattr(views, "spread", broken)
    FACE.save(tmp_path / "face.png")
    with open_decoder("pillow", SIDE, 1) as decoder, pytest.raises(FerFastError, match="the decoder failed: 'lost'"):
        decoder.decode([str(tmp_path / "face.png")])


def test_threads_that_cannot_be_started_are_an_error_and_no_wait(monkeypatch):
    def refused(*_):
        raise RuntimeError("can't start new thread")

    with open_decoder("pillow", SIDE, 1) as decoder:
        monkeypatch.setattr(threading.Thread, "start", refused)
        with pytest.raises(FerFastError, match="the decoder takes no work: can't start new thread"):
            decoder.submit(["face.png"])


def test_a_forked_child_is_refused_before_it_can_wait():
    code = """
import os, sys
from fer_fast.decode import open_decoder
from fer_fast.decode.several import SeveralDecoders
from fer_fast.types import FerFastError
decoders = [open_decoder("pillow", 24, 1) for _ in range(2)]
several = SeveralDecoders(decoders)
several.decode(["/nowhere"])
several._lock.acquire()  # as another thread may hold it
decoders[0]._pending._lock.acquire()
if not os.fork():
    for decoder in (several, decoders[0]):
        try:
            decoder.submit(["/nowhere"])
        except FerFastError as error:
            print(error, flush=True)
        decoder.close()
    os._exit(0)
os.wait()
decoders[0]._pending._lock.release()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.count("a forked process opens its own") == 2, ran.stderr


def test_codecs_are_used_once_before_threads_use_them(tmp_path):
    code = """
import threading
from fer_fast.decode import open_decoder
from fer_fast.decode.formats import opening
used = []
right = opening.open_picture
opening.open_picture = lambda kind, *given: used.append((kind, threading.current_thread())) or right(kind, *given)
open_decoder("pillow", 24, 2).close()
assert {name for name, _ in used} == {"jpeg", "png", "webp", "tiff"}, used
assert {thread for _, thread in used} == {threading.main_thread()}
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="auto, pillow, dali, nvimagecodec, not 'dali9'"):
        open_decoder("dali9")
    with pytest.raises(ValueError, match="workers must be at least 1"):
        open_decoder("auto", 224, 0)

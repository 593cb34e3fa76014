"""Faults of the machine come in: none of them may become a verdict on a file."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from decoding import LIBRARIES
from image_files import encoded
from PIL import Image

from fer_fast.decode import codecs, files, open_decoder, pixels_of, views
from fer_fast.decode.codecs import decode_file
from fer_fast.decode.formats.opening import lacking_codecs
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

SIDE = 24
PASSING = [
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
    errno.ESTALE,
    errno.ENOBUFS,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.ENOLCK,
    errno.EREMOTEIO,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
]
LASTING = [
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENXIO,
]


@pytest.fixture
def face(tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(encoded("png"))
    return str(path)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(files, "_PAUSES", (0.0, 0.0))


def failing(monkeypatch, call, number, times=1 << 30):
    """Lets a call of the operating system fail so often, on descriptors and paths that are the test's."""
    real, left = getattr(os, call), [times]

    def fails(*given, **more):
        if left[0] > 0 and call != "read":
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        if left[0] > 0 and given[1] > 100:
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return real(*given, **more)

    monkeypatch.setattr(files.os, call, fails)


def fault_of(path, **options):
    with pytest.raises(DecodeError) as caught:
        decode_file(path, Square(SIDE), **options)
    return caught.value


@pytest.mark.parametrize("call", ["open", "fstat", "read"])
@pytest.mark.parametrize("number", PASSING)
def test_a_passing_fault_is_no_verdict(face, monkeypatch, call, number):
    with monkeypatch.context() as patch:
        failing(patch, call, number)
        error = fault_of(face)
    assert error.status is Status.FAILED
    assert str(error) == os.strerror(number)
    assert (error.stamp is not None) == (call == "read")
    decode_file(face, Square(SIDE))


@pytest.mark.parametrize("number", LASTING)
def test_a_lasting_fault_is_one(face, monkeypatch, number):
    with monkeypatch.context() as patch:
        failing(patch, "open", number)
        error = fault_of(face)
    assert error.status is Status.UNREADABLE


@pytest.mark.parametrize("call", ["open", "read"])
def test_what_may_work_the_next_time_is_tried_again(face, monkeypatch, call):
    with monkeypatch.context() as patch:
        failing(patch, call, errno.EAGAIN, times=2)
        decode_file(face, Square(SIDE))


def test_a_file_read_in_pieces_is_whole(face, monkeypatch):
    whole, real = decode_file(face, Square(SIDE)), os.read
    monkeypatch.setattr(files.os, "read", lambda descriptor, size: real(descriptor, min(size, 100)))
    assert decode_file(face, Square(SIDE)) == whole


def test_a_file_that_becomes_shorter_while_it_is_read_is_not_corrupt(face, monkeypatch):
    real, size = os.fstat, Path(face).stat().st_size

    def earlier(descriptor):
        found = list(real(descriptor))
        found[6] += 100
        return os.stat_result(found)

    monkeypatch.setattr(files.os, "fstat", earlier)
    error = fault_of(face)
    assert error.status is Status.FAILED
    assert f"{size} of {size + 100} bytes" in str(error)


class Failing(io.FileIO):
    """A file whose disk fails after its first bytes."""

    def readinto(self, buffer):
        if self.tell() > 8000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().readinto(buffer)

    def readall(self):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("name", ["photo.jpg", "photo.tiff", "photo.bmp"])
def test_a_large_file_whose_disk_fails_is_not_corrupt(tmp_path, monkeypatch, name):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name, **({"compression": "tiff_lzw"} if "tiff" in name else {}))
    monkeypatch.setattr(files, "READ_AT_ONCE", 100)
    decode_file(str(tmp_path / name), Square(SIDE))
    monkeypatch.setattr(files.os, "fdopen", lambda fd, _: io.BufferedReader(Failing(fd)))
    error = fault_of(str(tmp_path / name))
    assert (error.status, str(error)) == (Status.FAILED, os.strerror(errno.EIO))


def test_a_codec_that_hides_a_disks_fault_is_not_believed(tmp_path, monkeypatch):
    """libtiff reads by the descriptor and says no more than that it failed."""
    path = tmp_path / "photo.tiff"
    path.write_bytes(encoded("tiff-lzw")[:-40])
    monkeypatch.setattr(files, "READ_AT_ONCE", 100)
    assert fault_of(str(path)).status is Status.CORRUPT

    def fails(_):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(codecs, "check_readable", fails)
    assert fault_of(str(path)).status is Status.FAILED


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (MemoryError(), Status.FAILED),
        (OSError("out of memory error when reading image file"), Status.FAILED),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), Status.FAILED),
        (OSError("broken data stream when reading image file"), Status.CORRUPT),
        (Image.DecompressionBombError("bomb"), Status.TOO_LARGE),
        (ValueError("no such colour"), Status.CORRUPT),
        (AssertionError(), Status.CORRUPT),
    ],
)
def test_what_a_codec_raises_has_its_status(face, monkeypatch, raised, status):
    def fails(*_):
        raise raised

    monkeypatch.setattr(views, "square", fails)
    error = fault_of(face)
    assert error.status is status
    assert str(error)
    assert error.stamp is not None


def test_no_memory_to_read_a_file_is_no_verdict(face, monkeypatch):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(files.os, "read", fails)
    assert fault_of(face).status is Status.FAILED


@pytest.mark.parametrize("name", ["photo.jpg", "photo.bmp"])
def test_an_image_in_memory_whose_disk_fails_is_not_corrupt(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    content = io.BufferedReader(Failing(tmp_path / name))
    with content, Image.open(content) as image, pytest.raises(DecodeError) as caught:
        pixels_of(image, SIDE)
    assert (caught.value.status, str(caught.value)) == (Status.FAILED, os.strerror(errno.EIO))


NO_DESCRIPTORS = """
import os, resource, sys
from fer_fast.decode import open_decoder
with open_decoder(sys.argv[1], 24, 2) as decoder:
    assert decoder.decode(sys.argv[2:]).indices == [0]
    lowest = os.open("/", os.O_RDONLY)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    decoded = decoder.decode(sys.argv[2:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert decoder.decode(sys.argv[2:]).indices == [0]
((_, error),) = decoded.failures
print(error.status, error)
"""


@pytest.mark.parametrize("decoder", ["pillow", *LIBRARIES])
def test_a_program_without_descriptors_gives_no_verdicts(face, decoder):
    command = [sys.executable, "-c", NO_DESCRIPTORS, decoder, face]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.stdout == "failed Too many open files\n", ran.stderr


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_disk_that_fails_before_a_cards_decoder_is_no_verdict(face, monkeypatch, library):
    with open_decoder(library, SIDE, 1) as decoder:
        with monkeypatch.context() as patch:
            failing(patch, "read", errno.EIO)
            ((_, error),) = decoder.decode([face]).failures
        assert error.status is Status.FAILED
        assert decoder.decode([face]).indices == [0]


def short_of_memory(path, left):
    """The status that a file gets where so many bytes of memory are left."""
    program = f"""
import resource, sys
from fer_fast.decode.codecs import decode_file
from fer_fast.decode.views import Square
from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.limits import limits_of
from fer_fast.types import DecodeError
prepare_codecs()
limits = limits_of(1)
with open("/proc/self/statm") as pages:
    used = int(pages.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {left},) * 2)
try:
    decode_file(sys.argv[1], Square(24), limits)
except DecodeError as error:
    print(error.status.value)
"""
    ran = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize(
    ("kind", "options"), [("jpeg", {"progressive": True}), ("webp", {}), ("webp", {"lossless": True}), ("avif", {})]
)
def test_a_codec_that_calls_a_file_broken_for_want_of_memory_is_not_believed(tmp_path, kind, options):
    if kind == "avif" and "avif" in lacking_codecs():
        pytest.skip("this Pillow lacks AVIF")
    path = str(tmp_path / "large")
    Image.new("RGB", (3000, 3000), (9, 99, 199)).save(path, kind, **options)
    assert short_of_memory(path, 12 << 20) == "failed"


@pytest.mark.parametrize(
    "error",
    [
        ImportError("numpy"),
        RuntimeError("Pixel allocation failed: Out of memory"),
        ValueError("allocation failed"),
        UserWarning("Truncated File Read"),
        Image.DecompressionBombWarning("large"),
    ],
)
def test_what_is_no_word_on_the_file_is_no_verdict(face, monkeypatch, error):
    def raising(*_):
        raise error

    monkeypatch.setattr(views, "square", raising)
    assert fault_of(face).status is Status.FAILED

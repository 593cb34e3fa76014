"""AVIF and HEIC files come in; pixels, or what to install, must go out."""

import struct
import sys

import numpy as np
import pytest
from decoding import LIBRARIES
from heif_files import KINDS, saved
from image_files import face, oriented
from PIL import Image, ImageOps, features

from fer_fast.decode import open_decoder, pixels_of
from fer_fast.decode.codecs import decode_file
from fer_fast.decode.formats import boxes, opening
from fer_fast.decode.formats.kinds import format_of
from fer_fast.decode.limits import limits_of
from fer_fast.decode.pixels import spread
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

SIDE = 24


def decoded(path, **options):
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    spread(decode_file(str(path), Square(SIDE), **options)[0], out)
    return out


def status_of(path, **options):
    with pytest.raises(DecodeError) as caught:
        decoded(path, **options)
    return caught.value.status


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_is_upright_and_turned_once(tmp_path, kind, orientation):
    path, photo = tmp_path / "face.jpg", face(128, 96)
    exif = oriented(orientation).tobytes()
    path.write_bytes(saved(photo.copy(), kind, exif=exif))
    photo.info["exif"] = exif
    upright = ImageOps.exif_transpose(photo).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    assert np.abs(decoded(path) - np.asarray(upright).astype(int)).mean() < 4
    with open_decoder("pillow", SIDE, 1) as decoder:
        assert np.array_equal(decoder.decode([str(path)]).pixels[0], decoded(path))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_an_orientation_that_the_picture_itself_does_not_have_is_not_obeyed(tmp_path, kind):
    """In HEIF the picture's own properties turn it; EXIF may still say how the camera was held (ISO 23008-12)."""
    path, photo = tmp_path / "face.heic", face(128, 96)
    content = saved(photo.copy(), kind, exif=oriented(1).tobytes())
    entry = struct.pack(">HHLH", 0x0112, 3, 1, 1)
    assert content.count(entry) == 1
    path.write_bytes(content.replace(entry, entry[:-1] + b"\6"))
    assert np.abs(decoded(path).astype(int) - pixels_of(photo, SIDE)).mean() < 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_grey_and_alpha(tmp_path, kind, mode):
    path, photo = tmp_path / "face", face(64, 48).convert(mode)
    path.write_bytes(saved(photo, kind))
    assert np.abs(decoded(path).astype(int) - pixels_of(photo, SIDE)).mean() < 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_of_several_pictures_counts(tmp_path, kind):
    first, second = Image.new("RGB", (64, 64), (230, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 230))
    path = tmp_path / "several"
    path.write_bytes(saved(first, kind, append_images=[second]))
    assert decoded(path)[..., 0].min() > 200


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_of_pixels_is_checked_before_decoding(tmp_path, kind, monkeypatch):
    path = tmp_path / "face"
    path.write_bytes(saved(face(64, 48), kind))
    assert decoded(path, limits=limits_of(1, 64 * 48)).any()
    monkeypatch.setattr(boxes._BoxedPicture, "load", lambda *_: pytest.fail("decoded"))
    assert status_of(path, limits=limits_of(1, 64 * 48 - 1)) is Status.TOO_LARGE


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_is_corrupt(tmp_path, kind):
    content, path = saved(face(64, 48), kind), tmp_path / "cut"
    for length in sorted({*range(1, 32), *range(32, len(content) - 8, len(content) // 40)}):
        path.write_bytes(content[:length])
        assert status_of(path) is Status.CORRUPT, length


@pytest.mark.parametrize("kind", KINDS)
def test_noise_in_a_file_never_escapes_as_another_exception(tmp_path, kind):
    random, path, content = np.random.default_rng(2), tmp_path / "noise", saved(face(64, 48), kind)
    statuses = set()
    for _ in range(60):
        noisy = bytearray(content)
        for place in random.integers(len(content), size=8):
            noisy[place] = random.integers(256)
        path.write_bytes(noisy)
        try:
            decoded(path, limits=limits_of(1, 1 << 22))
        except DecodeError as error:
            statuses.add(error.status)
    assert Status.CORRUPT in statuses
    assert statuses <= {Status.CORRUPT, Status.UNSUPPORTED, Status.TOO_LARGE}


def brands(major, *others):
    body = b"ftyp" + major + bytes(4) + b"".join(others)
    return struct.pack(">I", len(body) + 4) + body + bytes(40)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (brands(b"avif", b"mif1", b"miaf"), "avif"),
        (brands(b"avis", b"msf1", b"hevc"), "avif"),
        (brands(b"mif1", b"mif1", b"avif", b"miaf"), "avif"),
        (brands(b"heic", b"mif1", b"heic"), "heif"),
        (brands(b"mif1", b"mif1", b"heic"), "heif"),
        (brands(b"msf1", b"hevc"), "heif"),
        (brands(b"hevx"), "heif"),
        (brands(b"mif1"), "heif"),
        (brands(b"abcd", b"mif1", b"avif"), "avif"),
    ],
)
def test_brands_tell_the_format(head, kind):
    assert format_of(head, len(head)) == kind


@pytest.mark.parametrize("head", [brands(b"isom", b"mp41"), brands(b"qt  "), b"\0\0\0\x18free" + bytes(40)])
def test_a_film_is_unsupported(head):
    with pytest.raises(DecodeError) as caught:
        format_of(head, len(head))
    assert caught.value.status is Status.UNSUPPORTED


@pytest.fixture
def bare(monkeypatch):
    """A Pillow without AVIF, and no pillow-heif."""
    monkeypatch.setattr(features, "check", lambda _: False)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    opening._can_read.cache_clear()
    yield
    opening._can_read.cache_clear()


@pytest.mark.filterwarnings("error")
def test_a_pillow_that_does_not_know_avif_says_nothing(monkeypatch):
    monkeypatch.delitem(features.modules, "avif", raising=False)
    opening._can_read.cache_clear()
    try:
        assert not opening._can_read("avif")
    finally:
        opening._can_read.cache_clear()


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (brands(b"avif"), "pip install --upgrade pillow"),
        (brands(b"heic"), r"pip install 'fer-fast\[heif\]'"),
        (b"RIFF\0\0\0\0WEBP" + bytes(40), "pip install --upgrade pillow"),
    ],
)
@pytest.mark.usefixtures("bare")
def test_what_cannot_be_read_here_says_what_to_install(tmp_path, content, hint):
    path = tmp_path / "face"
    path.write_bytes(content)
    with open_decoder("pillow", SIDE, 1) as decoder:
        ((_, error),) = decoder.decode([str(path)]).failures
    assert error.status is Status.UNSUPPORTED
    with pytest.raises(DecodeError, match=hint):
        raise error


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cards_decoder_leaves_them_to_pillow(tmp_path, kind, library):
    path = tmp_path / "face.heic"
    path.write_bytes(saved(face(64, 48), kind, exif=oriented(6).tobytes()))
    with open_decoder(library, SIDE, 1) as decoder:
        assert np.array_equal(decoder.decode([str(path)]).pixels[0], decoded(path))

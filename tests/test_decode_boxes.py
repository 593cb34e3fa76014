"""The boxes of AVIF and HEIC files come in; what they say of the picture, and where it lies, must go out."""

import io

import numpy as np
import pytest
from counting import Counting
from decoding_peak import peak_and_estimate
from heif_files import KINDS, box, found, grid, saved
from image_files import face, oriented
from PIL import Image, ImageOps

from fer_fast.decode import pixels_of
from fer_fast.decode.codecs import decode_content, decode_file
from fer_fast.decode.formats import opening
from fer_fast.decode.formats.items import layout_of
from fer_fast.decode.pixels import spread
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

SIDE = 24


def decoded(path, **options):
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    spread(decode_file(str(path), Square(SIDE), **options)[0], out)
    return out


def opened(content, kind):
    return opening.open_picture(kind, content, len(content.getvalue()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_opening_reads_the_boxes_alone(kind, orientation):
    content = Counting(saved(face(320, 200), kind, exif=oriented(orientation).tobytes()))
    picture = opened(content, kind)
    assert content.count < 1200 < len(content.getvalue()) // 8
    assert picture.size == (200, 320)
    assert picture.orientation == (orientation if kind == "avif" else 1)  # libheif turns by itself


@pytest.mark.parametrize("kind", KINDS)
def test_an_animation_is_opened_by_its_boxes_too(kind):
    content = Counting(saved(face(320, 200), kind, append_images=[face(320, 200, 2)]))
    assert opened(content, kind).size == (200, 320)
    assert content.count < 2000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [{}, {"method": 0}, {"id_length": 4}, {"large": True}], ids=str)
def test_a_grid_is_opened_by_its_boxes(kind, more):
    """As telephones write them."""
    left, right = face(64, 64, 1), face(64, 64, 2)
    content = grid([saved(each, kind) for each in (left, right)], (128, 64), **more)
    whole = Image.new("RGB", (128, 64))
    whole.paste(left, (0, 0))
    whole.paste(right, (64, 0))
    picture = opened(Counting(content), kind)
    assert (picture.size, picture.orientation) == ((128, 64), 1)
    assert np.abs(np.asarray(picture.load((SIDE, SIDE)).convert("RGB")).astype(int) - np.asarray(whole)).mean() < 20
    layout = layout_of(io.BytesIO(content), len(content))
    bodies = b"".join(content[start:end] for coded in layout.coded for start, end in coded.pieces)
    assert bodies == content[-len(bodies) :]
    assert len(layout.coded) == 2
    holed = content[:-900] + bytes(600) + content[-300:]  # in the second tile
    with pytest.raises(DecodeError, match="never written"):
        opened(Counting(holed), kind).load((SIDE, SIDE))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_properties_turn_a_picture(tmp_path, kind, turns, axis):
    properties = [box(b"irot", bytes([turns]))] + ([box(b"imir", bytes([axis]))] if axis is not None else [])
    photo = face(64, 64)
    path = tmp_path / "face"
    path.write_bytes(grid([saved(photo, kind)] * 2, (128, 64), properties))
    upright = Image.new("RGB", (128, 64))
    upright.paste(photo, (0, 0))
    upright.paste(photo, (64, 0))
    upright = upright.rotate(90 * turns, expand=True)
    if axis is not None:
        upright = (ImageOps.mirror if axis else ImageOps.flip)(upright)
    assert np.abs(decoded(path).astype(int) - pixels_of(upright, SIDE)).mean() < 4


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_behind_a_picture_is_not_read(tmp_path, kind):
    content, path = saved(face(64, 48), kind), tmp_path / "face"
    path.write_bytes(content)
    whole = decoded(path)
    with path.open("r+b") as file:
        file.truncate(3 << 30)
    with path.open("rb") as file:
        assert opening.open_picture(kind, file, 3 << 30).memory < 1 << 20
    assert np.array_equal(decoded(path), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lost", [b"iloc", b"iinf", b"pitm", b"iprp", b"ipma", b"meta"])
def test_boxes_that_say_too_little_are_left_to_the_codec(kind, lost):
    content = saved(face(64, 48), kind).replace(lost, b"free")
    assert layout_of(io.BytesIO(content), len(content)) is None
    with pytest.raises(DecodeError) as caught:
        decode_content(content, Square(SIDE))
    assert caught.value.status is Status.CORRUPT


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_codec_may_do_without_what_is_asked_here(kind):
    content = saved(face(64, 48), kind)
    less = content.replace(b"ispe", b"free")
    assert layout_of(io.BytesIO(less), len(less)) is None
    assert decode_content(less, Square(SIDE)) == decode_content(content, Square(SIDE))


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_of_any_bytes_are_a_layout_or_none(kind):
    random = np.random.default_rng(7)
    files = [
        saved(face(64, 48), kind, append_images=[face(64, 48, 2)]),
        grid([saved(face(64, 64), kind)] * 2, (128, 64)),
    ]
    for content in files:
        end = content.index(b"mdat")
        for _ in range(2000):
            noisy = bytearray(content)
            for place in random.integers(12, end, size=4):
                noisy[place] = random.choice([0, 1, 2, 255, random.integers(256)])
            layout = layout_of(io.BytesIO(noisy), len(noisy))
            assert layout is None or layout.coded


@pytest.mark.parametrize("kind", KINDS)
def test_another_codec_is_unsupported_and_named(kind):
    content = saved(face(64, 48), kind)
    other = content.replace(
        found(content, b"infe"), found(content, b"infe").replace(b"av01", b"j2k1").replace(b"hvc1", b"j2k1")
    )
    with pytest.raises(DecodeError, match="j2k1") as caught:
        decode_content(other, Square(SIDE))
    assert caught.value.status is Status.UNSUPPORTED


def smooth(side, channels):
    few = np.random.default_rng(1).integers(0, 256, (side // 32, side // 32, channels), dtype=np.uint8)
    return Image.fromarray(few).resize((side, side), Image.Resampling.BICUBIC)


SHAPES = {
    "grey": ({"avif": {"subsampling": "4:0:0"}, "heif": {"mode": "L"}}, 3),
    "half colour": ({"avif": {"subsampling": "4:2:0"}, "heif": {"chroma": 420}}, 3),
    "full colour": ({"avif": {"subsampling": "4:4:4"}, "heif": {"chroma": 444}}, 3),
    "alpha": ({"avif": {}, "heif": {}}, 4),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [1536, 2560])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_memory_that_decoding_takes_is_known_before(tmp_path, kind, shape, side):
    small, large = tmp_path / "small", tmp_path / "large"
    options, channels = SHAPES[shape]
    options = dict(options[kind])
    mode = options.pop("mode", None)
    for path, each in ((small, 64), (large, side)):
        image = smooth(each, channels)
        speed = {"speed": 10} if kind == "avif" else {}
        path.write_bytes(saved(image.convert(mode) if mode else image, kind, quality=60, **speed, **options))
    peak, estimate = peak_and_estimate(small, large)
    assert peak <= estimate <= 2 * peak


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("chroma", [420, 444])
def test_deep_pixels_take_more_memory(tmp_path, kind, chroma):
    import pillow_heif

    paths = []
    for side in (64, 1024):
        deep = np.asarray(smooth(side, 3)).astype(np.uint16) << 8
        paths.append(tmp_path / str(side))
        pillow_heif.from_bytes("RGB;16", (side, side), deep.tobytes()).save(paths[-1], quality=60, chroma=chroma)
    peak, estimate = peak_and_estimate(*paths)
    assert peak <= estimate <= 2 * peak

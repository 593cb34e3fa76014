"""nvImageCodec: image by image it decodes or refuses, as Pillow shows them; here on the CPU."""

import io

import numpy as np
import pytest
from decoding import run, written
from image_files import encoded, face, without_codes
from jpeg_streams import OPTIONS, PHOTO
from jpeg_streams import written as jpeg
from PIL import Image
from png_files import KINDS, drawn, png

from fer_fast.decode import open_decoder
from fer_fast.decode.library import Encoded, check_library
from fer_fast.types import FerFastError, Status

pytestmark = [pytest.mark.needs_nvimagecodec, pytest.mark.needs_torch]

SIDE = 24
JPEG = encoded("jpeg")
REFUSED = without_codes()


@pytest.fixture
def codec():
    from fer_fast.decode.nvimagecodec import NvImageCodec

    return NvImageCodec


def squares(images):
    """What Pillow makes of images."""
    return np.stack([np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in images])


def test_an_image_that_it_refuses_costs_no_other_a_second_decode(tmp_path, codec, monkeypatch):
    sizes, real = [], codec.run
    paths = written(tmp_path, [JPEG, REFUSED, encoded("png"), REFUSED, encoded("jpeg-grey")])
    with open_decoder("nvimagecodec", SIDE, 1) as decoder, open_decoder("pillow", SIDE, 1) as pillow:
        monkeypatch.setattr(codec, "run", lambda self, *given: sizes.append(len(given[0])) or real(self, *given))
        decoded, theirs = decoder.decode(paths), pillow.decode(paths)
    assert sizes == [5]
    assert decoded.indices == theirs.indices == [0, 2, 4]
    assert [(place, error.status) for place, error in decoded.failures] == [(1, Status.CORRUPT), (3, Status.CORRUPT)]
    assert np.abs(decoded.pixels.astype(int) - theirs.pixels).max() <= 1


def test_it_tells_standard_error_nothing_of_its_own(tmp_path):
    program = """
    import sys
    from fer_fast.decode import open_decoder
    with open_decoder("nvimagecodec", 24, 2) as decoder:
        print(len(decoder.decode(sys.argv[1:]).failures))
    """
    ran = run(program, *written(tmp_path, [REFUSED, JPEG]))
    assert ran.stdout == "1\n", ran.stderr
    assert "nvimgcodec" not in ran.stderr


def test_what_it_refuses_without_a_reason_is_pillows_and_told(tmp_path, codec, monkeypatch, caplog):
    empty = np.empty((0, SIDE, SIDE, 3), np.uint8)
    with open_decoder("nvimagecodec", SIDE, 1) as decoder:
        monkeypatch.setattr(codec, "run", lambda *_: (empty, []))
        assert decoder.decode(written(tmp_path, [JPEG] * 2)).indices == [0, 1]
    assert "nvImageCodec decodes none of 2 images that Pillow decodes: it says no reason" in caplog.text
    with pytest.raises(FerFastError, match="nvImageCodec does not decode on cpu: it refuses a JPEG"):
        check_library(codec, SIDE, None, "cpu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interlace", [0, 1])
def test_every_kind_of_samples_looks_as_by_pillow(tmp_path, kind, interlace):
    bits, colours = kind
    samples, palette, _ = drawn(bits, colours, 40)
    paths = written(tmp_path, [png(samples, bits, colours, interlace, before=palette)])
    with open_decoder("nvimagecodec", SIDE, 1) as decoder, open_decoder("pillow", SIDE, 1) as pillow:
        ours, theirs = decoder.decode(paths), pillow.decode(paths)
    assert not ours.failures
    assert np.abs(ours.pixels.astype(int) - theirs.pixels).max() <= 1


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_coding_and_sampling_of_a_jpeg_looks_as_by_pillow(codec, options):
    content = jpeg(PHOTO, **options)
    pixels, places = codec(SIDE, None, 1).run([Encoded(np.frombuffer(content, np.uint8))], 1)
    with Image.open(io.BytesIO(content)) as image:
        exact = squares([image.convert("RGB")])
    assert places == [0]
    assert np.abs(pixels.astype(int) - exact).max() <= 1


def test_a_batch_of_many_sizes_keeps_its_order(codec, monkeypatch):
    from fer_fast.decode import squashed

    sizes = [(48, 48), (96, 32), (48, 48), (1, 1), (24, 24), (48, 48), (32, 96)]
    images = [face(96, 96, seed).resize(size, Image.Resampling.BICUBIC) for seed, size in enumerate(sizes)]
    contents = []
    for image in images:
        content = io.BytesIO()
        image.save(content, "PNG")
        contents.append(Encoded(np.frombuffer(content.getvalue(), np.uint8)))
    whole, places = codec(SIDE, None, 1).run(contents, len(contents))
    assert places == [*range(len(sizes))]
    difference = np.abs(whole.astype(int) - squares(images))
    assert difference.max() <= 1 and difference.mean() < 0.1, "rounded, in both passes, as Pillow rounds"
    monkeypatch.setattr(squashed, "_AT_ONCE", 2 * 12 * 48 * 48)  # two of the three that are alike, then the third
    stacked, resized = [], squashed._resized
    monkeypatch.setattr(
        squashed, "_resized", lambda some, side: stacked.append(tuple(some.shape)) or resized(some, side)
    )
    parts, _ = codec(SIDE, None, 1).run(contents, len(contents))
    assert np.array_equal(parts, whole)
    assert [shape for shape in stacked if shape[1:3] == (48, 48)] == [(2, 48, 48, 3), (1, 48, 48, 3)]

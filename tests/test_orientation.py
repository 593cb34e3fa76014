"""Files that say how their picture is to be turned come in, in every way to say it; upright pixels must go out."""

import importlib.util
import io
import struct

import numpy as np
import pytest
from decoding import LIBRARIES
from exif_blocks import BYTE, LONG, LONG8, RATIONAL, SBYTE, SHORT, block, tag
from PIL import Image, ImageOps
from turned_files import BLOCKS, FILES, MAKE, PREFIX, STORED, UPRIGHT, XMP_FILES, in_tiff, saved, seen, xmp

from fer_fast.decode import open_decoder, pixels_of
from fer_fast.decode.codecs import decode_content
from fer_fast.decode.formats.exif import orientation_left, orientation_of
from fer_fast.decode.pixels import spread
from fer_fast.decode.views import Square

SIDE = 16


def decoded(content):
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    spread(decode_content(content, Square(SIDE)), out)
    return out


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_obeyed_in_every_file(name, orientation):
    content = FILES[name](block(tag(SHORT, orientation)))
    assert seen(decoded(content)) == UPRIGHT[orientation]
    with Image.open(io.BytesIO(content)) as image:
        assert seen(pixels_of(image, SIDE)) == UPRIGHT[orientation], "not loaded"
        image.load()
        assert seen(pixels_of(image, SIDE)) == UPRIGHT[orientation], "loaded"
        if "segment" not in name:  # Pillow does not read that
            assert seen(np.asarray(ImageOps.exif_transpose(image))) == UPRIGHT[orientation], "as Pillow"


# Pillow warns of damage.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_says_what_it_says_to_pillow(name):
    exif, orientation = BLOCKS[name]
    for file in ("jpeg", "png", "webp"):
        content = FILES[file](exif)
        assert seen(decoded(content)) == UPRIGHT[orientation], file
        if name == "byte":  # which Pillow takes for text
            continue
        with Image.open(io.BytesIO(content)) as image:
            try:
                upright = ImageOps.exif_transpose(image)
            except (SyntaxError, struct.error):  # no header of a block
                assert orientation == 1
            else:
                assert seen(np.asarray(upright)) == UPRIGHT[orientation], "not as Pillow"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_block_that_is_cut_anywhere_counts_as_by_pillow(order):
    whole = PREFIX + block(MAKE, tag(LONG8, 9, number=0x0100), tag(SHORT, 6), tag(RATIONAL, (3, 1)), order=order)
    obeyed = 0
    for length in range(len(PREFIX), len(whole)):
        image = Image.new("RGB", (2, 3))
        image.info["exif"] = whole[:length]
        try:
            turned = ImageOps.exif_transpose(image).size == (3, 2)
        except (SyntaxError, struct.error):
            turned = False
        assert orientation_left(image) == orientation_of(whole[:length]) == (6 if turned else 1), length
        obeyed += turned
    assert obeyed


@pytest.mark.parametrize(("kind", "orientation"), [(SHORT, 6), (LONG, 6), (SBYTE, 6), (BYTE, 6)])
def test_tiffs_own_tag_is_obeyed_once(kind, orientation):
    content = in_tiff(block(tag(kind, 6), order=">"))
    assert seen(decoded(content)) == UPRIGHT[orientation]
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert seen(pixels_of(image, SIDE)) == UPRIGHT[1 if kind == BYTE else orientation], "as Pillow loads it"


@pytest.mark.parametrize("name", XMP_FILES)
def test_xmp_counts_where_exif_has_no_orientation(name):
    cases = [
        (block(MAKE), xmp(8), 8),
        (block(MAKE), b"<tiff:Orientation>8</tiff:Orientation>", 8),
        (block(tag(SHORT, 6)), xmp(8), 6),
        (block(tag(SHORT, 0)), xmp(8), 1),
        (block(MAKE), xmp(9), 1),
        (block(MAKE), b"tiff:Orientation='8'", 1),
    ]
    for exif, given, orientation in cases:
        content = XMP_FILES[name](PREFIX + exif if name in ("jpeg", "webp") else exif, given)
        assert seen(decoded(content)) == UPRIGHT[orientation]
        with Image.open(io.BytesIO(content)) as image:
            assert seen(np.asarray(ImageOps.exif_transpose(image))) == UPRIGHT[orientation], "not as Pillow"
            assert seen(pixels_of(image, SIDE)) == UPRIGHT[orientation], "loaded"


def test_a_tiff_with_xmp_is_turned_once():
    content = saved("TIFF", tiffinfo={700: xmp(6)})
    assert seen(decoded(content)) == UPRIGHT[6]
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert seen(pixels_of(image, SIDE)) == UPRIGHT[6]


@pytest.mark.skipif(not importlib.util.find_spec("pillow_heif"), reason="pillow-heif is missing")
def test_a_heic_is_turned_by_its_own_turn_alone():
    import pillow_heif

    def heic(exif):
        stream = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(STORED)).save(stream, quality=95, exif=exif)
        return stream.getvalue()

    short, long = (PREFIX + block(tag(kind, 6), order=">") for kind in (SHORT, LONG))
    turned, unturned = heic(short), heic(long)  # what is no short goes past the encoder
    assert b"irot" in turned and short in turned
    assert b"irot" not in unturned and long in unturned
    assert seen(decoded(turned)) == UPRIGHT[6]
    assert seen(decoded(turned.replace(short, long))) == UPRIGHT[6]
    assert seen(decoded(unturned)) == UPRIGHT[1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_cards_decoder_turns_as_pillow(tmp_path, library):
    names = [name for name in FILES if name.startswith(("jpeg", "png"))]
    cases = [(FILES[name](block(tag(LONG, each))), each) for name in names for each in range(1, 9)]
    cases += [(FILES[name](exif), each) for name in ("jpeg", "png") for exif, each in BLOCKS.values()]
    paths = [tmp_path / f"{number:03}" for number in range(len(cases))]
    for path, (content, _) in zip(paths, cases, strict=True):
        path.write_bytes(content)
    with open_decoder(library, SIDE, 1) as decoder:
        pixels = decoder.decode([str(path) for path in paths]).on_host()
    assert [seen(each) for each in pixels] == [UPRIGHT[orientation] for _, orientation in cases]

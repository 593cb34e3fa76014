"""TIFFs of every kind come in, written number by number; the pixels that they hold or the right status must go out."""

import io
import struct

import numpy as np
import pytest
import tiff_files
from image_files import face
from PIL import Image, ImageCms
from tiff_files import CMYK, DEFLATE, LAB, LZMA, NEGATIVE, NONE, PACKBITS, PALETTE, RGB, YCBCR, tiff

from fer_fast.decode import open_decoder
from fer_fast.decode.codecs import decode_content
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

COLOURS = np.asarray(face(40, 40).crop((0, 0, 37, 40)))  # an odd number of columns
SHADES = COLOURS[..., 0]
WHITE = (SHADES >> 7) * np.uint8(255)
ALPHA = np.maximum(SHADES[::-1], 128)
INKS = np.dstack([255 - COLOURS, 0 * SHADES])
YCC = np.asarray(Image.fromarray(COLOURS).convert("YCbCr"))
SIDE = 24


def wide(samples):
    return samples * np.uint16(257)


def premultiplied(samples):
    colours = (samples * (ALPHA[..., None] / 255)).round().astype(np.uint8)
    return np.dstack([colours, ALPHA])


def shown(samples):
    image = Image.fromarray(samples).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(image if samples.ndim == 3 else image.convert("L"), int)


def decoded(content):
    pixels = np.frombuffer(decode_content(content, Square(SIDE)), np.uint8).astype(int)
    return pixels.reshape(SIDE, SIDE) if pixels.size == SIDE * SIDE else pixels.reshape(SIDE, SIDE, 3)


def furthest(content, samples):
    """How far the pixels are from those of some samples in 8 bits, at most."""
    return np.abs(decoded(content) - shown(samples)).max()


def fault(content):
    with pytest.raises(DecodeError) as caught:
        decoded(content)
    return caught.value


#: Samples, how they are kept, and the picture that they are.
KINDS = {
    "grey": (SHADES, {}, SHADES),
    "negative": (255 - SHADES, {"photometric": NEGATIVE}, SHADES),
    "grey 1": (SHADES >> 7, {"bits": 1}, (SHADES >> 7) * 255),
    "negative 1": (1 - (SHADES >> 7), {"bits": 1, "photometric": NEGATIVE}, (SHADES >> 7) * 255),
    "grey 2": (SHADES >> 6, {"bits": 2}, (SHADES >> 6) * 85),
    "negative 2": (3 - (SHADES >> 6), {"bits": 2, "photometric": NEGATIVE}, (SHADES >> 6) * 85),
    "grey 4": (SHADES >> 4, {"bits": 4}, (SHADES >> 4) * 17),
    "negative 4": (15 - (SHADES >> 4), {"bits": 4, "photometric": NEGATIVE}, (SHADES >> 4) * 17),
    "grey, said to be signed": (SHADES.view(np.int8), {}, SHADES),
    "two shades, said to be signed": (WHITE.view(np.int8), {}, WHITE),
    "grey, signed": ((SHADES - 128).view(np.int8), {}, SHADES),
    "grey 12": (wide(SHADES) >> 4, {"bits": 12}, SHADES),
    "negative 12": (4095 - (wide(SHADES) >> 4), {"bits": 12, "photometric": NEGATIVE}, SHADES),
    "grey 16": (wide(SHADES), {}, SHADES),
    "negative 16": (65535 - wide(SHADES), {"photometric": NEGATIVE}, SHADES),
    "half float": ((SHADES / 255).astype(np.float16), {}, SHADES),
    "float": ((SHADES / 255).astype(np.float32), {}, SHADES),
    "negative float": ((1 - SHADES / 255).astype(np.float32), {"photometric": NEGATIVE}, SHADES),
    "double": ((SHADES / 255).astype(np.float64), {}, SHADES),
    "grey and alpha": (np.dstack([SHADES, ALPHA]), {"extra": (2,)}, SHADES),
    "grey and more": (np.dstack([SHADES, ALPHA]), {"extra": (0,)}, SHADES),
    "grey 16 and alpha": (wide(np.dstack([SHADES, ALPHA])), {"extra": (2,)}, SHADES),
    "rgb": (COLOURS, {"photometric": RGB}, COLOURS),
    "rgb 16": (wide(COLOURS), {"photometric": RGB}, COLOURS),
    "rgb and no word": (np.dstack([COLOURS, ALPHA]), {"photometric": RGB}, COLOURS),
    "rgb and alpha": (np.dstack([COLOURS, ALPHA]), {"photometric": RGB, "extra": (2,)}, COLOURS),
    "rgb and two more": (np.dstack([COLOURS, ALPHA, SHADES]), {"photometric": RGB, "extra": (0, 0)}, COLOURS),
    "rgb 16 and more": (wide(np.dstack([COLOURS, ALPHA])), {"photometric": RGB, "extra": (0,)}, COLOURS),
    "rgb 16 and alpha": (wide(np.dstack([COLOURS, ALPHA])), {"photometric": RGB, "extra": (2,)}, COLOURS),
    "cmyk": (INKS, {"photometric": CMYK}, COLOURS),
    "cmyk 16": (wide(INKS), {"photometric": CMYK}, COLOURS),
    "cmyk and more": (np.dstack([INKS, ALPHA]), {"photometric": CMYK, "extra": (0,)}, COLOURS),
}
#: Those that go through 8 bits twice.
ROUNDED = {
    "grey, its alpha in it": (premultiplied(SHADES[..., None]), {"extra": (1,)}, SHADES),
    "rgb, its alpha in it": (premultiplied(COLOURS), {"photometric": RGB, "extra": (1,)}, COLOURS),
    "rgb 16, its alpha in it": (wide(premultiplied(COLOURS)), {"photometric": RGB, "extra": (1,)}, COLOURS),
    "ycbcr": (YCC, {"photometric": YCBCR, "tags": [(530, "H", [1, 1])]}, COLOURS),
}
ORDERS = [{"order": order, "big": big} for order in "<>" for big in (False, True)]


@pytest.mark.parametrize("kind", [*KINDS, *ROUNDED])
@pytest.mark.parametrize("order", ORDERS, ids=["little", "little-big", "big", "big-big"])
def test_every_kind_shows_what_it_holds_in_every_byte_order(kind, order):
    samples, options, wanted = (KINDS | ROUNDED)[kind]
    assert furthest(tiff(samples, **options, **order), wanted) <= (1 if kind in KINDS else 4)


@pytest.mark.parametrize("kind", [*KINDS, *ROUNDED])
@pytest.mark.parametrize("compression", [NONE, DEFLATE, PACKBITS, LZMA])
@pytest.mark.parametrize("cut", [{"rows": 8}, {"tile": (16, 16)}], ids=["strips", "tiles"])
def test_every_kind_shows_what_it_holds_however_it_is_kept(kind, compression, cut):
    samples, options, wanted = (KINDS | ROUNDED)[kind]
    for fill_order in (1, 2) if kind != "ycbcr" else (1,):
        content = tiff(samples, **options, compression=compression, fill_order=fill_order, **cut)
        assert furthest(content, wanted) <= (1 if kind in KINDS else 4)


PLANES = [kind for kind, (samples, _, _) in (KINDS | ROUNDED).items() if samples.ndim == 3]


@pytest.mark.parametrize("kind", [kind for kind in PLANES if kind != "grey, its alpha in it"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("cut", [{}, {"rows": 8}, {"tile": (16, 16)}], ids=["one strip", "strips", "tiles"])
def test_every_kind_shows_what_it_holds_in_planes(kind, order, cut):
    samples, options, wanted = (KINDS | ROUNDED)[kind]
    for compression in (NONE, DEFLATE):
        content = tiff(samples, **options, planar=True, order=order, compression=compression, **cut)
        assert furthest(content, wanted) <= (1 if kind in KINDS else 4)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize(
    ("kind", "predictor"),
    [
        *((kind, 2) for kind in ("grey", "grey 16", "rgb", "rgb 16", "rgb 16 and alpha", "cmyk")),
        *((kind, 3) for kind in ("half float", "float", "double")),
    ],
)
def test_predictors_are_undone(kind, predictor, order, tile):
    samples, options, wanted = KINDS[kind]
    for planar in (False, samples.ndim == 3):
        content = tiff(
            samples, **options, predictor=predictor, compression=DEFLATE, order=order, tile=tile, planar=planar
        )
        assert furthest(content, wanted) <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("scale", [257, 256, 1], ids=["16 bits", "high bytes", "8 bits"])
@pytest.mark.parametrize("compression", [NONE, DEFLATE])
def test_palettes_of_every_depth_have_their_colours(bits, scale, compression):
    colours = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3))
    palette = [(320, "H", (colours.T * scale).ravel().tolist())]
    indices = SHADES >> (8 - bits)
    wanted = colours[indices].astype(np.uint8)
    for fill_order in (1, 2):
        content = tiff(
            indices, PALETTE, bits=bits, compression=compression, fill_order=fill_order, tags=palette, rows=9
        )
        assert furthest(content, wanted) == 0


def test_palettes_with_more_samples():
    palette = [(320, "H", (np.arange(256) * 257).tolist() * 3)]
    for options in ({"extra": (0,)}, {"extra": (2,)}, {"extra": (2,), "planar": True}):
        content = tiff(np.dstack([SHADES, ALPHA]), PALETTE, **options, tags=palette)
        assert furthest(content, np.repeat(SHADES[..., None], 3, axis=2)) == 0


@pytest.mark.parametrize("colours", [[], [0, 1], (np.arange(16) * 257).tolist() * 3, [0] * 3000])
def test_a_palette_that_lacks_colours_is_corrupt(colours):
    tags = [(320, "H", colours)] if colours else []
    assert fault(tiff(SHADES, PALETTE, tags=tags)).status is Status.CORRUPT


def test_lab():
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(COLOURS), *profiles, outputMode="LAB")
    samples = np.frombuffer(image.tobytes(), np.uint8).reshape(COLOURS.shape)
    wanted = np.asarray(image.convert("RGB"))
    for compression in (NONE, DEFLATE):
        assert furthest(tiff(samples, LAB, compression=compression), wanted) == 0


@pytest.mark.parametrize("sampling", [(2, 2), (2, 1), (1, 2), (4, 1), None])
def test_ycbcr_of_fewer_colours_than_pixels(sampling):
    """Uncompressed: blocks of brightness, followed by their colour; 2 x 2 where nothing is said."""
    across, down = sampling or (2, 2)
    flat = np.full((40, 32, 3), (90, 180, 60), np.uint8)
    flat[20:] = (200, 40, 120)
    luma, *chroma = (int(each) for each in np.asarray(Image.fromarray(flat).convert("YCbCr"))[0, 0])
    lower, *lower_chroma = (int(each) for each in np.asarray(Image.fromarray(flat).convert("YCbCr"))[-1, 0])
    blocks = 20 // down * 32 // across
    upper_half = bytes([luma] * across * down + chroma) * blocks
    lower_half = bytes([lower] * across * down + lower_chroma) * blocks
    directory = [(256, "I", [32]), (257, "I", [40]), (258, "H", [8] * 3), (259, "H", [1]), (262, "H", [YCBCR])]
    directory += [(277, "H", [3]), (278, "I", [40]), *([(530, "H", sampling)] if sampling else [])]
    assert furthest(tiff_files.whole(directory, [upper_half + lower_half]), flat) <= 2


def saved(image, **options):
    content = io.BytesIO()
    image.save(content, "TIFF", **options)
    return content.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "YCbCr"])
def test_jpeg_in_a_tiff(mode):
    image = face(160, 128).convert(mode)
    content = saved(image, compression="jpeg", quality=95)
    wanted = np.asarray(image if mode == "L" else image.convert("RGB"))
    assert np.abs(decoded(content) - shown(wanted)).mean() < 2


def test_jpeg_in_a_tiff_the_old_way():
    stream = io.BytesIO()
    face(160, 128).save(stream, "JPEG", quality=95)
    stream = stream.getvalue()
    directory = [(256, "I", [128]), (257, "I", [160]), (259, "H", [6]), (262, "H", [YCBCR]), (277, "H", [3])]
    directory += [(258, "H", [8] * 3), (278, "I", [160]), (513, "I", [8]), (514, "I", [len(stream)])]
    content = tiff_files.whole([*directory, (530, "H", [2, 2])], [stream])
    assert np.abs(decoded(content) - shown(np.asarray(face(160, 128)))).mean() < 3


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4", "packbits", "tiff_lzw", "tiff_deflate"])
def test_black_and_white(compression):
    image = Image.fromarray((SHADES > 127) * np.uint8(255)).convert("1")
    assert furthest(saved(image, compression=compression), np.asarray(image.convert("L"))) == 0


@pytest.mark.parametrize("order", ORDERS, ids=["little", "little-big", "big", "big-big"])
def test_the_first_page_counts(order):
    assert furthest(tiff(COLOURS, RGB, pages=3, **order), COLOURS) == 0


@pytest.mark.parametrize("kind", "BHI")
def test_an_orientation_of_any_type_is_obeyed(kind):
    content = tiff(COLOURS, RGB, tags=[(274, kind, [6])], order=">")
    assert np.array_equal(decoded(content), np.rot90(shown(COLOURS), -1))


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_is_none_is_upright(value):
    assert furthest(tiff(COLOURS, RGB, tags=[(274, "H", [value])]), COLOURS) == 0


@pytest.mark.parametrize(("tag", "kind"), [(700, "B"), (274, "H"), (347, "B"), (270, "B"), (34665, "I")])
def test_a_tag_that_the_picture_can_do_without_may_be_beyond_the_file(tag, kind):
    content = tiff(COLOURS, RGB, tags=[(tag, kind, [1] * 20)])
    entry = content.rindex(struct.pack("<HHI", tag, tiff_files.TYPES[kind], 20))
    assert furthest(content[: entry + 8] + struct.pack("<I", 1 << 30) + content[entry + 12 :], COLOURS) == 0


def changed(content, tag, value, order="<"):
    """A TIFF with another value of a tag of one short number."""
    place = content.rindex(int(tag).to_bytes(2, "little") + b"\3\0")
    return content[: place + 8] + value.to_bytes(2, "little") + content[place + 10 :]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (tiff(wide(SHADES) >> 2, bits=14), "grey, 14-bit unsigned"),
        (tiff(COLOURS.astype(np.float32), RGB), "RGB, 32-bit float"),
        (tiff(COLOURS.astype(np.int8), RGB), "RGB, 8-bit signed"),
        (tiff(COLOURS >> 4, RGB, bits=4), "RGB, 4-bit unsigned"),
        (tiff(COLOURS, 9), r"ICC L\*a\*b\*"),
        (tiff(SHADES, 32803), "camera's colour filter"),
        (tiff(SHADES, 40000), "photometric 40000"),
        (tiff(wide(SHADES), PALETTE), "palette, 16-bit"),
        (tiff(np.dstack([SHADES] * 4)), "grey, 8-bit unsigned and 3 extra samples"),
        (tiff(INKS, CMYK, tags=[(332, "H", [2])]), "other inks"),
        (tiff(SHADES, tags=[(0xBC01, "H", [1])]), "JPEG XR"),
        *(
            (changed(tiff(SHADES), 259, number), f"{name} .{number}.")
            for number, name in ((34661, "JBIG"), (34887, "LERC"))
        ),
        (changed(tiff(SHADES), 259, 34712), "JPEG 2000"),
        (changed(tiff(SHADES), 259, 50123), "an unknown method .50123."),
    ],
)
def test_what_is_valid_and_cannot_be_read_says_what_it_is(content, words):
    with pytest.raises(DecodeError, match=words) as caught:
        decoded(content)
    assert caught.value.status is Status.UNSUPPORTED and not caught.value.again


def test_a_compression_that_libtiff_lacks_is_no_damage(monkeypatch):
    from fer_fast.decode.formats import tiff as subject

    monkeypatch.setattr(subject, "_has_codec", lambda name: name != "zstd")
    error = fault(saved(Image.fromarray(SHADES), compression="zstd"))
    assert error.status is Status.UNSUPPORTED and error.again


def test_what_a_codec_that_is_lacking_prints_is_not_seen(tmp_path, capfd):
    from fer_fast.decode.formats.tiff import _has_codec

    path = tmp_path / "x.tif"
    path.write_bytes(changed(tiff(SHADES), 259, 50001))
    _has_codec.cache_clear()
    with open_decoder("pillow", SIDE, workers=1) as decoder:
        ((_, error),) = decoder.decode([str(path)]).failures
    assert ": :" not in str(error)  # libtiff's line may begin with the name that a file lacks
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content",
    [
        *(changed(tiff(SHADES), tag, value) for tag, value in ((259, 77), (262, 77), (277, 0), (339, 9), (259, 0))),
        tiff(SHADES, RGB),
        tiff(SHADES)[:-40],
        tiff(SHADES)[:7],
        b"II*\0\x08\0\0\0\0\0\0\0\0\0" + bytes(20),
        b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10" + b"\xff" * 8 + bytes(40),
        tiff_files.whole([(256, "I", [1 << 31]), (257, "I", [1])], [b"x"]),
        tiff_files.whole([(256, "I", [1]), (257, "I", [1]), (259, "I", [0x8001CC9])], [b"x"]),
    ],
)
def test_numbers_that_no_tiff_has_are_damage(content):
    assert fault(content).status is Status.CORRUPT


def test_a_kind_of_picture_without_a_name_is_called_by_its_number():
    content = changed(changed(tiff(SHADES), 262, 77), 277, 0)
    assert str(fault(content)).startswith("a TIFF in photometric 77 of 0 samples")


@pytest.mark.parametrize("place", [0, 4, 10**6])
def test_strips_that_are_not_in_the_file_are_damage(place):
    content = tiff(SHADES)
    entry = content.rindex((273).to_bytes(2, "little") + b"\4\0")
    content = content[: entry + 8] + place.to_bytes(4, "little") + content[entry + 12 :]
    assert fault(content).status is Status.CORRUPT


def without_last(content, places):
    """A TIFF whose last strip or tile is nowhere."""
    with Image.open(io.BytesIO(content)) as image:
        last = struct.pack("<I", image.tag_v2[places][-1])
    assert content.count(last) == 1
    return content.replace(last, bytes(4))


@pytest.mark.parametrize("kind", ["grey and alpha", "rgb and alpha", "rgb 16 and alpha", "cmyk and more"])
@pytest.mark.parametrize(("cut", "places"), [({"rows": 8}, 273), ({"tile": (16, 16)}, 324)])
def test_a_plane_that_is_not_read_may_be_missing(kind, cut, places):
    samples, options, wanted = KINDS[kind]
    options = {**options, **cut, "compression": DEFLATE}
    assert furthest(without_last(tiff(samples, planar=True, **options), places), wanted) <= 1
    assert fault(without_last(tiff(samples, **options), places)).status is Status.CORRUPT
    needed = {key: value for key, value in options.items() if key != "extra"}
    colours = samples[..., : {"grey": 1, "rgb ": 3, "cmyk": 4}[kind[:4]]]
    assert fault(without_last(tiff(colours, planar=True, **needed), places)).status is Status.CORRUPT


@pytest.mark.parametrize("compression", [NONE, DEFLATE])
@pytest.mark.parametrize(("photometric", "samples"), [(RGB, COLOURS), (tiff_files.GREY, SHADES[..., None])])
def test_of_planes_those_of_colours_must_be_there(compression, photometric, samples):
    content = tiff(np.dstack([samples, ALPHA]), photometric, extra=(2,), planar=True, compression=compression)
    entry = content.rindex((273).to_bytes(2, "little") + b"\4\0")
    colours = samples.shape[2]
    first = int.from_bytes(content[entry + 8 : entry + 12], "little")

    def without(plane):
        place = first + 4 * plane
        return content[:place] + bytes(4) + content[place + 4 :]

    assert furthest(without(colours), samples.squeeze()) == 0
    for plane in range(colours):
        assert fault(without(plane)).status is Status.CORRUPT


def test_a_plane_of_grey_whose_alpha_is_in_it_is_as_on_black():
    samples = premultiplied(SHADES[..., None])
    assert furthest(tiff(samples, extra=(1,), planar=True), samples[..., 0]) == 0


def large(compression, **options):
    """A picture in several strips, none of which a copy has lost; a background that is all one shade."""
    colours = np.asarray(face(160, 128).resize((320, 400), Image.Resampling.BICUBIC)).copy()
    colours[:90] = 0
    return tiff_files.tiff(colours, RGB, compression=compression, rows=50, **options)


def strips(content):
    """Where the strips begin, and how long they are."""
    with Image.open(io.BytesIO(content)) as image:
        return [*zip(image.tag_v2[273], image.tag_v2[279], strict=True)]


COLOURFUL = face(160, 128).resize((320, 400), Image.Resampling.BICUBIC)
HELD = {
    "deflate": lambda: large(DEFLATE),
    "deflate, reversed": lambda: large(DEFLATE, fill_order=2),
    "packbits": lambda: large(PACKBITS),
    "lzma": lambda: large(LZMA),
    "lzw": lambda: saved(COLOURFUL, compression="tiff_lzw"),
    "zstd": lambda: saved(COLOURFUL, compression="zstd"),
    "jpeg": lambda: saved(COLOURFUL, compression="jpeg", quality=95),
    "grey jpeg": lambda: saved(COLOURFUL.convert("L"), compression="jpeg", quality=95),
    "group 4": lambda: saved(COLOURFUL.convert("1"), compression="group4"),
}


@pytest.mark.parametrize("kind", HELD)
def test_a_strip_that_was_not_written_whole_is_damage(kind):
    content = HELD[kind]()
    decoded(content)
    rng = np.random.default_rng(2)
    long = [(place, length) for place, length in strips(content) if length > 600]
    assert long
    for place, length in long:
        start = place + int(rng.integers(8, length - 512))
        for end in (start + 512, place + length):
            damaged = content[:start] + bytes(end - start) + content[end:]
            assert fault(damaged).status is Status.CORRUPT


def test_zeros_that_belong_to_a_picture_are_no_damage():
    black = np.zeros((400, 320, 3), np.uint8)
    for compression in ("tiff_lzw", "zstd", "lzma", "packbits", "tiff_adobe_deflate"):
        assert furthest(saved(Image.fromarray(black), compression=compression), black) == 0
    for stored in (tiff(black, RGB, compression=PACKBITS), tiff(black, RGB, compression=DEFLATE, level=0)):
        assert bytes(100) in stored and furthest(stored, black) == 0


def test_a_flat_jpeg_may_be_all_zeros():
    """Its tables may give the shortest codes, zeros, to blocks that are as the ones before them."""
    flat = np.full((512, 512), 128, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(flat).save(stream, "JPEG", optimize=True)
    assert bytes(100) in stream.getvalue()
    directory = [
        (256, "I", [512]),
        (257, "I", [512]),
        (258, "H", [8]),
        (259, "H", [7]),
        (262, "H", [1]),
        (278, "I", [512]),
    ]
    assert furthest(tiff_files.whole(directory, [stream.getvalue()]), flat) <= 1

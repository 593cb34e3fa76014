"""Files that say how their picture is to be turned come in, in every way to say it; upright pixels must go out."""

import importlib.util
import io
import struct

import numpy as np
import pytest
from exif_blocks import (
    ASCII,
    BYTE,
    DOUBLE,
    FLOAT,
    IFD,
    LONG,
    LONG8,
    RATIONAL,
    SBYTE,
    SHORT,
    SLONG,
    SRATIONAL,
    SSHORT,
    UNDEFINED,
    block,
    tag,
)
from PIL import Image, ImageOps, features
from png_files import RGB, chunk, png, text

from fer_fast.decode import open_decoder, pixels_of
from fer_fast.decode.codecs import decode_content
from fer_fast.decode.formats.exif import orientation_left, orientation_of
from fer_fast.decode.pixels import spread

SIDE = 16
COLOURS = np.array([(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 250)])
#: The stored corners, left to right and then down, where they are seen.
UPRIGHT = {
    1: (0, 1, 2, 3),
    2: (1, 0, 3, 2),
    3: (3, 2, 1, 0),
    4: (2, 3, 0, 1),
    5: (0, 2, 1, 3),
    6: (2, 0, 3, 1),
    7: (3, 1, 2, 0),
    8: (1, 3, 0, 2),
}
STORED = np.repeat(np.repeat(COLOURS.reshape(2, 2, 3), 16, axis=0), 24, axis=1).astype(np.uint8)
PREFIX = b"Exif\0\0"
MAKE = tag(ASCII, *b"a camera's make", number=0x010F)
#: Of no known type; longer than any block here; behind the end of it.
UNKNOWN = struct.pack("<HHLL", 0x0112, 99, 1, 3)
LONG_MAKE = struct.pack("<HHLL", 0x010F, ASCII, 400, 8)
CUT_MAKE = struct.pack("<HHLL", 0x010F, ASCII, 20, 5000)


def seen(pixels):
    """Which colour is in which corner."""
    edges = (2, -3)
    corners = np.array([pixels[y, x] for y in edges for x in edges], int)
    return tuple(int(each) for each in np.abs(corners[:, None] - COLOURS).sum(axis=2).argmin(axis=1))


def decoded(content):
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    spread(decode_content(content, SIDE), out)
    return out


def saved(kind, **options):
    stream = io.BytesIO()
    Image.fromarray(STORED).save(stream, kind, **options)
    return stream.getvalue()


def in_jpeg(exif):
    plain, data = saved("JPEG", quality=95), PREFIX + exif
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + plain[2:]


def raw_profile(name, data):
    lines = [data.hex()[place : place + 72] for place in range(0, 2 * len(data), 72)]
    return f"\n{name}\n{len(data):8}\n{chr(10).join(lines)}\n".encode()


def in_tiff(exif):
    """Of the block the tag of orientation alone, as TIFF's own."""
    order = "<" if exif[:2] == b"II" else ">"
    kind, count = struct.unpack_from(order + "HL", exif, 12)
    long = [(256, 48), (257, 32), (259, 1), (262, 2), (273, 200), (277, 3), (278, 32), (279, STORED.size)]
    entries = [(number, struct.pack(order + "HHLL", number, LONG, 1, value)) for number, value in long]
    entries.append((258, struct.pack(order + "HHLL", 258, SHORT, 3, 192)))
    entries.append((274, struct.pack(order + "HHL", 274, kind, count) + exif[18:22]))
    directory = b"".join(data for _, data in sorted(entries))
    start = exif[:4] + struct.pack(order + "LH", 8, len(entries)) + directory + bytes(4)
    return start.ljust(192, b"\0") + struct.pack(order + "HHHH", 8, 8, 8, 0) + STORED.tobytes()


def in_png(exif, keyword=b"Raw profile type exif", kind=b"tEXt", name="exif", place="before"):
    """As text."""
    given = text(keyword, raw_profile(name, exif), kind)
    return png(STORED, colours=RGB, **{place: given})


#: What holds a block: each way that a file can say it.
FILES = {
    "jpeg": in_jpeg,
    "jpeg, prefixed twice": lambda exif: in_jpeg(PREFIX + exif),
    "png": lambda exif: png(STORED, colours=RGB, before=chunk(b"eXIf", exif)),
    "png, behind the pixels": lambda exif: png(STORED, colours=RGB, after=chunk(b"eXIf", exif)),
    "png, prefixed": lambda exif: png(STORED, colours=RGB, before=chunk(b"eXIf", PREFIX + exif)),
    "png, text": lambda exif: in_png(PREFIX + exif),
    "png, text without a prefix": lambda exif: in_png(exif, place="after"),
    "png, packed text": lambda exif: in_png(PREFIX + exif, kind=b"zTXt"),
    "png, international text": lambda exif: in_png(PREFIX + exif, kind=b"iTXt"),
    "png, packed international text": lambda exif: in_png(PREFIX + exif, kind=b"iTXt+", place="after"),
    "png, text of a JPEG's segment": lambda exif: in_png(
        PREFIX + exif, b"Raw profile type APP1", b"zTXt", "generic profile"
    ),
    "webp": lambda exif: saved("WEBP", exif=exif, lossless=True),
    "webp, prefixed": lambda exif: saved("WEBP", exif=PREFIX + exif, lossless=True),
    "tiff": in_tiff,
}
if features.check("avif"):
    FILES["avif"] = lambda exif: saved("AVIF", exif=exif, quality=95)

#: Blocks, and the orientation that counts; 1 where nothing is to be turned.
BLOCKS = {
    "short": (block(tag(SHORT, 6)), 6),
    "short, the other order": (block(tag(SHORT, 6), order=">"), 6),
    "long": (block(tag(LONG, 6)), 6),
    "long, the other order": (block(tag(LONG, 6), order=">"), 6),
    "signed byte": (block(tag(SBYTE, 6)), 6),
    "signed short": (block(tag(SSHORT, 6), order=">"), 6),
    "signed long": (block(tag(SLONG, 6), order=">"), 6),
    "directory": (block(tag(IFD, 6)), 6),
    "long of eight bytes": (block(tag(LONG8, 6)), 6),
    "float": (block(tag(FLOAT, 6.0)), 6),
    "double": (block(tag(DOUBLE, 6.0), order=">"), 6),
    "fraction": (block(tag(RATIONAL, (12, 2))), 6),
    "signed fraction": (block(tag(SRATIONAL, (-12, -2)), order=">"), 6),
    "fraction of nothing": (block(tag(RATIONAL, (6, 0))), 1),
    "half a turn more": (block(tag(FLOAT, 6.5)), 1),
    "byte": (block(tag(BYTE, 6)), 1),
    "bytes": (block(tag(UNDEFINED, 6)), 1),
    "text": (block(tag(ASCII, ord("6"))), 1),
    "several": (block(tag(SHORT, 6, 3)), 6),
    "several, elsewhere": (block(tag(SHORT, 6, 3, 1)), 6),
    "none": (block(tag(SHORT)), 1),
    "0": (block(tag(SHORT, 0)), 1),
    "9": (block(tag(SHORT, 9)), 1),
    "-6": (block(tag(SSHORT, -6)), 1),
    "a short's worth too much": (block(tag(LONG, 65542)), 1),
    "twice": (block(tag(SHORT, 6), tag(SHORT, 3)), 6),
    "twice, the first of no known type": (block(UNKNOWN, tag(SHORT, 6)), 6),
    "twice, the first empty": (block(tag(SHORT), tag(SHORT, 6)), 6),
    "behind another tag": (block(MAKE, tag(SHORT, 6)), 6),
    "behind a tag that is too long": (block(LONG_MAKE, tag(SHORT, 6)), 6),
    "behind a tag whose value is cut": (block(CUT_MAKE, tag(SHORT, 6)), 1),
    "before a tag whose value is cut": (block(tag(SHORT, 6), CUT_MAKE), 6),
    "at an odd place": (block(tag(SHORT, 6), place=201), 6),
    "more tags than there are": (block(tag(SHORT, 6), entries=900), 6),
    "fewer tags than there are": (block(MAKE, tag(SHORT, 6), entries=1), 1),
    "cut behind the tag": (block(tag(SHORT, 6))[:22], 6),
    "cut in the tag": (block(tag(SHORT, 6))[:21], 1),
    "cut before the tag": (block(tag(SHORT, 6))[:10], 1),
    "no place of a directory": (block(tag(SHORT, 6))[:4], 1),
    "a place behind the end": (b"II*\0\xff\0\0\0", 1),
    "the header of another order": (block(tag(SHORT, 6), magic=b"II\0*"), 6),
    "a large file's header": (block(tag(SHORT, 6), magic=b"II+\0"), 1),
    "no header": (block(tag(SHORT, 6), magic=b"junk"), 1),
    "nothing": (b"", 1),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_obeyed_in_every_file(name, orientation):
    content = FILES[name](block(tag(SHORT, orientation)))
    assert seen(decoded(content)) == UPRIGHT[orientation]
    with Image.open(io.BytesIO(content)) as image:
        assert seen(pixels_of(image, SIDE)) == UPRIGHT[orientation], "not loaded"
        image.load()
        if "segment" not in name:  # Pillow does not read that
            assert seen(pixels_of(image, SIDE)) == UPRIGHT[orientation], "loaded"
            assert seen(np.asarray(ImageOps.exif_transpose(image))) == UPRIGHT[orientation], "as Pillow"


# Pillow warns of damage.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_says_what_it_says_to_pillow(name):
    exif, orientation = BLOCKS[name]
    for file in ("jpeg", "png", "webp"):
        content = FILES[file](exif)
        assert seen(decoded(content)) == UPRIGHT[orientation], file
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


@pytest.mark.parametrize(("kind", "orientation"), [(SHORT, 6), (LONG, 6), (SBYTE, 6), (BYTE, 1)])
def test_tiffs_own_tag_is_obeyed_once(kind, orientation):
    content = in_tiff(block(tag(kind, 6), order=">"))
    assert seen(decoded(content)) == UPRIGHT[orientation]
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert seen(pixels_of(image, SIDE)) == UPRIGHT[orientation]


def xmp(orientation):
    return f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


XMP_FILES = {
    "jpeg": lambda exif, xmp: saved("JPEG", quality=95, exif=exif, xmp=xmp),
    "png": lambda exif, xmp: png(
        STORED, colours=RGB, before=text(b"XML:com.adobe.xmp", xmp, b"iTXt") + chunk(b"eXIf", exif)
    ),
    "png, packed": lambda exif, xmp: png(
        STORED, colours=RGB, before=chunk(b"eXIf", exif), after=text(b"XML:com.adobe.xmp", xmp, b"iTXt+")
    ),
    "webp": lambda exif, xmp: saved("WEBP", exif=exif, xmp=xmp, lossless=True),
}


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


@pytest.mark.needs_dali
def test_dali_turns_as_pillow(tmp_path):
    names = [name for name in FILES if name.startswith(("jpeg", "png"))]
    cases = [(FILES[name](block(tag(LONG, each))), each) for name in names for each in range(1, 9)]
    cases += [(FILES[name](exif), each) for name in ("jpeg", "png") for exif, each in BLOCKS.values()]
    paths = [tmp_path / f"{number:03}" for number in range(len(cases))]
    for path, (content, _) in zip(paths, cases, strict=True):
        path.write_bytes(content)
    with open_decoder("dali", SIDE, 1) as decoder:
        pixels = decoder.decode([str(path) for path in paths]).on_host()
    assert [seen(each) for each in pixels] == [UPRIGHT[orientation] for _, orientation in cases]

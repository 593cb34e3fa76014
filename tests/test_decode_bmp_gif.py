"""BMPs and GIFs of every kind come in; the pixels that they hold or the right status must go out."""

import io
import struct

import numpy as np
import pytest
from image_files import face
from PIL import Image

from fer_fast.decode import open_decoder
from fer_fast.decode.codecs import decode_content
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, Status

COLOURS = np.asarray(face(40, 32))
HEIGHT, WIDTH, _ = COLOURS.shape
BGR = COLOURS[..., ::-1]
INDICES = COLOURS[..., 0] >> 4
PALETTE = np.random.default_rng(4).integers(0, 256, (256, 3)).astype(np.uint8)
SIDE = 24

BLACK_AND_WHITE = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
DARK_GREYS = np.repeat(np.arange(16, dtype=np.uint8)[:, None], 3, axis=1)


def bmp(pixels, bits, compression=0, header=40, palette=(), masks=(), used=0, width=WIDTH, height=HEIGHT):
    """A BMP of the bytes of its pixels."""
    colours = b"".join(bytes([*colour[::-1], *([] if header == 12 else [0])]) for colour in palette)
    masks = struct.pack(f"<{len(masks)}I", *masks)
    if header in (12, 16):
        head = struct.pack("<IHHHH" if header == 12 else "<IIIHH", header, width, height, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(pixels), 0, 0, used, 0)
        head += masks.ljust(header - 40, b"\0") if header > 40 else masks
    start = 14 + len(head) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + colours + pixels


def rows(samples):
    """From the last row to the first, each filled up to four bytes."""
    lines = [row.tobytes() for row in samples[::-1]]
    return b"".join(line + bytes(-len(line) % 4) for line in lines)


def packed(indices, bits):
    each = np.unpackbits(indices.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return rows(np.packbits(each.reshape(len(indices), -1), axis=1))


def masked(bits, masks):
    """Pixels whose colours stand where the masks say."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint32)
    for channel, mask in enumerate(masks):
        most = mask.bit_count()
        shift = (mask & -mask).bit_length() - 1
        pixels |= (COLOURS[..., channel].astype(np.uint32) >> max(0, 8 - most)) << shift
    return rows(pixels.astype(np.uint32 if bits == 32 else np.uint16))


def furthest(content, wanted):
    pixels = np.frombuffer(decode_content(content, Square(SIDE)), np.uint8)
    pixels = (
        pixels.reshape(SIDE, SIDE, 3) if pixels.size > SIDE * SIDE else np.stack([pixels.reshape(SIDE, SIDE)] * 3, 2)
    )
    image = Image.fromarray(wanted).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.abs(pixels - np.asarray(image, int)).max()


def fault(content):
    with pytest.raises(DecodeError) as caught:
        decode_content(content, Square(SIDE))
    return caught.value


RUNS = b"".join(b"".join(bytes([1, each]) for each in row) + b"\0\0" for row in INDICES[::-1]) + b"\0\1"
READ = {
    "24": (bmp(rows(BGR), 24), COLOURS),
    "24, OS/2": (bmp(rows(BGR), 24, header=12), COLOURS),
    "24, OS/2 2": (bmp(rows(BGR), 24, header=64), COLOURS),
    "24, from the top": (bmp(rows(BGR[::-1]), 24, height=-HEIGHT), COLOURS),
    "32": (bmp(rows(np.dstack([BGR, 0 * INDICES])), 32), COLOURS),
    "8": (bmp(rows(INDICES), 8, palette=PALETTE), PALETTE[INDICES]),
    "8, of 16": (bmp(rows(INDICES), 8, palette=PALETTE[:16], used=16), PALETTE[INDICES]),
    "8, of 300": (bmp(rows(INDICES), 8, palette=[*PALETTE, *PALETTE[:44]], used=300), PALETTE[INDICES]),
    "8, of two, black and white": (bmp(rows(INDICES >> 3), 8, palette=BLACK_AND_WHITE, used=2), (INDICES >> 3) * 255),
    "8, grey": (bmp(rows(COLOURS[..., 0]), 8, palette=np.repeat(np.arange(256)[:, None], 3, 1)), COLOURS[..., 0]),
    "8, runs": (bmp(RUNS, 8, 1, palette=PALETTE), PALETTE[INDICES]),
    "4": (bmp(packed(INDICES, 4), 4, palette=PALETTE[:16]), PALETTE[INDICES]),
    "4, OS/2": (bmp(packed(INDICES, 4), 4, header=12, palette=PALETTE[:16]), PALETTE[INDICES]),
    "4, dark greys": (bmp(packed(INDICES, 4), 4, palette=DARK_GREYS), INDICES),
    "4, black and white": (bmp(packed(INDICES >> 3, 4), 4, palette=BLACK_AND_WHITE, used=2), (INDICES >> 3) * 255),
    "1": (bmp(packed(INDICES >> 3, 1), 1, palette=PALETTE[:2]), PALETTE[INDICES >> 3]),
    "1, white and black": (bmp(packed(INDICES >> 3, 1), 1, palette=BLACK_AND_WHITE[::-1]), 255 - (INDICES >> 3) * 255),
}


@pytest.mark.parametrize("kind", READ)
def test_a_bmp_shows_what_it_holds(kind):
    content, wanted = READ[kind]
    assert furthest(content, wanted.astype(np.uint8)) == 0


@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (32, (0xFF0000, 0xFF00, 0xFF)),
        (32, (0xFF000000, 0xFF0000, 0xFF00)),
        (16, (0xF800, 0x7E0, 0x1F)),
        (16, (0x7C00, 0x3E0, 0x1F)),
    ],
)
def test_bit_fields(bits, masks, header):
    content = bmp(masked(bits, masks), bits, 3, header, masks=masks if header == 40 else (*masks, 0))
    assert furthest(content, COLOURS) <= (0 if bits == 32 else 8)


def wide(compression, indices):
    """A BMP whose rows have several runs each, of pixels as they are."""
    stored = indices if compression == 1 else indices[:, ::2] << 4 | indices[:, 1::2]
    each = 200 if compression == 1 else 100
    lines = [
        b"".join(bytes([0, 200]) + row[at : at + each].tobytes() for at in range(0, len(row), each)) + b"\0\0"
        for row in stored[::-1]
    ]
    height, width = indices.shape
    bits = 8 if compression == 1 else 4
    palette = PALETTE[: 1 << bits]
    return bmp(b"".join(lines) + b"\0\1", bits, compression, palette=palette, width=width, height=height)


@pytest.mark.parametrize("compression", [1, 2])
def test_run_lengths_that_were_not_written_whole_are_no_picture(compression):
    rng = np.random.default_rng(compression)
    indices = rng.integers(0, 16, (40, 2400)).astype(np.uint8)
    content = wide(compression, indices)
    assert furthest(content, PALETTE[indices]) == 0
    found = []
    for start in range(2048, len(content) - 8192, 1536):
        for length in (512, 4096):
            error = fault(content[:start] + bytes(length) + content[start + length :])
            found.append(error.status)
    assert Status.CORRUPT in found


@pytest.mark.parametrize("compression", [1, 2])
def test_run_lengths_of_black_are_whole(compression):
    black = np.zeros((40, 2400), np.uint8)
    assert furthest(wide(compression, black), PALETTE[black]) == 0


def inside(kind):
    content = io.BytesIO()
    Image.fromarray(COLOURS).save(content, kind)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bmp(masked(32, (0x3FF00000, 0xFFC00, 0x3FF)), 32, 3, masks=(0x3FF00000, 0xFFC00, 0x3FF)), "fields 0x3ff00000"),
        (bmp(masked(16, (0xF00, 0xF0, 0xF)), 16, 3, masks=(0xF00, 0xF0, 0xF)), "bit fields 0xf00, 0xf0, 0xf of 16"),
        (bmp(inside("JPEG"), 0, 4), "a JPEG inside"),
        (bmp(inside("PNG"), 0, 5), "a PNG inside"),
        (bmp(rows(BGR), 24, 4, header=64), "run lengths of 24 bits"),
        (bmp(b"\1" * 99, 1, 3, header=64, palette=PALETTE[:2]), "Huffman"),
        (bmp(rows(BGR), 24, header=16), "a header of 16 bytes"),
        (bmp(rows(np.zeros((HEIGHT, WIDTH, 8), np.uint8)), 64), "64 bits"),
        (bmp(packed(INDICES >> 2, 2), 2, palette=PALETTE[:4]), "2 bits"),
        (bmp(rows(np.dstack([BGR, BGR[..., 0]])), 32, 11), "CMYK"),
        (bmp(rows(np.dstack([BGR, BGR[..., 0]])), 32, 6, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)), "with alpha"),
        (bmp(b"\x20\3\0\2\5\3\x0a\4\0\1", 8, 1, palette=PALETTE), "run lengths that leave pixels out"),
        (bmp(b"\x20\3\0\2\5\3\x0a\4\0\1\0\0", 8, 1, palette=PALETTE), "run lengths that leave pixels out"),
    ],
)
def test_a_bmp_that_is_valid_and_cannot_be_read_says_what_it_is(content, words):
    error = fault(content)
    assert error.status is Status.UNSUPPORTED and words in str(error)


@pytest.mark.parametrize(
    "content",
    [
        bmp(rows(BGR), 77),
        bmp(rows(BGR), 24, 99),
        bmp(rows(BGR), 24, width=0),
        bmp(rows(BGR), 24, width=-WIDTH),
        bmp(rows(BGR), 24, height=0),
        bmp(rows(BGR), 32, 3, masks=(0xFF00, 0xFF00, 0xFF)),
        bmp(rows(BGR), 32, 3, masks=(0xFF00, 0, 0xFF)),
        bmp(rows(BGR), 24)[:-50],
        bmp(rows(BGR), 24)[:25],
        bmp(RUNS, 8, 1, palette=PALETTE)[:-300],
        bmp(RUNS[:900] + bytes(len(RUNS) - 900), 8, 1, palette=PALETTE),
    ],
)
def test_what_no_bmp_is_and_half_of_one_are_damage(content):
    assert fault(content).status is Status.CORRUPT


def gif(frame, screen=(WIDTH, HEIGHT), colours=PALETTE[:16], place=(0, 0)):
    """A GIF of one frame, whose codes are as wide as they can be: no table is built up."""
    height, width = frame.shape
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0xF3 if len(colours) else 0x70, 0, 0)
    codes = []
    for start in range(0, frame.size, 14):  # a code for "begin anew" before codes would be of six bits
        codes += [16, *frame.ravel()[start : start + 14].tolist()]
    bits = "".join(f"{code:05b}"[::-1] for code in [*codes, 17])
    data = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    blocks = b"".join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255))
    image = b"," + struct.pack("<HHHHB", *place, width, height, 0) + b"\4" + blocks + b"\0"
    return head + bytes(np.asarray(colours, np.uint8)) + image + b";"


def test_a_gif_shows_its_frame_where_it_is():
    assert furthest(gif(INDICES), PALETTE[INDICES]) == 0
    canvas = np.zeros_like(INDICES)
    canvas[8:24, 4:20] = INDICES[:16, :16]
    assert furthest(gif(INDICES[:16, :16], place=(4, 8)), PALETTE[canvas]) == 0


def test_a_gif_without_colours_is_grey():
    assert furthest(gif(INDICES, colours=[]), INDICES) == 0


@pytest.mark.parametrize("limit", [1000, None])
def test_a_gif_has_the_limits_of_its_run_and_no_others(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    path = tmp_path / "x.gif"
    wide = gif(INDICES, screen=(1, 1))
    path.write_bytes(wide)
    for most, failures in ((INDICES.size, []), (INDICES.size - 1, [Status.TOO_LARGE])):
        with open_decoder("pillow", SIDE, workers=1, max_pixels=most) as decoder:
            assert [error.status for _, error in decoder.decode([str(path)]).failures] == failures


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gif(INDICES)[:9], "ends before"),
        (gif(INDICES)[:70], "ends before"),
        (gif(INDICES)[:61], "without a picture"),
        (gif(INDICES)[:61] + b"!\xfe\3abc\0;", "without a picture"),
        (gif(INDICES[:0]), f"{WIDTH} x 0 pixels"),
        (gif(INDICES[:, :0]), f"0 x {HEIGHT} pixels"),
        (gif(INDICES).replace(b"\0\4", b"\0\x0d", 1), "13 bits"),
        (gif(INDICES)[:61] + bytes(70_000) + gif(INDICES)[61:], "more than 65536 blocks"),
        (gif(INDICES)[:61] + b"!\xfe" + b"\1a" * 70_000, "more than 65536 blocks"),
    ],
)
def test_a_gif_without_a_picture_says_so(content, words):
    error = fault(content)
    assert error.status is Status.CORRUPT and words in str(error)


def test_what_stands_before_the_picture_of_a_gif_is_passed_over():
    content = gif(INDICES)
    between = b"!\xfe" + b"\xff" * 256 + b"\1,\0" + b"!\xff\x0bXMP DataXMP\2,,\0" + b"!\xf9\4\0\0\0\0\0"
    assert furthest(content[:61] + between + content[61:], PALETTE[INDICES]) == 0


def test_half_a_gif_is_damage():
    content = gif(INDICES)
    for length in (20, 80, len(content) - 100):
        assert fault(content[:length]).status is Status.CORRUPT

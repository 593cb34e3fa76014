"""Large images come in; they must give what small ones give, to the bit, and take little memory beside themselves."""

import numpy as np
import PIL
import pytest
from decoding import run
from image_files import face
from PIL import Image
from tiff_files import CMYK, DEFLATE, PALETTE, RGB, YCBCR, tiff

from fer_fast.decode import pixels
from fer_fast.decode.codecs import memory_of
from fer_fast.decode.formats.tiff import open_tiff
from fer_fast.decode.pixels import square
from fer_fast.decode.views import Square

MODES = ["P", "P, transparent", "PA", "RGBA", "LA", "La", "RGBa", "RGBX", "1", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"]


def drawn(mode, width, height):
    rng = np.random.default_rng(width * height)
    colours = Image.fromarray(rng.integers(0, 256, (height, width, 4)).astype(np.uint8))
    if mode in ("I;16", "I", "F"):
        numbers = rng.integers(0, 65536, (height, width))
        return Image.fromarray(numbers.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    if mode.startswith("P"):
        image = colours.convert("RGB").convert("P")
        if mode == "P, transparent":
            image.info["transparency"] = bytes(range(0, 256, 2))
        return image.convert("PA") if mode == "PA" else image
    if mode in ("LA", "La"):
        return colours.convert("LA").convert(mode)
    return colours.convert(mode if mode in ("RGBA", "RGBa") else "RGB").convert(mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("piece", [3, 77, 1000])
def test_bands_give_what_one_piece_gives(mode, piece, monkeypatch):
    for size in ((1, 1), (1, 50), (50, 1), (24, 24), (23, 25), (100, 7), (7, 100), (120, 90), (3, 200), (100, 177)):
        image = drawn(mode, *size)
        for side in (1, 8, 24, 64):
            monkeypatch.setattr(pixels, "_PIECE", 1 << 18)
            whole = square(image, side)
            monkeypatch.setattr(pixels, "_PIECE", piece)
            assert square(image, side) == whole, (size, side)


def test_both_passes_are_in_pillows_order():
    """As of 13; the bands of one pass need it."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        across, down, width, height = (int(rng.integers(1, most)) for most in (60, 60, 150, 300))
        size = (across, down if rng.random() < 0.5 else across)
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8))
        halfway = pixels._halfway((width, height), size)
        both = image.resize(halfway, Image.Resampling.BILINEAR).resize(size, Image.Resampling.BILINEAR)
        assert pixels.resized(image, size) == both
        if int(PIL.__version__.split(".")[0]) >= 13:
            assert both == image.resize(size, Image.Resampling.BILINEAR), (width, height, size)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_face_of_the_size_wanted_is_not_copied(mode, monkeypatch):
    image = drawn("RGBX", 24, 24).convert(mode)
    monkeypatch.setattr(Image.Image, "resize", None)
    assert square(image, 24) == image.tobytes()


TILE = np.asarray(face(40, 40))
COLOURS = np.tile(TILE, (125, 100, 1))  # 5,000 rows of 4,000
SHADES = COLOURS[..., 0]
GREYS = (np.arange(256) * 257).tolist() * 3
LARGE = {
    "float": lambda: tiff((SHADES / 255).astype(np.float32), rows=64),
    "float, one strip": lambda: tiff((SHADES / 255).astype(np.float32), compression=DEFLATE),
    "16 bits": lambda: tiff(SHADES * np.uint16(257)),
    "palette": lambda: tiff(SHADES, PALETTE, tags=[(320, "H", GREYS)]),
    "rgb": lambda: tiff(COLOURS, RGB),
    "rgb, tiles": lambda: tiff(COLOURS, RGB, compression=DEFLATE, tile=(256, 256)),
    "rgb 16, planes": lambda: tiff(COLOURS * np.uint16(257), RGB, planar=True),
    "ycbcr": lambda: tiff(COLOURS, YCBCR, compression=DEFLATE, tags=[(530, "H", [1, 1])]),
    "cmyk": lambda: tiff(np.dstack([COLOURS, SHADES]), CMYK),
    "float, wide": lambda: tiff((SHADES[:1000] / 255).astype(np.float32).reshape(1, -1)),
    "float, high": lambda: tiff((SHADES[:1000] / 255).astype(np.float32).reshape(-1, 1), rows=4096),
}

PEAK = """
import sys
import numpy as np
from PIL import Image
from fer_fast.decode.codecs import decode_file
from fer_fast.decode.views import Square
from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.pixels import square

def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

prepare_codecs()
square(Image.fromarray(np.zeros((8, 8), np.float32)), 8)
resident = kilobytes("VmRSS")
decode_file(sys.argv[1], Square(224))
print((kilobytes("VmHWM") - resident) * 1024)
"""


@pytest.mark.parametrize("kind", LARGE)
def test_decoding_takes_what_it_says_and_no_more(kind, tmp_path):
    path = tmp_path / "large.tif"
    path.write_bytes(LARGE[kind]())
    size = path.stat().st_size
    with path.open("rb") as file:
        picture = open_tiff(file, size)
        said = memory_of(picture, Square(224))
        pixels_of_it = picture.size[0] * picture.size[1]
    ran = run(PEAK, str(path))
    assert ran.returncode == 0, ran.stderr
    taken = int(ran.stdout) - size
    assert said / 3 < taken < said
    assert said < 13 * pixels_of_it + (32 << 20) or "wide" in kind or "high" in kind

"""PNG files that cost much come in; time and memory must follow their size."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from counting import Counting
from exif_blocks import SHORT, block, tag
from png_files import KINDS, RGB, SAMPLES, SIGNATURE, chunk, drawn, header, png, raw

from fer_fast.decode.codecs import decode_file
from fer_fast.decode.formats.png import open_png
from fer_fast.decode.pixels import spread
from fer_fast.decode.views import Square


def test_pixels_in_very_many_chunks_are_read_twice_and_no_more():
    samples = np.random.default_rng(3).integers(0, 256, (150, 200, 3))
    content = png(samples, colours=RGB, pieces=1 << 20, between=chunk(b"tEXt"))
    assert content.count(b"IDAT") > 80_000
    counting = Counting(content)
    picture = open_png(counting, len(content))
    np.testing.assert_array_equal(np.asarray(picture.load((24, 24))), samples)
    assert counting.count < 2 * len(content)


def test_a_large_file_is_read_piece_by_piece(tmp_path):
    path, face = tmp_path / "face.png", np.random.default_rng(1).integers(0, 256, (12, 12, 3))
    packed = zlib.compress(raw(face, 8))
    with path.open("wb") as file:
        file.write(SIGNATURE + header(face, 8, RGB) + struct.pack(">I", 70 << 20) + b"tEXt")
        file.seek((70 << 20) + 4, io.SEEK_CUR)
        file.write(
            chunk(b"IDAT", packed[:50])
            + chunk(b"eXIf", block(tag(SHORT, 3)))
            + chunk(b"IDAT", packed[50:])
            + chunk(b"IEND")
        )
    out = np.empty((12, 12, 3), np.uint8)
    spread(decode_file(str(path), Square(12))[0], out)
    np.testing.assert_array_equal(out, face[::-1, ::-1])


MEASURING = r"""
import io, re, sys
import numpy
from fer_fast.decode.formats.png import open_png
from fer_fast.decode.codecs import memory_of
from fer_fast.decode.views import Square

def memory(name):
    return int(re.search(name + r":\s+(\d+)", open("/proc/self/status").read())[1]) << 10

small, large = (io.BytesIO(open(path, "rb").read()) for path in sys.argv[1:])
view, picture = Square(224), open_png(small, 0)
view.make(picture, picture.load(view.least(picture)))
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = memory("VmRSS")
picture = open_png(large, 0)
view.make(picture, picture.load(view.least(picture)))
print(memory("VmHWM") - before, memory_of(picture, view))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("bits", "colours", "height", "width"), [(*kind, 1500, 2000) for kind in KINDS] + [(8, RGB, 3000, 500)]
)
def test_memory_is_what_is_taken_at_most(tmp_path, bits, colours, height, width):
    """Pixels of noise, which nothing makes smaller: as large as they can be beside the picture."""
    paths = [tmp_path / "small", tmp_path / "large"]
    _, palette, _ = drawn(bits, colours)
    for path, size in zip(paths, ((64, 64), (height, width)), strict=True):
        samples = np.random.default_rng(0).integers(0, 1 << bits, (*size, SAMPLES[colours]))
        content = png(samples, bits, colours, before=palette, pixels=zlib.compress(raw(samples, bits), 1), pieces=100)
        path.write_bytes(content)
    ran = subprocess.run([sys.executable, "-c", MEASURING, *paths], capture_output=True, text=True, timeout=120)
    taken, promised = map(int, ran.stdout.split())
    assert taken < promised + (3 << 20) and promised < 1.4 * taken + (12 << 20), ran.stderr

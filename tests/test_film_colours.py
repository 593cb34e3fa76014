"""A film's colours come out as they went in, to two grey levels, whatever numbers stand for them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import Interpolation
from films import save_film

from fer_fast.films.colour import source_colour
from fer_fast.films.film import Film

#: Of red and blue in what is bright, by the number that a stream has for its matrix (ITU-R BT.601, 709, 2020).
SHARES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
UNSAID = 2
LIMITED, FULL = 1, 2
#: Primary colours, shades and 50 others.
COLOURS = np.concatenate(
    (
        [[255 * bool(bits & 1), 255 * bool(bits & 2), 255 * bool(bits & 4)] for bits in range(8)],
        np.repeat(np.arange(20, 256, 40)[:, None], 3, axis=1),
        np.random.default_rng(0).integers(0, 256, (50, 3)),
    )
).astype(np.uint8)
BAR = 16


def drawn(shares: tuple[float, float], bits: int, is_full: bool) -> list[npt.NDArray[np.uint16]]:
    """The colours' numbers by the recommendations' formulas, each [colours]."""
    red, green, blue = (COLOURS[:, place] / 255 for place in range(3))
    of_red, of_blue = shares
    bright = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    tones = [(blue - bright) / (2 * (1 - of_blue)), (red - bright) / (2 * (1 - of_red))]
    fine, most = 1 << (bits - 8), (1 << bits) - 1
    scaled = (
        [bright * most, *(tone * most + 128 * fine for tone in tones)]
        if is_full
        else [(219 * bright + 16) * fine, *((224 * tone + 128) * fine for tone in tones)]
    )
    return [np.rint(each).clip(0, most).astype(np.uint16) for each in scaled]


def bars(shares: tuple[float, float], bits: int, is_full: bool, subsampling: str, height: int = BAR) -> av.VideoFrame:
    """A picture of a bar of each colour, of which nothing is told."""
    picture = av.VideoFrame(BAR * len(COLOURS), height, f"yuv{subsampling}p" + ("10le" if bits == 10 else ""))
    for plane, numbers in zip(picture.planes, drawn(shares, bits, is_full), strict=True):
        wide = np.repeat(numbers, plane.width // len(COLOURS)).astype(np.uint16 if bits > 8 else np.uint8)
        line = np.zeros(plane.line_size, np.uint8)
        line[: wide.nbytes] = wide.view(np.uint8)
        plane.update(np.tile(line, plane.height).tobytes())
    return picture


def distance(pixels: npt.NDArray[np.uint8]) -> int:
    """Grey levels by which a bar's middle differs, at most."""
    step = pixels.shape[1] // len(COLOURS)
    return int(np.abs(pixels[:, step // 2 :: step].astype(int) - COLOURS).max())


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("subsampling", ["444", "420"])
@pytest.mark.parametrize("matrix", SHARES)
@pytest.mark.parametrize("said", [0, LIMITED, FULL])
def test_colours_are_what_the_stream_says(bits: int, subsampling: str, matrix: int, said: int) -> None:
    picture = bars(SHARES[matrix], bits, said == FULL, subsampling)
    picture.colorspace, picture.color_range = matrix, said
    for width, height in ((picture.width, picture.height), (picture.width // 2, picture.height // 2)):
        pixels = source_colour(picture).rgb(picture, (width, height))
        assert pixels.shape == (height, width, 3) and distance(pixels) <= 2


@pytest.mark.parametrize(("height", "matrix"), [(576, 5), (578, 1)])
def test_where_nothing_is_said_the_size_decides(height: int, matrix: int) -> None:
    picture = bars(SHARES[matrix], 8, False, "420", height)
    picture.colorspace = UNSAID
    assert picture.width < 1280 and distance(source_colour(picture).rgb(picture, (picture.width, 64))) <= 2


def test_numbers_of_full_range_may_be_said_by_their_format_alone() -> None:
    colour = source_colour(av.VideoFrame(64, 64, "yuvj420p"))
    assert colour.full and colour.matrix == 5
    assert not source_colour(av.VideoFrame(64, 64, "yuv420p")).full


@pytest.mark.parametrize("format", ["rgb24", "gbrp", "rgba", "bgr0"])
def test_what_is_rgb_stays_so(format: str) -> None:
    rows = np.ascontiguousarray(np.broadcast_to(np.repeat(COLOURS, BAR, axis=0), (BAR, BAR * len(COLOURS), 3)))
    picture = av.VideoFrame.from_ndarray(rows, "rgb24").reformat(format=format, threads=1)
    assert distance(source_colour(picture).rgb(picture, (picture.width, picture.height))) == 0


def test_shades_stay_shades() -> None:
    shades = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    picture = av.VideoFrame.from_ndarray(shades, "gray")
    pixels = source_colour(picture).rgb(picture, (256, 16))
    assert (pixels == shades[:, :, None]).all()


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("said", [LIMITED, FULL])
def test_a_written_film_has_its_colours(matrix: int, said: int, tmp_path: Path) -> None:
    rows = np.broadcast_to(np.repeat(COLOURS, BAR, axis=0), (BAR, BAR * len(COLOURS), 3))
    path = save_film(
        tmp_path / "film.mkv",
        [rows],
        codec="ffv1",
        pix_fmt="yuv444p",
        colours={"colorspace": matrix, "color_range": said},
    )
    with Film(path) as film:
        (frame,) = film.frames()
        assert distance(frame.rgb()) <= 2


def noise(width: int, height: int, format: str) -> av.VideoFrame:
    """A picture of numbers of which none is another's neighbour."""
    picture = av.VideoFrame(width, height, format)
    random = np.random.default_rng(width)
    for plane in picture.planes:
        plane.update(random.bytes(plane.buffer_size))
    return picture


@pytest.mark.parametrize(
    "format", ["yuv420p", "yuvj420p", "yuv411p", "yuv410p", "yuv422p10le", "yuv444p12le", "yuyv422", "nv12", "p010le"]
)
@pytest.mark.parametrize("size", [(97, 50), (64, 33), (33, 7), (300, 50)])
def test_what_is_reduced_by_planes_is_what_swscale_makes_at_once(format: str, size: tuple[int, int]) -> None:
    picture = noise(194, 101, format)
    colour = source_colour(picture)
    how = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    at_once = picture.reformat(
        *size,
        format="rgb24",
        src_colorspace=colour.matrix,
        src_color_range=FULL if colour.full else LIMITED,
        dst_color_range=FULL,
        interpolation=how,
        threads=1,
    )
    assert (colour.rgb(picture, size) == at_once.to_ndarray()).all()

"""Of a frame boxes alone are made RGB: to the bit as they are in all of it, however it is stored and turned."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.filter import Graph
from films import save_film

from fer_fast.films import frame as frames
from fer_fast.films.film import Film
from fer_fast.films.frame import Frame
from fer_fast.films.upright import Upright

WIDTH, HEIGHT = 468, 300
TURNS = [*product((False, True), repeat=3)]
#: Of a frame that is as wide as high: at its edges, in its midst, a pixel.
BOXES = [(0, 0, 50, 31), (203, 101, 260, 190), (0, 250, 9, 300), (299, 299, 300, 300), (37, 0, 38, 300)]

Taken = Callable[[], int]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    """How many regions were taken."""
    pictures = []
    take = frames.region_of
    monkeypatch.setattr(frames, "region_of", lambda *args: pictures.append(args) or take(*args))
    return lambda: len(pictures)


def noise(format: str, width: int = WIDTH, height: int = HEIGHT) -> av.VideoFrame:
    """A picture of numbers of which none is another's neighbour."""
    picture = av.VideoFrame(width, height, format)
    random = np.random.default_rng(0)
    for plane in picture.planes:
        plane.update(random.bytes(plane.buffer_size))
    return picture


def framed(picture: av.VideoFrame, *turns: bool, size: tuple[int, int] | None = None) -> Frame:
    stored = size or (picture.width, picture.height)
    return Frame(0, 0.0, True, picture, Upright(stored[::-1] if turns and turns[0] else stored, *turns))


def check(frame: Frame, boxes: list[tuple[int, int, int, int]]) -> None:
    found = list(frame.regions(boxes))
    whole = frame.rgb()
    for (left, top, right, bottom), pixels in zip(boxes, found, strict=True):
        assert np.array_equal(pixels, whole[top:bottom, left:right])


@pytest.mark.parametrize(
    "format",
    ["yuv420p", "yuvj420p", "yuv411p", "yuv422p", "yuv440p", "yuv444p", "yuva420p", "yuv420p10le", "yuv444p12le"],
)
@pytest.mark.parametrize("turns", TURNS)
def test_a_region_is_as_in_the_whole_frame(format: str, turns: tuple[bool, bool, bool], taken: Taken) -> None:
    picture = noise(format)
    for box in BOXES:
        check(framed(picture, *turns), [box])
    assert taken() == len(BOXES)
    for colours in ((1, 1), (5, 2), (9, 1)):
        picture.colorspace, picture.color_range = colours
        check(framed(picture, *turns), BOXES[:2])


def test_what_a_film_says_of_its_pixels_holds_of_a_region(tmp_path: Path, taken: Taken) -> None:
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(4)]
    colours = {"colorspace": 1, "color_range": 1}
    path = save_film(tmp_path / "film.mp4", pictures, rotation=90, colours=colours)
    with Film(path) as film:
        assert film.size == (HEIGHT, WIDTH)
        for frame in film.frames():
            check(frame, BOXES[:3])
    assert taken() == 12


@pytest.mark.parametrize(
    "picture",
    [noise("yuv420p", WIDTH - 1), noise("yuv420p", WIDTH, HEIGHT + 1), noise("yuv410p"), noise("nv12"), noise("rgb24")],
    ids=["odd width", "odd height", "yuv410p", "nv12", "rgb24"],  # an address in a name differs between workers
)
def test_where_a_region_would_be_another_the_whole_frame_is_made(picture: av.VideoFrame, taken: Taken) -> None:
    check(framed(picture), BOXES[:2])
    assert taken() == 0


def test_where_it_is_no_less_work_the_whole_frame_is_made(taken: Taken) -> None:
    picture = noise("yuv420p")
    check(framed(picture), [(0, 0, WIDTH, HEIGHT)])
    check(framed(picture), BOXES[:1] * 5)
    check(framed(picture, size=(2 * WIDTH, HEIGHT)), BOXES[:1])
    whole = framed(picture)
    assert whole.rgb() is whole.rgb()
    check(whole, BOXES)
    assert taken() == 0


def test_a_region_that_was_broken_off_is_not_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __init__(self) -> None:
            self._graph = Graph()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._graph, name)

        def vpull(self) -> av.VideoFrame:
            raise KeyboardInterrupt

    frame = framed(noise("yuv420p", WIDTH, HEIGHT + 4))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(av.filter, "Graph", Interrupted)
        list(frame.regions(BOXES[:1]))
    check(frame, BOXES[1:2])

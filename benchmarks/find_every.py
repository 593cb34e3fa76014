"""What `find_every` finds and saves: films of drawn faces that move by known laws come in, find_every.json goes out.

    python benchmarks/find_every.py [--frames 250] [--out benchmarks/results/find_every.json]

Counts alone, which depend on no machine's speed: of the faces that are there how many are told, how well their boxes
are placed, how many boxes are where no face is, and in how many frames the finder looked. A box is a face's where what
both have in common is half of what they cover together.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

import fer_fast
from fer_fast.bench.environment import environment
from fer_fast.bench.images import scene
from fer_fast.bench.portraits import FACE, Box, draw_head, look_of
from fer_fast.evaluation import json_text
from fer_fast.machine.disk import check_place, write_whole

RESULTS = Path(__file__).parent / "results" / "find_every.json"
SIZE, RATE, HEAD, HEADS = (640, 360), 25, 150, 3
EVERY, MATCH = (1, 2, 3, 5), 0.5

#: Where the left upper corner of a head's picture is at a time; None where it is not there.
Law = Callable[[float], "tuple[float, float] | None"]


def walking(number: int) -> Law:
    """To the other side and back, evenly, a width of a face a second."""
    way, speed, start = SIZE[0] - HEAD, FACE[2] * HEAD, 190 * number

    def at(time: float) -> tuple[float, float]:
        gone = (start + speed * time) % (2 * way)
        return min(gone, 2 * way - gone), 20 + 85 * number

    return at


def swaying(number: int) -> Law:
    """To and fro about a place, half a face's width to each side, once in 1.2 seconds."""

    def at(time: float) -> tuple[float, float]:
        turn = 2 * math.pi * time / 1.2 + number
        reach = FACE[2] * HEAD / 2
        return 50 + 190 * number + reach * math.sin(turn), 100 + 0.3 * reach * math.sin(1.7 * turn)

    return at


def coming(number: int) -> Law:
    """There for 0.2 to 1.4 seconds, away for 0.3."""

    def at(time: float) -> tuple[float, float] | None:
        left, turn = time + 0.37 * number, 0
        while left >= (stays := 0.2 + 0.4 * (turn % 4)) + 0.3:
            left, turn = left - stays - 0.3, turn + 1
        return (40 + 195 * number, 90) if left < stays else None

    return at


def cut(number: int) -> Law:
    """Elsewhere after each 0.9 seconds."""

    def at(time: float) -> tuple[float, float]:
        places = np.random.default_rng(int(time / 0.9)).uniform(0, [45, SIZE[1] - HEAD], (HEADS, 2)).tolist()
        across, down = places[number]
        return across + 205 * number, down

    return at


SCENES = {"walking": walking, "swaying": swaying, "coming and going": coming, "a cut each 0.9 s": cut}


class Counting:
    """A finder that counts its looks; all else is the finder's own."""

    def __init__(self, finder: fer_fast.FaceFinder) -> None:
        self._finder, self.looks = finder, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)

    def find_in(self, pixels: Any) -> Any:
        """See `FaceFinder.find_in`."""
        self.looks += 1
        return self._finder.find_in(pixels)


def main(arguments: list[str] | None = None) -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=250, help="of each scene")
    parser.add_argument("--out", default=str(RESULTS))
    options = parser.parse_args(arguments)
    target = check_place(options.out)
    runs = []
    with tempfile.TemporaryDirectory() as folder, fer_fast.Classifier() as classifier, fer_fast.FaceFinder() as finder:
        for name, law in SCENES.items():
            film = Path(folder) / "film.mp4"
            truth = save_film(film, [law(number) for number in range(HEADS)], options.frames)
            for every in EVERY:
                runs.append({"scene": name, "find_every": every} | told(film, truth, classifier, finder, every))
                print(runs[-1], file=sys.stderr)
    about = {"size": list(SIZE), "rate": RATE, "frames": options.frames, "heads": HEADS}
    write_whole(target, json_text({"environment": environment(), "films": about, "runs": runs}).encode())


def paste(picture: Image.Image, head: Image.Image, place: tuple[int, int], time: float) -> None:
    """Puts a head into a picture as it is."""
    picture.paste(head, place, head)


def save_film(
    path: Path,
    paths: list[Law],
    frames: int,
    put: Callable[[Image.Image, Image.Image, tuple[int, int], float], None] = paste,
) -> list[list[Box]]:
    """Draws heads over a background, each as `put` does at a time; of each frame the boxes of their faces."""
    random = np.random.default_rng(0)
    ground = Image.fromarray(scene(random, SIZE))
    heads = [draw_head(look_of(random), HEAD) for _ in paths]
    truth = []
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture, boxes = ground.copy(), []
            for head, at in zip(heads, paths, strict=True):
                if (place := at(number / RATE)) is not None:
                    left, top = map(round, place)
                    put(picture, head, (left, top), number / RATE)
                    boxes.append((left + FACE[0] * HEAD, top + FACE[1] * HEAD, FACE[2] * HEAD, FACE[3] * HEAD))
            truth.append(boxes)
            out.mux(stream.encode(av.VideoFrame.from_image(picture)))
        out.mux(stream.encode())
    return truth


def told(
    film: Path, truth: list[list[Box]], classifier: fer_fast.Classifier, finder: fer_fast.FaceFinder, every: int
) -> dict[str, Any]:
    """What one way through a film tells of the faces in it."""
    counting = Counting(finder)
    there = found = wrong = 0
    overlaps: list[float] = []
    for look in fer_fast.classify_video(film, classifier, finder=counting, find_every=every):  # type: ignore[arg-type]
        boxes = [(each.face.x, each.face.y, each.face.width, each.face.height) for each in look.faces]
        best = [max((overlap(face, box) for box in boxes), default=0.0) for face in truth[look.frame]]
        matched = [share for share in best if share >= MATCH]
        there, found, wrong = there + len(best), found + len(matched), wrong + len(boxes) - len(matched)
        overlaps += matched
    return {
        "faces": there,
        "found": found,
        "elsewhere": wrong,
        "mean_overlap": round(float(np.mean(overlaps)), 4),
        "looks": counting.looks,
        "frames": len(truth),
    }


def overlap(one: Box, other: Box) -> float:
    """What two boxes have in common, of what they cover together."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(across, 0.0) * max(down, 0.0)
    return both / (one[2] * one[3] + other[2] * other[3] - both)


if __name__ == "__main__":
    main()

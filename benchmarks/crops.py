"""How faces are best cut out of photos: labelled faces in composed ones go in, benchmarks/results/crops.json goes out.

python benchmarks/crops.py --data FERPLUS [--faces 1000]

FERPlus' test faces are put into photos at known sizes and tilts (`composed.py`), found, cut in every framing, and
classified. What is cut by the truth instead of the finder tells how much is lost at most.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from composed import Photo, compose, prepared, square_matrix, surrounding
from PIL import Image

from fer_fast import Classifier
from fer_fast.bench.environment import environment
from fer_fast.datasets import load_split
from fer_fast.evaluation import json_text
from fer_fast.faces.finder import FaceFinder
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.config import FRAMINGS
from fer_fast.models.files.checkpoint import read_finder
from fer_fast.ops import native

RESULTS = Path(__file__).parent / "results"
MODELS = ("fast", "tiny")
HEIGHTS = (24, 32, 40, 48, 64, 96, 192)
TILTS = (0, 15, 30, 45)
#: A photo that is finer than what the finder sees of it has its face at this height.
FINE = 96
#: Crops whose sides are so many times as long are tried at this height and these tilts.
SIDES = (0.9, 1.1, 1.2, 1.3, 1.6)
SIDES_HEIGHT, SIDES_TILTS = 96, (0, 30)
#: Up to this height a second look is tried: twice the box, enlarged to so many pixels, is shown to the finder again.
AGAIN_HEIGHT, AGAIN_SIZE, AGAIN_ROOM = 64, 160, 2.0
#: Found is what has its centre within this part of the face's height from the face's.
NEAR = 0.4
CHUNK = 16

Row = npt.NDArray[np.float32]
Matrices = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Case:
    """How faces are shown.

    Attributes:
        height: of the face where the finder looks, pixels.
        photo_height: of the face in the photo.
        tilt: degrees.
    """

    height: int
    photo_height: int
    tilt: int


@dataclass
class Tally:
    """What became of the faces of one case.

    Attributes:
        faces: how many there were.
        found: how many the finder found.
        correct: of those, how many a model gets right, by model and cut.
    """

    faces: int = 0
    found: int = 0
    correct: Counter[tuple[str, str]] = field(default_factory=Counter)


def cases(heights: Sequence[int]) -> list[Case]:
    """All of them: the photo as the finder sees it, and finer."""
    plain = [Case(height, height, tilt) for height in heights for tilt in TILTS]
    return plain + [Case(height, FINE, tilt) for height in heights if height < FINE for tilt in TILTS]


def find(finder: FaceFinder, photo: Photo, case: Case) -> Row | None:
    """The face as the finder sees it, float32 [15] in pixels of the photo; None where it does not."""
    pixels, factor = photo.pixels, case.height / case.photo_height
    if factor < 1:
        side = round(len(pixels) * factor)
        pixels = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    found = finder.find_in(pixels)
    found[:, :14] *= len(photo.pixels) / len(pixels)
    return nearest(found, photo.centre, NEAR * photo.height)


def nearest(found: Row, centre: tuple[float, float], reach: float) -> Row | None:
    """The found face whose centre is nearest to a point, within reach."""
    if not len(found):
        return None
    distances = np.hypot(*(found[:, :2] + found[:, 2:4] / 2 - centre).T)
    best = int(distances.argmin())
    return found[best] if distances[best] <= reach else None


def look_again(finder: FaceFinder, photo: Photo, face: Row) -> Row | None:
    """The face as the finder sees it in a crop about it, enlarged."""
    x, y, width, height = face[:4].tolist()
    centre, side = (x + width / 2, y + height / 2), AGAIN_ROOM * max(width, height)
    matrix = square_matrix(centre, side, 0, AGAIN_SIZE)
    found = finder.find_in(native.core().crop_faces(photo.pixels, matrix[None], AGAIN_SIZE)[0])
    factor = side / AGAIN_SIZE
    found[:, :14] *= factor
    found[:, 0:14:2] += matrix[0, 2]
    found[:, 1:14:2] += matrix[1, 2]
    found[:, 2:4] -= matrix[:, 2]  # a box's size has no place
    return nearest(found, centre, NEAR * max(width, height))


def cuts(finder: FaceFinder, photo: Photo, case: Case, face: Row, size: int) -> Matrices:
    """Where each way of cutting has the crop, by its name."""
    found = {name: _matrix(face, name, size) for name in FRAMINGS}
    result = {"true": photo.matrix(size), **found}
    if case.height == SIDES_HEIGHT and case.tilt in SIDES_TILTS:
        for name, matrix in found.items():
            result |= {f"{name} x {times}": _widened(matrix, times, size) for times in SIDES}
    if case.height <= AGAIN_HEIGHT:
        again = look_again(finder, photo, face)
        seen = face if again is None else again
        result |= {f"{name} again": _matrix(seen, name, size) for name in FRAMINGS}
    return result


def _matrix(face: Row, framing: str, size: int) -> npt.NDArray[np.float64]:
    matrices: npt.NDArray[np.float64] = native.core().crop_matrices(np.ascontiguousarray(face[None]), framing, size)
    return matrices[0]


def _widened(matrix: npt.NDArray[np.float64], times: float, size: int) -> npt.NDArray[np.float64]:
    linear = matrix[:, :2] * times
    middle = matrix @ [size / 2, size / 2, 1]
    return np.column_stack([linear, middle - linear @ np.full(2, size / 2)])


class Bench:
    """Faces go in, tallies come out.

    Args:
        finder: finds them.
        classifiers: read their crops.
        heights: of the faces.
        random: of places and surroundings.
    """

    def __init__(
        self,
        finder: FaceFinder,
        classifiers: dict[str, Classifier],
        heights: Sequence[int],
        random: np.random.Generator,
    ) -> None:
        self._finder, self._classifiers, self._random = finder, classifiers, random
        self._behind = surrounding(random)
        self._waiting: dict[str, list[tuple[Case, str, str, npt.NDArray[np.uint8]]]] = {name: [] for name in MODELS}
        self.tallies = {case: Tally() for case in cases(heights)}

    def show(self, number: int, face: npt.NDArray[np.uint8], label: str) -> None:
        """Shows a face in every case."""
        head = prepared(face, self._random)
        for case, tally in self.tallies.items():
            tilt = case.tilt if number % 2 else -case.tilt
            photo = compose(head, case.photo_height, tilt, self._behind, self._random)
            tally.faces += 1
            seen = find(self._finder, photo, case)
            if seen is None:
                continue
            tally.found += 1
            for name, classifier in self._classifiers.items():
                size = classifier.image_size
                matrices = cuts(self._finder, photo, case, seen, size)
                crops = native.core().crop_faces(photo.pixels, np.stack([*matrices.values()]), size)
                self._waiting[name] += [(case, label, cut, crop) for cut, crop in zip(matrices, crops, strict=True)]

    def classify(self) -> None:
        """Classifies what has been found."""
        for name, waiting in self._waiting.items():
            predictions = self._classifiers[name].predict([crop for *_, crop in waiting])
            for (case, label, cut, _), prediction in zip(waiting, predictions, strict=True):
                self.tallies[case].correct[name, cut] += prediction.label == label
            waiting.clear()


def rows_of(tallies: dict[Case, Tally]) -> Iterator[dict[str, Any]]:
    """The tallies, ready for JSON: shares of what was found that are right, by model and cut."""
    for case, tally in tallies.items():
        row: dict[str, Any] = {"height": case.height, "photo_height": case.photo_height, "tilt": case.tilt}
        row |= {"faces": tally.faces, "found": tally.found}
        for model in MODELS:
            shares = {
                cut: round(right / tally.found, 4) for (name, cut), right in tally.correct.items() if name == model
            }
            row[model] = shares
        yield row


def measure(
    data: Path, count: int, heights: Sequence[int], finder: FaceFinder, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Shows `count` faces of FERPlus' test split, spread over it, in every case."""
    split = load_split(data, "test", 0)
    indices, labels = split.selection("argmax10")
    names = split.classes("argmax10")
    chosen = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int).tolist()
    classifiers = {name: Classifier(name) for name in MODELS}
    bench = Bench(finder, classifiers, heights, np.random.default_rng(0))
    for number, place in enumerate(chosen):
        bench.show(number, split.pixels[indices[place]], names[labels[place]])
        if number % CHUNK == CHUNK - 1 or number == len(chosen) - 1:
            bench.classify()
            tell(f"{number + 1} of {len(chosen)} faces")
    return list(rows_of(bench.tallies))


def main(arguments: list[str] | None = None) -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    parser.add_argument("--faces", type=int, default=1000, help="of the test split (default: 1000)")
    parser.add_argument("--heights", type=int, nargs="+", default=HEIGHTS, help="of the faces where they are found")
    parser.add_argument("--finder", default="finder", help="a finder's name or file")
    parser.add_argument("--out", type=Path, default=RESULTS / "crops.json")
    options = parser.parse_args(arguments)
    target = check_place(str(options.out))
    with FaceFinder(options.finder, find_size=640, min_face=0) as finder:
        rows = measure(options.data, options.faces, options.heights, finder, lambda said: print(said, file=sys.stderr))
    about = {"environment": environment(), "finder": read_finder(options.finder).digest, "rows": rows}
    write_whole(target, json_text(about).encode())


if __name__ == "__main__":
    main()

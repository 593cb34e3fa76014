"""Measures where a photo's time goes: drawn photos come in, microseconds of each step, faces.json, go out.

    python benchmarks/faces.py [--sizes 1280x960 4032x3024] [--photos N] [--out FILE]

Each step is taken alone, one photo after the other, in seconds of all cores (the engines compute on threads of their
own); the rounds of a step stand beside those of the others. Whole runs of the same photos come in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast import Classifier, FaceFinder, classify_folder
from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.portraits import make_photos_with_faces
from fer_fast.decode.codecs import open_file
from fer_fast.decode.limits import limits_of
from fer_fast.decode.views import Crops, Reduced
from fer_fast.faces.framing import crop_matrices
from fer_fast.machine.disk import write_whole

RESULTS = Path(__file__).parent / "results"
ROUNDS = 7


class Clock:
    """Seconds of all cores by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str, call: Callable[[], Any]) -> Any:
        """Does a step and counts it."""
        begun = time.process_time()
        made = call()
        self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - begun
        return made


def by_steps(paths: list[str], classifier: Classifier, finder: FaceFinder, clock: Clock) -> int:
    """All photos, step by step; the number of faces."""
    limits, view, crops = limits_of(1), Reduced(finder.find_size), []
    size, framing = classifier.image_size, classifier.framing
    for path in paths:
        file = clock("open", lambda path=path: open_file(path, view, limits))
        picture = file.picture
        with file.content:
            image = clock("decode", lambda picture=picture: picture.load(view.least(picture)))
            seen = clock("reduce", lambda picture=picture, image=image: view.seen(picture, image))
            found = clock("find", lambda seen=seen: finder.find_in(seen.pixels))
            reduction = max(seen.size) / max(seen.pixels.shape[:2])

            def cut_view(found=found, seen=seen, reduction=reduction) -> Crops:
                height, width, _ = seen.pixels.shape
                faces = finder.faces(found, (width, height), seen.size)
                return Crops(crop_matrices(faces, framing, size, reduction), size, finder.find_size)

            cut = clock("crop", cut_view)
            if (least := cut.least(picture)) != view.least(picture):
                image = clock("decode again", lambda picture=picture, least=least: picture.load(least))
            crops.append(clock("crop", lambda cut=cut, picture=picture, image=image: cut.cut(picture, image)))
    pixels = np.concatenate(crops)
    batch = classifier.batch_size
    for start in range(0, len(pixels), batch):
        clock("classify", lambda start=start: classifier.predict_batch(pixels[start : start + batch]))
    return len(pixels)


def whole(paths: list[str], out: Path, classifier: Classifier, finder: FaceFinder) -> dict[str, float]:
    """A run over them: seconds of all cores, and by the clock on the wall."""
    begun = time.process_time()
    summary = classify_folder(paths, out, classifier=classifier, faces="all", finder=finder)
    return {"cores": time.process_time() - begun, "wall": summary.seconds}


def measured(size: tuple[int, int], count: int, work: Path) -> dict[str, Any]:
    """The steps of photos of one size, and whole runs of them, in microseconds a photo."""
    paths = [str(path) for path in make_photos_with_faces(work / f"{size[0]}", count, size=size)]
    rounds: dict[str, list[float]] = {}
    with Classifier() as classifier, FaceFinder() as finder:
        for number in range(ROUNDS + 1):
            clock = Clock()
            faces = by_steps(paths, classifier, finder, clock)
            ran = whole(paths, work / f"{size[0]}.csv", classifier, finder)
            if number:  # the first is a warm-up
                for step, seconds in (clock.seconds | {f"run, {name}": each for name, each in ran.items()}).items():
                    rounds.setdefault(step, []).append(1e6 * seconds / count)
        engines = classifier.describe() | {f"finder_{name}": each for name, each in finder.describe().items()}
    return {
        "photo": f"{size[0]} x {size[1]}",
        "kilobytes": round(sum(Path(path).stat().st_size for path in paths) / count / 1000),
        "photos": count,
        "faces": faces,
        "ran": {name: engines[name] for name in ("model", "engine", "precision", "finder_engine", "finder_precision")},
        "microseconds": {step: round(statistics.median(each), 1) for step, each in rounds.items()},
        "rounds": {step: [round(each, 1) for each in taken] for step, taken in rounds.items()},
    }


def sides(text: str) -> tuple[int, int]:
    """`WIDTHxHEIGHT` of --sizes."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sizes", type=sides, nargs="+", default=[(1280, 960), (4032, 3024)], help="of the photos, as 1280x960")
    add("--photos", type=int, default=60, help="of each size")
    add("--out", type=Path, default=RESULTS / "faces.json")
    options = parser.parse_args()
    before = environment()
    with tempfile.TemporaryDirectory(prefix="fer-fast-faces-") as work:
        found = [measured(size, options.photos, Path(work)) for size in options.sizes]
    result = {"environment": before | {"load_average_after": load_average()}, "rounds": ROUNDS, "found": found}
    write_whole(options.out, f"{json.dumps(result, indent=1)}\n".encode())
    for each in found:
        print(each["photo"], each["microseconds"])


if __name__ == "__main__":
    main()

"""Scores the packaged face finder and YuNet on the same photos: benchmarks/results/finder.json goes out.

    python benchmarks/finder.py --photos DIR --boxes CSV --compose DIR --yunet FILE [--cv2 VENV/bin/python]
        [--trained RUN/finder.safetensors]

Photos with labelled boxes are scored reduced and enlarged to several sizes, scenes that are composed of other photos
(`fer_fast.train.finder`; of those that training set apart) as they are and degraded. With --cv2, an interpreter that
has OpenCV, its FaceDetectorYN runs on the same files; --trained is a checkpoint that may become the packaged one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fer_fast.bench.environment import environment
from fer_fast.datasets.labelled_boxes import LabelledPhoto, load_boxes
from fer_fast.evaluation import json_text
from fer_fast.evaluation.boxes import Boxes, size_scores
from fer_fast.evaluation.finder import LOWEST_SCORE, find_all
from fer_fast.faces.finder import FaceFinder
from fer_fast.inputs import IMAGE_SUFFIXES
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.train.finder.judged import judged_scenes, labelled
from fer_fast.train.finder.material import DOUBTFUL, LOOKS, load_pictures, set_apart
from fer_fast.train.finder.recipe import load_finder_recipe

RESULTS = Path(__file__).parent / "results"
PROGRAM = Path(__file__).parent / "peers" / "yunet_cv2.py"
#: Longer sides that the labelled photos are brought to; 0 leaves them as they are.
SIDES = (320, 0, 640, 1280)
SCORE = 0.6


@dataclasses.dataclass(frozen=True)
class Material:
    """Photos to find faces in.

    Attributes:
        name: of the row in the JSON.
        files: what is looked at.
        photos: what is labelled, in pixels of the original photos.
        factors: of each file, its pixels in one of the original's.
    """

    name: str
    files: list[Path]
    photos: list[LabelledPhoto]
    factors: list[float]

    def scores(self, found: list[Boxes]) -> list[dict[str, Any]]:
        """Scores of what was found in the files."""
        scaled = [boxes / np.array([factor] * 4 + [1]) for boxes, factor in zip(found, self.factors, strict=True)]
        return size_scores(scaled, self.photos, SCORE)


def main(arguments: list[str] | None = None) -> None:
    """Scores and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--boxes", type=Path, required=True, help="the .csv of their faces")
    parser.add_argument("--compose", type=Path, required=True, help="the photos that the finder was trained with")
    parser.add_argument("--yunet", type=Path, required=True, help="face_detection_yunet_2023mar.onnx")
    parser.add_argument("--trained", type=Path, help="another checkpoint to score")
    parser.add_argument("--cv2", metavar="PYTHON", help="an interpreter with OpenCV")
    parser.add_argument("--out", type=Path, default=RESULTS / "finder.json")
    options = parser.parse_args(arguments)
    target = check_place(str(options.out))
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for material in [*_labelled(options, Path(folder)), *_composed(options, Path(folder))]:
            for run in _runs(material, options):
                runs.append({"material": material.name, **run})
                print(material.name, run["finder"], run["precision"], run["sizes"][0], file=sys.stderr)
    report = {"environment": environment(), "score": SCORE, "runs": runs}
    write_whole(target, json_text(report).encode())


def _labelled(options: argparse.Namespace, folder: Path) -> Iterator[Material]:
    """The labelled photos, at each of `SIDES`."""
    photos = load_boxes(options.photos, options.boxes)
    for side in SIDES:
        files, factors = [], []
        for number, photo in enumerate(photos):
            with Image.open(photo.path) as image:
                factor = side / max(image.size) if side else 1.0
                size = [max(1, round(length * factor)) for length in image.size]
                kind = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BILINEAR
                files.append(folder / f"{side}-{number:04}.png")
                image.convert("RGB").resize(size, kind).save(files[-1])
                factors.append(size[0] / image.size[0])
        yield Material(f"photos, {side} px" if side else "photos", files, photos, factors)


def _composed(options: argparse.Namespace, folder: Path) -> Iterator[Material]:
    """Scenes of photos that training set apart, labelled by YuNet's answers to them in the large."""
    recipe = load_finder_recipe("finder")
    files = [file for file in options.compose.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES]
    with FaceFinder(options.yunet, score=DOUBTFUL, find_size=LOOKS[-1], precision="fp32") as teacher:
        pictures = load_pictures(set_apart(files, recipe.judged)[1], teacher)
    for kind, scenes in judged_scenes(pictures, recipe).items():
        written = [folder / f"{kind}-{number:04}.png" for number in range(len(scenes))]
        for scene, file in zip(scenes, written, strict=True):
            Image.fromarray(scene.pixels).save(file)
        yield Material(f"composed, {kind}", written, [labelled(scene) for scene in scenes], [1.0] * len(scenes))


def _runs(material: Material, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The packaged finder in fp32 and bf16, the other one, and OpenCV's YuNet."""
    largest = max(max(Image.open(file).size) for file in material.files)
    photos = [
        dataclasses.replace(photo, path=file) for photo, file in zip(material.photos, material.files, strict=True)
    ]
    finders = [("packaged", "finder", "fp32"), ("packaged", "finder", "bf16")]
    finders += [("trained further", options.trained, "fp32")] if options.trained else []
    for name, finder, precision in finders:
        settings: dict[str, Any] = {"score": LOWEST_SCORE, "min_face": 0, "find_size": largest}
        with FaceFinder(finder, engine="openvino", precision=precision, **settings) as opened:
            found = find_all(opened, photos)
        yield {"finder": name, "by": "fer_fast", "precision": precision, "sizes": material.scores(found)}
    if options.cv2:
        command = [options.cv2, str(PROGRAM), str(options.yunet), str(LOWEST_SCORE)]
        paths = "\n".join(map(str, material.files))
        said = json.loads(subprocess.run(command, input=paths, stdout=subprocess.PIPE, text=True, check=True).stdout)
        found = [np.array(said["found"][str(file)], np.float64).reshape(-1, 5) for file in material.files]
        by = f"OpenCV {said['version']}"
        yield {"finder": "YuNet", "by": by, "precision": "fp32", "sizes": material.scores(found)}


if __name__ == "__main__":
    main()

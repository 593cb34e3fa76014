"""Photos that one face fills, small and large: in how many it is found, and how many are rightly classified.

python benchmarks/filled.py --data FERPLUS

FERPlus' validation faces that are no copies of training faces, 48 pixels a side, enlarged; each is one photo.
benchmarks/results/filled.json goes out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast import Classifier, FaceFinder
from fer_fast.bench.environment import environment
from fer_fast.decode import views
from fer_fast.evaluation import json_text
from fer_fast.faces import finder as finder_module
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.train.faces import load_faces

Pixels = npt.NDArray[np.uint8]

RESULTS = Path(__file__).parent / "results"
SIDES = (48, 64, 96, 128, 224, 448, 640)
#: Takes each so manyth face.
EVERY = 4


def main(arguments: list[str] | None = None) -> None:
    """Looks at the photos of each side, and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--out", type=Path, default=RESULTS / "filled.json")
    options = parser.parse_args(arguments)
    target = check_place(str(options.out))
    _, valid = load_faces(options.data, 48, "argmax10", "votes")
    faces, labels = valid.pixels[::EVERY, 0].numpy(), [valid.classes[label] for label in valid.labels[::EVERY]]
    with Classifier(options.model) as classifier, FaceFinder() as finder:
        rows = [looked(faces, labels, side, classifier, finder) for side in SIDES]
    about = {"environment": environment(), "model": options.model, "photos": len(faces)}
    write_whole(target, json_text(about | {"sides": rows}).encode())


def looked(faces: Pixels, labels: list[str], side: int, classifier: Classifier, finder: FaceFinder) -> dict[str, Any]:
    """One side's row, shares of all photos."""
    found = classifier.predict_faces(photos(faces, side), finder=finder)
    with patch.object(views, "LEAST_SEEN", 1), patch.object(finder_module, "SECOND_LOOK", sys.maxsize):
        once = finder.find(photos(faces, side))
    right = [bool(each) and each[0].prediction.label == label for each, label in zip(found, labels, strict=True)]
    shares = {
        "found": [len(each) > 0 for each in found],
        "right": right,
        "found_once": [len(each) > 0 for each in once],
    }
    return {"side": side} | {name: round(float(np.mean(each)), 4) for name, each in shares.items()}


def photos(faces: Pixels, side: int) -> Iterator[Pixels]:
    """Each face as a photo of that side."""
    for face in faces:
        yield np.asarray(Image.fromarray(face).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()

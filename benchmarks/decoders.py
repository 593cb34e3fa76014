"""How far the pixels of NVIDIA's libraries are from Pillow's, and what that changes: FERPlus comes in, JSON goes out.

    python benchmarks/decoders.py --data FERPLUS [--device cpu] [--out benchmarks/results/decoders.json]

Two sets: the test split's files as they are (48 px PNG), and the same faces enlarged to photos of odd sizes (JPEG).
Those Pillow decodes at a half, a quarter or an eighth of their size; they are compared with its full decode, too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast import Classifier
from fer_fast.bench.environment import environment
from fer_fast.bench.plain import read_plainly
from fer_fast.datasets.ferplus import SPLIT_PLACES
from fer_fast.decode import Decoder, open_decoder
from fer_fast.decode.choice import LIBRARIES

RESULTS = Path(__file__).parent / "results" / "decoders.json"
BATCH = 64
Pixels = npt.NDArray[np.uint8]
Decode = Callable[[list[Path]], Pixels]
#: Sides of the photos in pixels.
SMALLEST, LARGEST = 301, 1299


def enlarged(faces: list[Path], folder: Path, seed: int = 0) -> list[Path]:
    """The faces as JPEG photos of random sizes, seldom square."""
    random = np.random.default_rng(seed)
    paths = [folder / f"{face.stem}.jpg" for face in faces]
    for face, path in zip(faces, paths, strict=True):
        size = tuple(int(side) for side in random.integers(SMALLEST, LARGEST, 2))
        with Image.open(face) as image:
            image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


class Difference:
    """Of one decoder from Pillow, in grey levels of 255 and in predictions."""

    def __init__(self) -> None:
        self.means: list[float] = []
        self.largest = 0
        self.changed: list[dict[str, Any]] = []

    def add(self, names: list[str], pixels: list[Pixels], probabilities: list[npt.NDArray[np.float32]]) -> None:
        """Takes a batch: of both, the decoder's first."""
        difference = np.abs(pixels[0].astype(np.int16) - pixels[1])
        self.means += difference.mean(axis=(1, 2, 3)).tolist()
        self.largest = max(self.largest, int(difference.max()))
        labels = [each.argmax(axis=1) for each in probabilities]
        for place in np.flatnonzero(labels[0] != labels[1]):
            top = np.sort(probabilities[1][place])[::-1]
            self.changed.append({"file": names[place], "lead": round(float(top[0] - top[1]), 4)})

    def record(self) -> dict[str, Any]:
        """What is written."""
        return {
            "images": len(self.means),
            "mean": round(float(np.mean(self.means)), 4),
            "worst_mean": round(float(np.max(self.means)), 4),
            "largest": self.largest,
            "changed": self.changed,
        }


def compare(
    paths: list[Path], ours: dict[str, Decode], theirs: dict[str, Decode], classifier: Classifier
) -> dict[str, dict[str, Any]]:
    """Each of our decoders against each of Pillow's ways, by the names of both."""
    found = {(decoder, way): Difference() for decoder in ours for way in theirs}
    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        pixels = {name: decode(batch) for name, decode in (ours | theirs).items()}
        probabilities = {name: classifier.predict_batch(each) for name, each in pixels.items()}
        for both, difference in found.items():
            difference.add(
                [path.name for path in batch], [pixels[name] for name in both], [probabilities[name] for name in both]
            )
    return {decoder: {way: found[decoder, way].record() for way in theirs} for decoder in ours}


def by(decoder: Decoder) -> Decode:
    """What a decoder makes of files."""
    return lambda paths: decoder.decode([str(path) for path in paths]).on_host()


def main() -> None:
    """Compares and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    parser.add_argument("--device", default="cpu", help="where they decode: cpu, cuda or cuda:N")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    faces = sorted((options.data / SPLIT_PLACES["test"][0]).glob("*.png"))
    if not faces:
        parser.error(f"data must hold {SPLIT_PLACES['test'][0]}/*.png")
    with ExitStack() as opened:
        opening = Classifier(options.model, engine="torch", device="cpu", precision="fp32", batch_size=BATCH)
        classifier = opened.enter_context(opening)
        size = classifier.image_size
        ours = {name: by(opened.enter_context(open_decoder(name, size, device=options.device))) for name in LIBRARIES}
        pillow = by(opened.enter_context(open_decoder("pillow", size)))
        photos = enlarged(faces, Path(opened.enter_context(tempfile.TemporaryDirectory())))
        of_faces = compare(faces, ours, {"faces": pillow}, classifier)
        full = partial(read_plainly, size=size)
        of_photos = compare(photos, ours, {"photos": pillow, "photos, fully decoded by Pillow": full}, classifier)
    found = {name: of_faces[name] | of_photos[name] for name in ours}
    record = {"model": options.model, "device": options.device, "decoders": found, "environment": environment()}
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    for name, sets in found.items():
        for images, result in sets.items():
            changed = f"{len(result['changed'])} predictions changed"
            print(f"{name}, {images}: mean {result['mean']}, largest {result['largest']}, {changed}")


if __name__ == "__main__":
    main()

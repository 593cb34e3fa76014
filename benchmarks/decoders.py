"""How far DALI's pixels are from Pillow's, and what that changes: FERPlus comes in, JSON goes out.

    python benchmarks/decoders.py --data FERPLUS [--device cpu] [--out benchmarks/results/decoders.json]

Two sets: the test split's files as they are (48 px PNG), and the same faces enlarged to photos of odd sizes (JPEG).
Those Pillow decodes at a half, a quarter or an eighth of their size; they are compared with its full decode, too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
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

RESULTS = Path(__file__).parent / "results" / "decoders.json"
BATCH = 64
Decode = Callable[[list[Path]], npt.NDArray[np.uint8]]
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


def compare(paths: list[Path], ours: Decode, theirs: Decode, classifier: Classifier) -> dict[str, Any]:
    """Differences in grey levels of 255 and in predictions."""
    means, largest, changed = [], [], []
    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        found = [decode(batch) for decode in (ours, theirs)]
        difference = np.abs(found[0].astype(np.int16) - found[1])
        means += difference.mean(axis=(1, 2, 3)).tolist()
        largest.append(int(difference.max()))
        probabilities = [classifier.predict_batch(pixels) for pixels in found]
        labels = [each.argmax(axis=1) for each in probabilities]
        for place in np.flatnonzero(labels[0] != labels[1]):
            top = np.sort(probabilities[1][place])[::-1]
            changed.append({"file": batch[place].name, "lead": round(float(top[0] - top[1]), 4)})
    return {
        "images": len(paths),
        "mean": round(float(np.mean(means)), 4),
        "worst_mean": round(float(np.max(means)), 4),
        "largest": max(largest),
        "changed": changed,
    }


def by(decoder: Decoder) -> Decode:
    """What a decoder makes of files."""
    return lambda paths: decoder.decode([str(path) for path in paths]).on_host()


def main() -> None:
    """Compares and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    parser.add_argument("--device", default="cpu", help="where DALI decodes: cpu, cuda or cuda:N")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    faces = sorted((options.data / SPLIT_PLACES["test"][0]).glob("*.png"))
    if not faces:
        parser.error(f"data must hold {SPLIT_PLACES['test'][0]}/*.png")
    with (
        Classifier(options.model, engine="torch", device="cpu", precision="fp32", batch_size=BATCH) as classifier,
        open_decoder("dali", classifier.image_size, device=options.device) as ours,
        open_decoder("pillow", classifier.image_size) as theirs,
        tempfile.TemporaryDirectory() as folder,
    ):
        photos = enlarged(faces, Path(folder))
        full = partial(read_plainly, size=classifier.image_size)
        sets = {
            "faces": (faces, by(theirs)),
            "photos": (photos, by(theirs)),
            "photos, fully decoded by Pillow": (photos, full),
        }
        found = {name: compare(paths, by(ours), other, classifier) for name, (paths, other) in sets.items()}
    record = {"model": options.model, "device": options.device, "sets": found, "environment": environment()}
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    for name, result in found.items():
        print(
            f"{name}: {result['images']} images, mean {result['mean']}, largest {result['largest']}, "
            f"{len(result['changed'])} predictions changed"
        )


if __name__ == "__main__":
    main()

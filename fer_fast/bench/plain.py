"""The script that a user would write instead: plain Pillow and torch, one image after the other, a CSV row each."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fer_fast.models.config import ClassifierConfig

#: Images a forward pass.
BATCH = 64


def read_plainly(paths: Sequence[Path], size: int) -> npt.NDArray[np.uint8]:
    """Files to pixels, uint8 [paths, size, size, 3], one after the other."""
    upright = (ImageOps.exif_transpose(Image.open(path)) for path in paths)
    images = [image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR) for image in upright]
    return np.stack([np.asarray(image) for image in images])


def classify_plainly(
    infer: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    config: ClassifierConfig,
    paths: Sequence[Path],
    out: Path,
    batch_size: int = BATCH,
) -> int:
    """The plain script: Pillow, a model, one process, one thing after the other.

    Args:
        infer: uint8 [batch, size, size, 3] to logits, float32 [batch, classes].
        config: of the model.
        paths: image files, all good: the first bad one ends it.
        out: the CSV file.
        batch_size: images a forward pass.

    Returns:
        Rows written.
    """
    size, classes = config.image_size, config.classes
    rows = 0
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "confidence", *classes])
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            logits = infer(read_plainly(batch, size)) / config.temperature
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
            for path, row in zip(batch, probabilities.tolist(), strict=True):
                best = max(range(len(classes)), key=row.__getitem__)
                writer.writerow([path, classes[best], row[best], *row])
                rows += 1
    return rows

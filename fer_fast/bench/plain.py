"""What a user would write instead: paths come in, one CSV row each goes out, one image after the other."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fer_fast.models.fusion import FusionModel


@torch.inference_mode()
def classify_plainly(model: FusionModel, paths: Sequence[Path], out: Path, batch_size: int = 64) -> int:
    """The plain script: Pillow, eager fp32 PyTorch, one process, the same weights.

    Args:
        model: in fp32, eval mode.
        paths: image files, all good: the first bad one ends it.
        out: the CSV file.
        batch_size: images a forward pass.

    Returns:
        Rows written.
    """
    size, classes = model.config.image_size, model.config.classes
    rows = 0
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "confidence", *classes])
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            images = [Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR) for path in batch]
            pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
            logits = model(pixels) / model.config.temperature
            for path, row in zip(batch, logits.softmax(dim=1).tolist(), strict=True):
                best = max(range(len(classes)), key=row.__getitem__)
                writer.writerow([path, classes[best], row[best], *row])
                rows += 1
    return rows

"""What tests of films in tables share: folders of films of moving squares, and how they are classified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from films import save_film
from shade_faces import SureFinder, draw
from shades import ShadeClassifier

from fer_fast import classify_folder
from fer_fast.pipeline.summary import Summary

SIZE = (160, 96)
Boxes = Sequence[tuple[int, int, int, int]]


class Shades(ShadeClassifier):
    """Says of a face its shade."""

    framing = "box"


def passing(number: int, frames: int = 30) -> list[tuple[int, int, int, int]]:
    """Two faces that pass by each other in so many frames, the darker one on its way to the right."""
    step = number * 90 // frames
    return [(70, 2 + step, 8, 20), (220, 130 - step, 50, 28)]


def save(path: Path, frames: Sequence[Boxes], **options: Any) -> Path:
    """A film without losses, of 2 frames a second unless told otherwise: a section has 20 of them."""
    pictures = [np.asarray(draw(SIZE, boxes)) for boxes in frames]
    return save_film(path, pictures, **{"rate": 2, "codec": "ffv1", "pix_fmt": "yuv444p", "key_every": 5, **options})


def save_photo(path: Path, boxes: Boxes) -> Path:
    draw(SIZE, boxes).save(path)
    return path


def classified(inputs: Any, out: Any, **options: Any) -> Summary:
    """A run into a table."""
    classifier = options.pop("classifier", None) or Shades()
    try:
        return classify_folder(inputs, out, **{"classifier": classifier, "finder": SureFinder(160), **options})
    finally:
        classifier.close()

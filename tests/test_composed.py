"""The photos of benchmarks/crops.py: what is pasted must lie where they say it does, at any size and tilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import faces

from fer_fast.ops import native

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(("height", "tilt"), [(48, 0), (96, 30), (200, -45)])
def test_the_true_crop_of_a_composed_photo_is_its_face(height: int, tilt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import composed

    random, face = np.random.default_rng(height), faces(1, 48)[0, ..., 0]
    photo = composed.compose(composed.prepared(face, random), height, tilt, composed.surrounding(random), random)
    crop = native.core().crop_faces(photo.pixels, photo.matrix(48)[None], 48)[0, ..., 0]
    inner = slice(6, -6)  # the rim fades into the head
    difference = np.abs(crop[inner, inner].astype(int) - face[inner, inner])
    assert difference.mean() < 2 and difference.max() < 16
    turned = np.abs(np.rot90(crop)[inner, inner].astype(int) - face[inner, inner])
    assert turned.mean() > 10, "the face would not show an error of place"

"""What benchmarks/confidence.py sees of a model: its answers, and its heads, over views and members."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_fast.classifier import Classifier
from fer_fast.models.loading import load_model

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("name", "width"), [("tiny", 192), ("accurate", 192 + 192)])
def test_what_is_seen_of_a_model(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    confidence = importlib.import_module("confidence")
    model = load_model(name)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 112, 112), np.uint8))
    seen = confidence.look(model, pixels)
    again = confidence.look(model, pixels.flip(3))
    assert seen.features.shape == (5, width) and seen.energy.shape == seen.largest.shape == (5,)
    assert (seen.energy > seen.largest).all(), "a sum of exponentials is more than its largest"
    with Classifier(name, engine="torch", precision="bf16", device="cpu") as classifier:
        size = classifier.image_size
        images = confidence.plain(pixels, size).byte().permute(0, 2, 3, 1).contiguous().numpy()
        answers = classifier.predict_batch(images)
    assert seen.probabilities.numpy() == pytest.approx(answers, abs=0.03)
    if name == "accurate":  # of two views: the mirror image is the same
        assert torch.allclose(seen.features, again.features, atol=0.02)
        assert torch.allclose(seen.energy, again.energy, atol=0.1)
    else:
        first = seen.probabilities.log()
        of_logits = (first + seen.energy[:, None]).amax(dim=1)
        assert torch.allclose(of_logits, seen.largest, atol=1e-3), "energy is what normalises the logits"

"""What a network is changed to for a card, on the CPU: it computes what it did."""

from __future__ import annotations

import pytest
import torch
from tiny_models import faces, random_model, tiny_config

from fer_fast.models.card import fit_to_card
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.registry import architecture_of

TAPS = {"sources": ("image", "FM1", "FM3")}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(random_model(tiny_config(**TAPS)), path)
    return read_checkpoint(path)


@pytest.mark.parametrize(
    ("precision", "major", "channels", "planes"),
    [("fp32", 6, 3, True), ("fp16", 6, 3, True), ("fp32", 9, 3, False), ("bf16", 8, 4, False), ("fp16", 7, 4, False)],
)
def test_the_same_logits(checkpoint: Checkpoint, precision: str, major: int, channels: int, planes: bool) -> None:
    images = torch.from_numpy(faces(3, checkpoint.config.image_size))
    before, after = (architecture_of(checkpoint).eager(checkpoint, precision) for _ in range(2))
    fit_to_card(after, precision, major)
    with torch.inference_mode():
        pixels = after.normalised(images)
        assert pixels.shape[1] == after.backbone.conv1.weight.shape[1] == channels
        assert pixels.is_contiguous() is planes
        assert after.backbone.conv1.weight.is_contiguous() is planes
        tolerance = 1e-4 if precision == "fp32" else 0.05
        torch.testing.assert_close(after(images).float(), before(images).float(), rtol=tolerance, atol=tolerance)


def test_a_network_without_a_first_convolution_of_its_own_keeps_its_channels(checkpoint: Checkpoint) -> None:
    model = random_model(tiny_config(sources=("image",)))
    fit_to_card(model, "bf16", 9)
    assert model.pixel_channels == 3
    fit_to_card(torch.nn.Conv2d(3, 4, 1), "fp32", 6)  # a finder's network is none of a classifier's

"""What a network is changed to for a card, on the CPU: it computes what it did."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tiny_models import faces, random_model, tiny_config
from torch import Tensor

from fer_fast.models import convolutions
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


def relu_as_cudnn(pixels: Tensor, weight: Tensor, bias: Tensor, *shape: object) -> Tensor:
    return F.relu(F.conv2d(pixels, weight, bias, *shape))


def add_relu_as_cudnn(pixels: Tensor, weight: Tensor, z: Tensor, alpha: float, bias: Tensor, *shape: object) -> Tensor:
    return F.relu(F.conv2d(pixels, weight, bias, *shape) + alpha * z)


@pytest.mark.parametrize(("precision", "major"), [("fp32", 6), ("fp32", 9), ("bf16", 9)])
def test_fused_convolutions_are_the_same_backbone(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, precision: str, major: int
) -> None:
    called: list[str] = []
    ways = {"cudnn_convolution_relu": relu_as_cudnn, "cudnn_convolution_add_relu": add_relu_as_cudnn}
    for name, way in ways.items():
        monkeypatch.setattr(torch, name, lambda *given, name=name, way=way: called.append(name) or way(*given))
    images = torch.from_numpy(faces(3, checkpoint.config.image_size))
    before, after = (architecture_of(checkpoint).eager(checkpoint, precision) for _ in range(2))
    assert fit_to_card(after, precision, major) == {"convolutions": "fused by cuDNN"}
    called.clear()
    with torch.inference_mode():
        tolerance = 1e-4 if precision == "fp32" else 0.05
        torch.testing.assert_close(after(images).float(), before(images).float(), rtol=tolerance, atol=tolerance)
    # The stem, and of three stages of two blocks each a first and a second convolution.
    assert [called.count(name) for name in ways] == [1 + 6, 6]


def test_convolutions_that_cannot_be_fused_or_are_wrong_are_left(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    model = architecture_of(checkpoint).eager(checkpoint, "fp32")
    assert fit_to_card(model, "fp32", 9) == {} and "does not fuse convolutions in torch.float32 here" in caplog.text
    monkeypatch.setattr(torch, "cudnn_convolution_relu", relu_as_cudnn)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", lambda *given: 1.01 * add_relu_as_cudnn(*given))
    assert not convolutions.fuses(torch.device("cpu"), torch.float32, torch.channels_last)
    assert "wrong in torch.float32 here, and are not used" in caplog.text


@pytest.mark.needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_on_a_card_what_fuses_is_right(checkpoint: Checkpoint, precision: str) -> None:
    images = torch.from_numpy(faces(3, checkpoint.config.image_size)).cuda()
    before, after = (architecture_of(checkpoint).eager(checkpoint, precision).cuda() for _ in range(2))
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        fit_to_card(after, precision, torch.cuda.get_device_capability()[0])
        tolerance = 1e-3 if precision == "fp32" else 0.05
        torch.testing.assert_close(after(images).float(), before(images).float(), rtol=tolerance, atol=tolerance)


def test_a_network_without_a_first_convolution_of_its_own_keeps_its_channels(checkpoint: Checkpoint) -> None:
    model = random_model(tiny_config(sources=("image",)))
    fit_to_card(model, "bf16", 9)
    assert model.pixel_channels == 3
    fit_to_card(torch.nn.Conv2d(3, 4, 1), "fp32", 6)  # a finder's network is none of a classifier's

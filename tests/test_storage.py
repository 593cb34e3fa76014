"""Between a checkpoint's file and a torch model: what is saved comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import faces, image_config, image_logits, random_model, save_image_model, tiny_config

import fer_fast
from fer_fast.models.batch_norm import channels_last
from fer_fast.models.files.checkpoint import read_checkpoint, write_checkpoint
from fer_fast.models.files.storage import build_model, save_model
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.loading import load_model
from fer_fast.types import CheckpointError

CONFIG = image_config(image_size=4, mean=(0.1, 0.2, 0.3), temperature=1.25)


@pytest.fixture(scope="module")
def model() -> FusionModel:
    return random_model(CONFIG)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_round_trip(model: FusionModel, tmp_path: Path, dtype: type[np.floating]) -> None:
    path = tmp_path / "model.safetensors"
    save_model(model, path, dtype)
    again = load_model(path)
    assert again.config == model.config
    assert not again.training and not any(parameter.requires_grad for parameter in again.parameters())
    for name, tensor in model.state_dict().items():
        stored = tensor.numpy().astype(dtype).astype(np.float32)
        np.testing.assert_array_equal(again.state_dict()[name].numpy(), stored, err_msg=name)
    images = torch.from_numpy(faces(3, 4))
    # fp16 weights: 2^-11 relative each, logits of a few units.
    tolerance = 0.0 if dtype is np.float32 else 0.02
    torch.testing.assert_close(again(images), model(images), rtol=0, atol=tolerance)


def test_backbone_comes_back_without_batch_norms_counters(tmp_path: Path) -> None:
    model = random_model(tiny_config(sources=("FM1",)))
    path = tmp_path / "model.safetensors"
    save_model(model, path, np.float32)
    assert not [name for name in read_checkpoint(path).tensors if "num_batches_tracked" in name]
    images = torch.from_numpy(faces(2, 64))
    torch.testing.assert_close(load_model(path)(images), model(images), rtol=0, atol=0)


def test_channels_last_weights_come_back(tmp_path: Path) -> None:
    model = random_model(tiny_config(sources=("FM1",)))
    images = torch.from_numpy(faces(2, 64))
    expected = model(images)
    channels_last(model)
    save_model(model, tmp_path / "model.safetensors", np.float32)
    torch.testing.assert_close(load_model(tmp_path / "model.safetensors")(images), expected, rtol=0, atol=0)


def test_weights_beyond_fp16_are_not_stored_as_infinity(tmp_path: Path) -> None:
    model = FusionModel(CONFIG)
    with torch.no_grad():
        model.vit.head.bias[3] = 70_000.0
    with pytest.raises(ValueError, match=r"'vit\.head\.bias' .*float16"):
        save_model(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
    save_model(model, tmp_path / "model.safetensors", np.float32)
    assert build_model(read_checkpoint(tmp_path / "model.safetensors")).vit.head.bias[3] == 70_000.0


@pytest.mark.parametrize("changes", [{}, {"depth": 2, "heads": 4, "classes": ("no", "yes"), "std": (0.3, 0.5, 0.4)}])
def test_the_model_by_numpy_is_the_torch_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Which the tests without torch compare with."""
    path = tmp_path / "model.safetensors"
    config = save_image_model(path, image_config(**changes))
    images = faces(5, config.image_size)
    expected = load_model(path)(torch.from_numpy(images)).numpy()
    assert expected.std(axis=0).min() > 0.5, "logits that hardly differ would prove nothing"
    np.testing.assert_allclose(image_logits(config, read_checkpoint(path).tensors, images), expected, atol=1e-5)


def test_tensors_must_fit_the_configuration(model: FusionModel, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    tensors = dict(read_checkpoint(path).tensors)
    write_checkpoint(path, CONFIG, tensors | {"vit.head.weight": tensors["vit.head.weight"][:7]})
    with pytest.raises(CheckpointError, match=r"'vit.head.weight' must have the shape \[8, 8\], not \[7, 8\]"):
        load_model(path)
    write_checkpoint(path, CONFIG, tensors | {"extra": np.zeros(1, np.float16)})
    with pytest.raises(CheckpointError, match="has an unknown tensor 'extra'"):
        load_model(path)
    write_checkpoint(path, CONFIG, {name: tensor for name, tensor in tensors.items() if name != "vit.norm.bias"})
    with pytest.raises(CheckpointError, match=r"lacks tensor 'vit.norm.bias'"):
        load_model(path)


def test_public_name() -> None:
    assert fer_fast.load_model is load_model

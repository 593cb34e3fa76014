"""int8: ranges are measured as they are, quantised layers stay near the exact ones, nothing is quantised unasked."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import faces, random_model, tiny_config
from torch import nn

from fer_fast.engines import open_engine
from fer_fast.engines import openvino as openvino_engine
from fer_fast.models.algebraic import AlgebraicModel
from fer_fast.models.checkpoint import read_checkpoint
from fer_fast.models.fusion import FusionModel
from fer_fast.models.quantised import QuantisedLayer, measure_ranges, quantisable_layers, quantise
from fer_fast.models.storage import save_model
from fer_fast.train.calibrate import ranges_within_gate

#: 8 bits, one range a tensor: steps of 1/255 of the range, through ten layers; logits have a deviation of 2.
LOGIT = 1.0
MEAN_LOGIT = 0.3


@pytest.fixture(scope="module")
def measured() -> FusionModel:
    """A model with measured ranges, small enough to be compiled often."""
    model = random_model(tiny_config(sources=("image", "FM1")))
    ranges = measure_ranges(AlgebraicModel(model), torch.from_numpy(faces(64, 64, seed=9)))
    model.config = dataclasses.replace(model.config, activation_ranges=ranges)
    return model


def assert_near(logits: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(logits, expected, rtol=0, atol=LOGIT)
    assert np.abs(logits - expected).mean() < MEAN_LOGIT
    assert np.abs(logits - expected).max() > 1e-3, "nothing was quantised"


def test_layer_worked_by_hand() -> None:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[127.0, 1.4]]))  # one step of the weights is 1: 1.4 becomes 1
        quantised = QuantisedLayer(layer, low=-1.0, high=254.0)  # one step of the input is 1
        inputs = torch.tensor([[1.0, 100.0], [1.4, 0.0], [-5.0, 300.0]])
        found = quantised(inputs)
    torch.testing.assert_close(found, torch.tensor([[127.0 + 100.0], [127.0], [-127.0 + 254.0]]))


def test_ranges_are_those_of_the_inputs(measured: FusionModel) -> None:
    model = AlgebraicModel(measured)
    assert set(measured.config.activation_ranges) == set(quantisable_layers(model))
    images = torch.from_numpy(faces(4, 64))
    ranges = measure_ranges(model, images, batch_size=4)
    pixels = model.normalised(images)
    first = ranges["backbone.conv1"]
    assert first == pytest.approx((min(0.0, pixels.min().item()), pixels.max().item()), rel=1e-6)
    assert all(low <= 0 < high for low, high in ranges.values())
    assert not any(layer._forward_pre_hooks for layer in quantisable_layers(model).values())


@torch.no_grad()
def test_quantised_model_is_near(measured: FusionModel) -> None:
    images = torch.from_numpy(faces(16, 64, seed=5))
    exact = AlgebraicModel(measured)
    expected = exact(images)
    quantised = quantise(AlgebraicModel(measured))
    assert sum(isinstance(layer, QuantisedLayer) for layer in quantised.modules()) == len(quantisable_layers(exact))
    assert_near(quantised(images).numpy(), expected.numpy())
    torch.testing.assert_close(exact(images), expected, rtol=0, atol=0)


def test_ranges_of_another_model_are_refused(measured: FusionModel) -> None:
    model = copy.copy(measured)
    model.config = dataclasses.replace(measured.config, activation_ranges={"backbone.conv1": (-1.0, 1.0)})
    for wrong in (model, random_model(tiny_config(sources=("image",)))):
        with pytest.raises(ValueError, match="int8 needs a checkpoint whose activation ranges were measured"):
            quantise(AlgebraicModel(wrong))


def test_gate_keeps_ranges_only_if_int8_keeps_accuracy(measured: FusionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.from_numpy(faces(32, 64, seed=5))
    labels = AlgebraicModel(measured)(images).argmax(dim=1)  # the exact model is always right
    monkeypatch.setattr("fer_fast.train.calibrate.INT8_GATE", 1.0)
    ranges, fall = ranges_within_gate(measured, images, images, labels)
    assert set(ranges) == set(measured.config.activation_ranges)
    assert 0.0 <= fall < 0.25
    monkeypatch.setattr("fer_fast.train.calibrate.INT8_GATE", -1.0)
    assert ranges_within_gate(measured, images, images, labels) == ({}, fall)


def test_openvino_computes_it(measured: FusionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    save_model(measured, tmp_path / "m.safetensors")
    checkpoint = read_checkpoint(tmp_path / "m.safetensors")
    assert checkpoint.config.activation_ranges == measured.config.activation_ranges
    engine = open_engine(checkpoint, engine="openvino", precision="int8", batch_size=16)
    images = faces(16, 64, seed=5)
    assert_near(engine.infer(images), measured(torch.from_numpy(images)).numpy())
    assert engine.describe()["precision"] == "int8"
    again = open_engine(checkpoint, engine="openvino", precision="int8", batch_size=16)
    np.testing.assert_array_equal(again.infer(images), engine.infer(images))
    assert again.describe()["cache"] == "hit"


@pytest.mark.parametrize(
    ("measured_ranges", "vnni", "amx", "chosen"),
    [
        (True, True, False, "int8"),
        (True, True, True, "bf16"),
        (True, False, False, "bf16"),
        (False, True, False, "bf16"),
    ],
)
def test_auto_takes_int8_only_where_it_pays(
    measured_ranges: bool, vnni: bool, amx: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Core:
        def get_property(self, *_: str) -> list[Any]:
            return ["FP32", "BF16", "INT8"]

    monkeypatch.setattr(openvino_engine, "has_int8_dot_products", lambda: vnni)
    monkeypatch.setattr(openvino_engine, "has_amx", lambda: amx)
    assert openvino_engine._precision("auto", Core(), measured_ranges) == chosen

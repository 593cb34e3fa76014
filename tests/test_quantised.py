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
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.quantised import QuantisedLayer, measure_ranges, quantisable_layers, quantise
from fer_fast.train import calibrate
from fer_fast.train.calibrate import measure_falls, with_ranges
from fer_fast.types import FerFastError

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


def test_symmetric_layer_worked_by_hand() -> None:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[127.0, 1.4]]))
        quantised = QuantisedLayer(layer, low=-254.0, high=100.0, symmetric=True)  # one step of the input is 2
        inputs = torch.tensor([[2.0, 100.0], [0.9, 0.0], [-300.0, 300.0]])
        found = quantised(inputs)
    torch.testing.assert_close(found, torch.tensor([[254.0 + 100.0], [0.0], [127 * -254.0 + 254.0]]))


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


@pytest.mark.parametrize("symmetric", [False, True])
@torch.no_grad()
def test_quantised_model_is_near(measured: FusionModel, symmetric: bool) -> None:
    images = torch.from_numpy(faces(16, 64, seed=5))
    exact = AlgebraicModel(measured)
    expected = exact(images)
    quantised = quantise(AlgebraicModel(measured), symmetric)
    assert sum(isinstance(layer, QuantisedLayer) for layer in quantised.modules()) == len(quantisable_layers(exact))
    assert_near(quantised(images).numpy(), expected.numpy())
    torch.testing.assert_close(exact(images), expected, rtol=0, atol=0)


def test_ranges_of_another_model_are_refused(measured: FusionModel) -> None:
    ranges = dict(measured.config.activation_ranges)
    some = {name: ends for name, ends in ranges.items() if name != "vit.head"}
    for wrong, words in (
        ({}, "int8 needs a checkpoint whose activation ranges were measured"),
        (some, "activation_ranges of the model's layers, all of them: 'vit.head' has none"),
        (ranges | {"a": (-1.0, 1.0)}, "activation_ranges of the model's layers, all of them: 'a' is no layer of it"),
    ):
        model = copy.copy(measured)
        model.config = dataclasses.replace(measured.config, activation_ranges=wrong)
        with pytest.raises(ValueError, match=words):
            quantise(AlgebraicModel(model))


def test_ranges_are_put_into_the_configuration() -> None:
    model = random_model(tiny_config(sources=("image", "FM1")))
    images = torch.from_numpy(faces(40, 64, seed=9))
    assert with_ranges(model, images) is model
    assert model.config.activation_ranges == measure_ranges(AlgebraicModel(model), images)


def test_falls_by_hand(measured: FusionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    save_model(measured, path)
    before = read_checkpoint(path)
    labels = torch.arange(80) % 8
    images = torch.arange(80, dtype=torch.uint8).view(80, 1, 1, 1)  # an image is its number
    wrong = {"fp32": 20, "int8": 23, "fp16": 16}  # of 80

    class Engine:
        def __init__(self, precision: str) -> None:
            self.wrong = wrong[precision]

        def infer(self, pixels: np.ndarray) -> np.ndarray:
            assert len(pixels) <= 32
            numbers = pixels.ravel().astype(int)
            return np.eye(8, dtype=np.float32)[np.where(numbers < self.wrong, numbers + 1, numbers) % 8]

        def close(self) -> None:
            closed.append(self.wrong)

    def opened(checkpoint: Checkpoint, *, precision: str, batch_size: int, cached: bool, device: str) -> Engine:
        assert checkpoint.digest == before.digest and batch_size == 32 and not cached
        if precision == "bf16":
            raise FerFastError("this processor has no bf16 instructions")
        return Engine(precision)

    closed: list[int] = []
    monkeypatch.setattr(calibrate, "open_engine", opened)
    assert measure_falls(path, images, labels, "cuda") == {"int8": 0.0375, "fp16": -0.05}
    assert closed == [20, 23, 20, 16]
    before = read_checkpoint(path)
    assert measure_falls(path, images, labels, "cpu") == {"int8": 0.0375}
    after = read_checkpoint(path)
    assert after.config == dataclasses.replace(measured.config, precision_falls={"int8": 0.0375})
    assert all(np.array_equal(after.tensors[name], before.tensors[name]) for name in before.tensors)
    before, wrong["int8"] = after, 21  # one image is no evidence
    assert measure_falls(path, images, labels, "cpu") == {"int8": 0.0}


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


#: With and without what int8 needs, and what each precision costs; then what "auto" takes.
AUTO: list[tuple[bool, bool, bool, dict[str, float], str]] = [
    # ranges, int8 dot products, AMX, falls
    (True, True, False, {}, "bf16"),  # int8 was not measured
    (True, True, False, {"bf16": 0.0}, "bf16"),
    (True, True, False, {"int8": 0.0}, "int8"),
    (True, True, True, {"int8": 0.0}, "bf16"),
    (True, False, False, {"int8": 0.0}, "bf16"),
    (False, True, False, {"int8": 0.0}, "bf16"),
    (True, True, False, {"int8": 0.003}, "int8"),  # exactly what is allowed
    (True, True, False, {"int8": 0.003001}, "bf16"),
    (True, True, False, {"int8": -0.02, "bf16": 0.1}, "int8"),
    (True, True, False, {"int8": 0.01, "bf16": 0.003}, "bf16"),
    (True, True, False, {"int8": 0.01, "bf16": 0.0031}, "fp32"),
    (True, True, True, {"bf16": 0.0031}, "fp32"),  # int8 is not what AMX is for
]


@pytest.mark.parametrize(("ranges", "vnni", "amx", "falls", "chosen"), AUTO)
def test_auto_takes_the_fastest_that_keeps_accuracy(
    ranges: bool, vnni: bool, amx: bool, falls: dict[str, float], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Core:
        def get_property(self, *_: str) -> list[Any]:
            return ["FP32", "BF16", "INT8"]

    monkeypatch.setattr(openvino_engine, "has_int8_dot_products", lambda: vnni)
    monkeypatch.setattr(openvino_engine, "has_amx", lambda: amx)
    config = tiny_config(activation_ranges={"vit.head": (-1.0, 1.0)} if ranges else {}, precision_falls=falls)
    checkpoint = Checkpoint(config, {}, "")
    assert openvino_engine._precision("auto", Core(), checkpoint) == chosen

"""Networks laid with OpenVINO's operators are those of the torch models, in numbers; wrong checkpoints are refused."""

from __future__ import annotations

import dataclasses
import itertools
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from engine_agreement import assert_agree, probabilities
from tiny_models import faces, random_model, tiny_config
from torch import nn

from fer_fast.bench.portraits import photo_with_faces
from fer_fast.decode import pixels_of
from fer_fast.engines.openvino_graph import openvino_core
from fer_fast.engines.openvino_layers import OpenVinoLayers, laid, ops
from fer_fast.engines.openvino_library import openvino
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint, read_finder
from fer_fast.models.files.paths import packaged_models, study_models
from fer_fast.models.files.storage import build_finder, build_model
from fer_fast.models.finder.layers import finder_shapes
from fer_fast.models.finder.network import FinderNetwork
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.models.fusion.config import SOURCES
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.fusion.tensors import fusion_shapes
from fer_fast.models.quantised import QuantisedLayer, measure_ranges
from fer_fast.models.registry import architecture_of
from fer_fast.types import CheckpointError

SHARED = Path(os.environ.get("FER_FAST_SHARED", Path(__file__).parents[2] / "shared"))
#: fp32 through some forty layers, sums in another order.
PROBABILITY = 1e-5
ALL_SETS = [chosen for count in range(1, 6) for chosen in itertools.combinations(SOURCES, count)]
#: Of the sets of sources those in which each has each place; FM4 is slow to make.
SOME_SETS = [("image",), ("FM1",), ("FM4",), ("image", "FM1"), ("FM1", "FM2"), ("image", "FM2", "FM3"), SOURCES]


def run(graph: openvino.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The graph's answer in fp32."""
    found: npt.NDArray[np.float32] = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        [images]
    )[0]
    return found


def checkpoint_of(model: FusionModel) -> Checkpoint:
    """What a file of it would hold, in fp32."""
    names = dict(fusion_shapes(model.config))
    return Checkpoint(model.config, {name: model.state_dict()[name].numpy() for name in names}, "")


def assert_same(found: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> None:
    np.testing.assert_allclose(probabilities(found), probabilities(wanted), rtol=0, atol=PROBABILITY)
    np.testing.assert_array_equal(found.argmax(axis=1), wanted.argmax(axis=1))


@pytest.mark.parametrize("name", packaged_models())
def test_packaged_models(name: str) -> None:
    checkpoint = read_checkpoint(name)
    images = faces(8, checkpoint.config.image_size, seed=5)
    assert_same(run(laid(checkpoint, 8), images), build_model(checkpoint)(torch.from_numpy(images)).numpy())


@pytest.mark.parametrize("name", packaged_models())
def test_packaged_models_on_faces(name: str) -> None:
    archive = SHARED / "data" / "ferplus" / "FER2013Test.tar"
    if not archive.is_file():
        pytest.skip(f"there is no {archive}; FER_FAST_SHARED names the folder that holds data/ferplus")
    checkpoint = read_checkpoint(name)
    side = checkpoint.config.image_size
    with tarfile.open(archive) as tar:
        chosen = itertools.islice((each for each in tar if each.name.endswith(".png")), 48)
        contents = [tar.extractfile(each).read() for each in chosen]  # type: ignore[union-attr]
    images = np.stack([pixels_of(content, side) for content in contents])
    assert_same(run(laid(checkpoint, 48), images), build_model(checkpoint)(torch.from_numpy(images)).numpy())


@pytest.mark.parametrize(
    "changes",
    [
        *({"sources": sources} for sources in SOME_SETS),
        {"sources": ("FM1", "FM3"), "reduce_mean": True, "image_size": 56, "grid": 7},  # taps are enlarged
        {"sources": ("image", "FM2"), "reduce_mean": True, "flip_average": True},
        {"sources": ("image", "FM1", "FM2", "FM3"), "image_size": 50, "grid": 5},  # 13, 7, 4: resized up and down
        {"sources": ("image", "FM1"), "image_size": 42, "grid": 6, "flip_average": True},
        {"sources": ("FM2", "FM3"), "image_size": 32, "grid": 1, "heads": 1},
        {"sources": ("image", "FM3"), "image_size": 1, "grid": 1},
        {"sources": ("FM1",), "depth": 3, "width": 24, "heads": 3, "mlp_ratio": 1.3, "classes": ("no", "yes", "both")},
        {"sources": ("image",), "mean": (0.1, 0.5, 0.9), "std": (0.5, 0.2, 1.0)},
        {"backbone": "face-resnet", "sources": SOURCES, "image_size": 112, "grid": 7},
        {"backbone": "face-resnet", "sources": ("image", "FM2"), "image_size": 60, "grid": 4, "flip_average": True},
    ],
    ids=str,
)
def test_random_models(changes: dict[str, Any]) -> None:
    config = tiny_config(**changes)
    model = random_model(config)
    images = faces(3, config.image_size, seed=5)
    found = run(laid(checkpoint_of(model), 3), images)
    assert_same(found, model(torch.from_numpy(images)).numpy())
    assert found.shape == (3, len(config.classes))


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 96), (2, 160, 32)])
def test_finder(shape: tuple[int, int, int]) -> None:
    drawn, _ = photo_with_faces(np.random.default_rng(3), (160, 160), 2)
    count, height, width = shape
    images = np.stack([np.roll(drawn, 7 * number, axis=0)[:height, :width] for number in range(count)])
    wanted = build_finder(read_finder("finder"))(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(run(laid(read_finder("finder"), 3), images), wanted, rtol=1e-5, atol=1e-4)


@pytest.fixture(scope="module")
def measured() -> Checkpoint:
    """A small model that int8 can run."""
    model = random_model(tiny_config(sources=("image", "FM1"), flip_average=True))
    ranges = measure_ranges(AlgebraicModel(model), torch.from_numpy(faces(64, 64, seed=9)))
    model.config = dataclasses.replace(model.config, activation_ranges=ranges)
    return checkpoint_of(model)


@torch.inference_mode()
def test_int8_is_what_torch_simulates(measured: Checkpoint) -> None:
    images = faces(16, 64, seed=5)
    found, exact = run(laid(measured, 16, int8=True), images), run(laid(measured, 16), images)
    simulated = architecture_of(measured).graph(measured, "int8")(torch.from_numpy(images)).numpy()
    assert_agree(found, simulated, "int8")
    # A value between two steps may fall on either; that is less than what the steps themselves cost.
    assert np.abs(found - simulated).mean() < 0.7 * np.abs(simulated - exact).mean()


# Those of the study are held by test_cnn.py: in so few channels a value that falls on another step weighs more.
@pytest.mark.parametrize("name", [name for name in packaged_models() if name not in study_models()])
@torch.inference_mode()
def test_int8_of_packaged_models(name: str) -> None:
    checkpoint = read_checkpoint(name)
    images = faces(8, checkpoint.config.image_size, seed=5)
    found = run(laid(checkpoint, 8, int8=True), images)
    simulated = architecture_of(checkpoint).graph(checkpoint, "int8")(torch.from_numpy(images)).numpy()
    np.testing.assert_array_equal(found.argmax(axis=1), simulated.argmax(axis=1))
    np.testing.assert_allclose(probabilities(found), probabilities(simulated), rtol=0, atol=0.03)


@pytest.mark.parametrize("ends", [(0.0, 3.0), (-1.7, 2.3), (-0.004, 4.0), (-3.0, 1e-6)])
@pytest.mark.parametrize("kind", ["convolution", "linear"])
@torch.inference_mode()
def test_a_quantised_layer_is_torchs(kind: str, ends: tuple[float, float]) -> None:
    random = np.random.default_rng(7)
    is_linear = kind == "linear"
    layer = nn.Linear(6, 5) if is_linear else nn.Conv2d(6, 5, 3, stride=2, padding=1)
    layer.weight.data[2] = 0.0  # a channel without weights
    shape = (4, 7, 6) if is_linear else (4, 6, 9, 9)
    x = (random.standard_normal(shape) * 2).astype(np.float32)  # some of it lies outside
    layers, values = OpenVinoLayers({"it": ends}), ops.parameter(list(shape), np.float32)
    lay, more = (layers.linear, ()) if is_linear else (layers.convolution, (2, 1))
    weights = (layer.weight.numpy(), layer.bias.numpy())
    graph = openvino.Model([lay("it", values.output(0), *weights, *more)], [values])
    found, wanted = run(graph, x), QuantisedLayer(layer, *ends)(torch.from_numpy(x)).numpy()
    step = (ends[1] - ends[0]) / 255 * np.abs(weights[0]).max()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1.01 * step)
    assert (np.abs(found - wanted) < 0.01 * step).mean() > 0.99, "halves alone may be rounded the other way"


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """What a file holds of it."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize("sources", ALL_SETS, ids="+".join)
def test_shapes_are_those_of_the_torch_model(sources: tuple[str, ...]) -> None:
    for reduce_mean, image_size in itertools.product((False, True), (64, 68)):
        config = tiny_config(sources=sources, reduce_mean=reduce_mean, image_size=image_size, depth=2, mlp_ratio=1.3)
        with torch.device("meta"):
            assert dict(fusion_shapes(config)) == shapes_of(FusionModel(config))


def test_shapes_of_the_finder() -> None:
    assert dict(finder_shapes()) == shapes_of(FinderNetwork())


def test_tensors_that_do_not_fit_are_refused(measured: Checkpoint) -> None:
    def refused(tensors: Mapping[str, np.ndarray], **changes: Any) -> str:
        config = dataclasses.replace(measured.config, **changes)
        with pytest.raises(CheckpointError) as caught:
            laid(Checkpoint(config, dict(tensors), ""), 2)
        return str(caught.value)

    whole = measured.tensors
    lacking = {name: array for name, array in whole.items() if name != "vit.norm.bias"}
    assert refused(lacking) == "the checkpoint lacks tensor 'vit.norm.bias' for its configuration"
    assert "has an unknown tensor 'extra'" in refused(whole | {"extra": np.zeros(1)})
    cut = {"vit.head.weight": whole["vit.head.weight"][:7]}
    assert "'vit.head.weight' must have the shape [8, 32], not [7, 32]" in refused(whole | cut)
    assert "lacks tensor 'vit.blocks.1.norm1.weight'" in refused(whole, depth=1000)
    assert "must have the shape" in refused(whole, image_size=128)
    assert "must have the shape" in refused(whole, width=10**8)
    assert "lacks tensor 'mean_FM4'" in refused(whole, sources=("image", "FM1", "FM4"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_that_are_no_numbers_are_refused(measured: Checkpoint, number: float, dtype: type) -> None:
    """A kernel of the first convolution: behind its ReLU an engine may make a number of it, and answer."""
    kernels = measured.tensors["backbone.conv1.weight"].astype(dtype)
    with np.errstate(over="ignore"):
        kernels[3, 1, 2, 4] = number
    damaged = dataclasses.replace(measured, tensors={**measured.tensors, "backbone.conv1.weight": kernels})
    with pytest.raises(CheckpointError, match=r"tensor 'backbone\.conv1\.weight' must have numbers that float32 holds"):
        laid(damaged, 2)


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"backbone.conv1": (-1.0, 1.0)}, "needs activation_ranges of the model's layers, all of them: .* has none"),
        ({}, "int8 needs a checkpoint whose activation ranges were measured"),
        ({"vit.head": (0.0, 5e-324)}, "activation_ranges must have steps that float32 has; one is from 0.0 to 5e-324"),
        ({"vit.head": (-1e300, 1e300)}, "activation_ranges must have steps that float32 has"),
    ],
    ids=str,
)
def test_ranges_that_are_no_use_are_refused(
    measured: Checkpoint, ranges: dict[str, tuple[float, float]], words: str
) -> None:
    whole = measured.config.activation_ranges if "vit.head" in ranges else {}
    config = dataclasses.replace(measured.config, activation_ranges=whole | ranges)
    with pytest.raises(ValueError, match=words):
        laid(dataclasses.replace(measured, config=config), 2, int8=True)


def test_a_finder_has_no_int8() -> None:
    with pytest.raises(ValueError, match="int8 is not there for a face finder"):
        laid(read_finder("finder"), 2, int8=True)

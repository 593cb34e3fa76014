"""The residual network of dlib: its sums of unlike maps, and the same answers by torch, laid, and by each engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_agreement import assert_agree, probabilities
from PIL import Image
from tiny_models import faces, settle, softmax

from fer_fast.engines import open_engine
from fer_fast.engines.openvino_layers import laid
from fer_fast.export import export_model
from fer_fast.models.classifier import classifier_of
from fer_fast.models.face_resnet.config import SMALLEST, FaceResNetConfig, UnitPlan
from fer_fast.models.face_resnet.layers import face_resnet_shapes
from fer_fast.models.face_resnet.network import FaceResNet, Unit
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint
from fer_fast.models.files.storage import build_model, save_model
from fer_fast.models.loading import load_model
from fer_fast.models.quantised import measure_ranges
from fer_fast.reports.figure import compose
from fer_fast.types import CheckpointError
from fer_fast.visualize import inspect_face


def small_config(**changes: object) -> FaceResNetConfig:
    return FaceResNetConfig(**{"widths": (4, 6, 8, 8), "image_size": 112, **changes})  # type: ignore[arg-type]


def random_network(config: FaceResNetConfig, seed: int = 0) -> FaceResNet:
    """See `settle`."""
    torch.manual_seed(seed)
    network = FaceResNet(config)
    settle(network, seed + 1)
    return network


@pytest.fixture(scope="module")
def network() -> FaceResNet:
    found = random_network(small_config(flip_average=True))
    compiled = classifier_of(found.config).compiled(random_network(small_config(flip_average=True)))
    ranges = measure_ranges(compiled, torch.from_numpy(faces(32, 112, seed=9)))
    found.config = dataclasses.replace(found.config, activation_ranges=ranges, temperature=1.5)
    return found


@pytest.fixture(scope="module")
def checkpoint(network: FaceResNet, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp("face_resnet") / "model.safetensors"
    save_model(network, path, np.float32)
    return read_checkpoint(path)


def test_sides_are_dlibs() -> None:
    """At its own 150 pixels dlib's network has maps of 35, 17, 8, 4 and, by the shortcut, 2 pixels; at 112 of 26 ... 1.

    A convolution of stride 2 without padding makes 17 of 35, 8 of 17, 3 of 8, 1 of 4; a mean over 2 x 2 17, 8, 4, 2.
    """
    halving = [plan for plan in FaceResNetConfig(image_size=150).units() if plan.halves]
    assert [plan.missing for plan in halving] == [0, 0, 1, 1]
    assert [plan.missing for plan in FaceResNetConfig().units() if plan.halves] == [1, 0, 1, 0]
    assert [plan.outputs for plan in FaceResNetConfig().units()] == [32] * 3 + [64] * 4 + [128] * 3 + [256] * 4


@torch.no_grad()
def test_unlike_maps_are_added_from_their_first_pixel() -> None:
    unit = Unit(UnitPlan(1, 2, True, 1)).eval()
    for norm in (unit.norm1, unit.norm2):
        norm.running_var.fill_(1 - norm.eps)
    torch.nn.init.zeros_(unit.conv1.weight)
    torch.nn.init.zeros_(unit.conv2.weight)
    unit.norm2.bias.copy_(torch.tensor([10.0, 20.0]))
    x = torch.arange(16.0).view(1, 1, 4, 4)
    wanted = torch.zeros(2, 2, 2)
    wanted[0] = torch.tensor([[2.5, 4.5], [10.5, 12.5]])  # the shortcut: a mean over 2 x 2, and no second channel
    wanted[:, 0, 0] += torch.tensor([10.0, 20.0])  # the convolutions have one pixel, the first
    torch.testing.assert_close(unit(x)[0], wanted)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"image_size": SMALLEST},
        {"image_size": 120, "classes": ("no", "yes"), "flip_average": True},
        {"colour": "grey", "mean": (0.4,), "std": (0.3,)},
    ],
    ids=str,
)
def test_laid_is_torchs(changes: dict[str, object]) -> None:
    network = random_network(small_config(**changes))
    state = network.state_dict()
    tensors = {name: state[name].numpy() for name, _ in face_resnet_shapes(network.config)}
    checkpoint, images = Checkpoint(network.config, tensors, ""), faces(3, network.config.image_size, seed=5)
    from fer_fast.engines.openvino_graph import openvino_core

    graph = openvino_core().compile_model(laid(checkpoint, 3), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(probabilities(graph([images])[0]), probabilities(wanted), rtol=0, atol=1e-5)


def test_a_grey_network_sees_what_pillow_calls_grey() -> None:
    network = FaceResNet(small_config(colour="grey", mean=(0.4,), std=(0.3,)))
    images = faces(2, 112, seed=5)
    grey = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    wanted = (grey[:, None] / 255 - 0.4) / 0.3
    found = network.normalised(torch.from_numpy(images)).numpy()
    assert found.shape == (2, 1, 112, 112)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.51 / 255 / 0.3)  # Pillow rounds to a level


def test_its_figure_has_its_stages(network: FaceResNet) -> None:
    inspection = inspect_face(network, faces(1, 112)[0])
    assert {name: values.shape for name, values in inspection.maps.items()} == {
        "stage 1": (26, 26),
        "stage 2": (13, 13),
        "stage 3": (6, 6),
        "stage 4": (3, 3),
    }
    assert inspection.rollout is None
    wanted = softmax(network(torch.from_numpy(faces(1, 112))).numpy() / network.config.temperature)[0]
    np.testing.assert_allclose(inspection.prediction.probabilities, wanted, rtol=0, atol=1e-6)
    drawn = compose(inspection, "model")
    texts = {text.get_text() for text in drawn.texts}
    assert {"stage 1", "stage 4", "b", "Class probabilities"} <= texts and "Attention rollout" not in texts


@pytest.mark.parametrize(("engine", "precision"), [("openvino", "fp32"), ("torch", "fp32"), ("torch", "bf16")])
def test_engines_agree(checkpoint: Checkpoint, network: FaceResNet, engine: str, precision: str) -> None:
    images = faces(4, 112, seed=5)
    opened = open_engine(checkpoint, engine=engine, device="cpu", precision=precision, batch_size=4, cached=False)
    try:
        assert_agree(opened.infer(images), network(torch.from_numpy(images)).numpy(), precision)
    finally:
        opened.close()


@torch.inference_mode()
def test_int8_is_what_torch_simulates(checkpoint: Checkpoint) -> None:
    images = faces(8, 112, seed=5)
    engine = open_engine(checkpoint, engine="openvino", precision="int8", batch_size=8, cached=False)
    try:
        found = engine.infer(images)
    finally:
        engine.close()
    simulated = classifier_of(checkpoint.config).graph(checkpoint, "int8")(torch.from_numpy(images)).numpy()
    assert_agree(found, simulated, "int8")


def test_exports_answer_alike(checkpoint: Checkpoint, network: FaceResNet, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(network, path, np.float32)
    import fer_fast

    images = faces(3, 112, seed=5)
    logits = network(torch.from_numpy(images)).numpy()
    wanted = probabilities(logits / network.config.temperature)
    for format, name in (("openvino", "model.xml"), ("onnx", "model.onnx")):
        if format == "onnx":
            pytest.importorskip("onnx")
        export_model(path, format, tmp_path / name)
        with fer_fast.Classifier(tmp_path / name, precision="fp32") as classifier:
            np.testing.assert_allclose(classifier.predict_batch(images), wanted, rtol=0, atol=1e-5)


def test_a_file_says_its_architecture(checkpoint: Checkpoint, network: FaceResNet, tmp_path: Path) -> None:
    assert checkpoint.config == network.config
    path = tmp_path / "model.safetensors"
    save_model(network, path, np.float32)
    assert isinstance(load_model(path), FaceResNet)
    wrong = Checkpoint(checkpoint.config, {**checkpoint.tensors, "stem.conv.weight": np.zeros((4, 3, 5, 5))}, "")
    with pytest.raises(CheckpointError, match=r"'stem.conv.weight' must have the shape \[4, 3, 7, 7\]"):
        build_model(wrong)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"image_size": SMALLEST - 1}, f"image_size must be {SMALLEST} or more, not {SMALLEST - 1}"),
        ({"colour": "grey"}, "mean must be one number, not"),
        ({"colour": "cmyk"}, "colour must be one of rgb, grey, not 'cmyk'"),
        ({"widths": (8, 8, 8)}, "widths must be four integers"),
        ({"widths": (8, 8, 8, True)}, "widths must be four integers"),
        ({"widths": (8, 8, 8, 10**9)}, "widths must be four integers"),
        ({"widths": (8, 4, 8, 8)}, "widths must not fall"),
        ({"sources": ("image",)}, "unknown configuration field 'sources'"),
        ({"architecture": "fusion"}, "architecture must be 'face-resnet', not 'fusion'"),
    ],
)
def test_broken_rules_are_told(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        FaceResNetConfig.from_dict({**FaceResNetConfig().as_dict(), **changes})

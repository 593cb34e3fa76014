"""Inception classifiers: what they are made of, and the same answers by torch, laid, by each engine, and exported."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_agreement import assert_agree, probabilities
from PIL import Image
from small_inceptions import random_network, small_config
from tiny_models import faces, softmax

import fer_fast
from fer_fast.cli.command import run
from fer_fast.engines import open_engine
from fer_fast.export import export_model
from fer_fast.models.classifier import classifier_named, classifier_of
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint
from fer_fast.models.files.storage import checkpoint_of, save_model
from fer_fast.models.inception.backbone import InceptionV3, Mixed
from fer_fast.models.inception.config import HEADS, InceptionConfig
from fer_fast.models.inception.layers import inception_shapes
from fer_fast.models.inception.network import Inception
from fer_fast.models.inception.plan import Branch, Convolution, blocks, last_side
from fer_fast.models.quantised import measure_ranges
from fer_fast.visualize import inspect_face


@pytest.fixture(scope="module")
def network() -> Inception:
    config = small_config(head="maximum")
    found, compiled = random_network(config), classifier_of(config).compiled(random_network(config))
    ranges = measure_ranges(compiled, torch.from_numpy(faces(16, 299, seed=9)))
    found.config = dataclasses.replace(config, activation_ranges=ranges, temperature=1.5)
    return found


@pytest.fixture(scope="module")
def path(network: Inception, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "model.safetensors"
    save_model(network, path, np.float32)
    return path


def test_it_is_inception_v3() -> None:
    """Szegedy et al. 2016, Table 1: maps of 35, 17 and 8 pixels; torchvision's numbers of weights and its names."""
    with torch.device("meta"):
        backbone = InceptionV3(3, 1)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 21_785_568
    layers = [*backbone.modules()]
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) == 94
    assert {layer.eps for layer in layers if isinstance(layer, torch.nn.BatchNorm2d)} == {1e-3}
    state = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    for name, shape in {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.bn.running_mean": (192,),
        "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
        "Mixed_5d.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
        "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
        "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
        "Mixed_7a.branch7x7x3_3.conv.weight": (192, 192, 7, 1),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch1x1.bn.weight": (320,),
    }.items():
        assert state[name] == shape
    sides = {}
    pixels = torch.zeros(1, 3, 299, 299)
    small = InceptionV3(3, 16).eval()
    for name in ("Mixed_5d", "Mixed_6e", "Mixed_7c"):
        small.get_submodule(name).register_forward_hook(
            lambda _, __, maps, name=name: sides.update({name: maps.shape[1:]})  # type: ignore[misc]
        )
    small(pixels)
    assert sides == {"Mixed_5d": (18, 35, 35), "Mixed_6e": (48, 17, 17), "Mixed_7c": (128, 8, 8)}


@pytest.mark.parametrize("size", [75, 76, 106, 107, 298, 299, 330, 331])
def test_side_of_the_last_map(size: int) -> None:
    assert InceptionV3(3, 16).eval()(torch.zeros(1, 3, size, size)).shape[2] == last_side(size)


def test_a_mean_counts_no_padding() -> None:
    """As TensorFlow's: a corner is the mean of the four pixels that are there."""
    block = Mixed((Branch((Convolution("only", 1, 1),), "mean"),)).eval()
    layer = block.get_submodule("only")
    torch.nn.init.ones_(layer.conv.weight)
    layer.bn.running_var.fill_(1 - layer.bn.eps)
    found = block(torch.arange(9.0).view(1, 1, 3, 3))[0, 0].detach()
    torch.testing.assert_close(found, torch.tensor([[2.0, 2.5, 3.0], [3.5, 4.0, 4.5], [5.0, 5.5, 6.0]]))


@torch.no_grad()
@pytest.mark.parametrize("head", HEADS)
def test_heads_by_hand(head: str) -> None:
    """A last map of ones, but for a 3 in one channel's first pixel; the CNN's last map is 2 everywhere."""
    network = Inception(small_config(head=head)).eval()
    for part in (*network.sub_deep, *network.dense):
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.constant_(part.bias, 2)
    torch.nn.init.ones_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    features = torch.ones(1, 128, 8, 8)
    features[0, 5] = 3
    wanted = {"deepest": 130, "sub-deep": 2 * 512 // 16, "sum": 130 + 256, "maximum": 2 * 127 + 3}[head]
    torch.testing.assert_close(network.logits_of(features), torch.full((1, 8), float(wanted)))


def test_the_papers_cnn() -> None:
    """Its table: 3 x 3 convolutions to 2,048 maps, 8 -> 6 -> 4 -> 2, a 2 x 2 one, then 1,024 and 512."""
    config = InceptionConfig(head="sub-deep")
    assert config.convolutions() == [(2048, 2048, 3)] * 3 + [(2048, 2048, 2)]
    assert config.dense_layers() == [(2048, 1024), (1024, 512)]
    assert InceptionConfig(head="sum").dense_layers() == InceptionConfig().convolutions() == []
    assert dict(inception_shapes(config))["sub_deep.3.weight"] == (2048, 2048, 2, 2)


def test_presets() -> None:
    presets = classifier_named("inception").presets
    assert [*presets] == ["inception-deepest", "inception-subdeep", "inception-fusion", "inception-fusion-maximum"]
    assert tuple(config.head for config in presets.values()) == HEADS  # type: ignore[attr-defined]
    assert {(config.image_size, config.divisor, config.mean) for config in presets.values()} == {  # type: ignore[attr-defined]
        (299, 1, (0.5, 0.5, 0.5))
    }


@pytest.mark.parametrize(
    "changes",
    [
        *({"head": head} for head in HEADS),
        {"image_size": 77, "flip_average": True, "classes": ("no", "yes")},
        {"image_size": 75, "colour": "grey", "mean": (0.4,), "std": (0.3,)},
    ],
    ids=str,
)
def test_laid_is_torchs(changes: dict[str, object]) -> None:
    network = random_network(small_config(**changes))
    assert_engine_agrees(checkpoint_of(network), network, "openvino")


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_engines_agree(path: Path, network: Inception, engine: str) -> None:
    assert_engine_agrees(read_checkpoint(path), network, engine)


def assert_engine_agrees(checkpoint: Checkpoint, network: Inception, engine: str) -> None:
    images = faces(3, network.config.image_size, seed=5)
    opened = open_engine(checkpoint, engine=engine, device="cpu", precision="fp32", batch_size=4, cached=False)
    try:
        found = opened.infer(images)
    finally:
        opened.close()
    assert_agree(found, network(torch.from_numpy(images)).numpy(), "fp32")


@torch.inference_mode()
def test_int8_is_what_torch_simulates(path: Path) -> None:
    """All its layers have ranges, or the graph is refused; a step more or less grows through forty random layers."""
    images, checkpoint = faces(4, 299, seed=5), read_checkpoint(path)
    engine = open_engine(checkpoint, engine="openvino", precision="int8", batch_size=4, cached=False)
    try:
        found = engine.infer(images)
    finally:
        engine.close()
    simulated = classifier_of(checkpoint.config).graph(checkpoint, "int8")(torch.from_numpy(images)).numpy()
    assert np.abs(found - simulated).mean() < 0.5 < simulated.std()


@pytest.mark.parametrize(("format", "name"), [("openvino", "model.xml"), ("onnx", "model.onnx")])
def test_exports_answer_alike(format: str, name: str, path: Path, network: Inception, tmp_path: Path) -> None:
    if format == "onnx":
        pytest.importorskip("onnx")
    images = faces(2, 299, seed=5)
    wanted = probabilities(network(torch.from_numpy(images)).numpy() / network.config.temperature)
    export_model(path, format, tmp_path / name)
    with fer_fast.Classifier(tmp_path / name, precision="fp32") as classifier:
        np.testing.assert_allclose(classifier.predict_batch(images), wanted, rtol=0, atol=1e-4)


def test_its_figures(path: Path, network: Inception, tmp_path: Path) -> None:
    """The face's, and the paper's: the mean and the first 25 channels of some maps."""
    face = faces(1, 299)[0]
    inspection = inspect_face(network, face)
    sides = {"stem": (71, 71), "mixed_2": (35, 35), "mixed_7": (17, 17), "mixed_10": (8, 8)}
    assert {name: values.shape for name, values in inspection.maps.items()} == sides
    wanted = softmax(network(torch.from_numpy(face[None])).numpy() / network.config.temperature)[0]
    np.testing.assert_allclose(inspection.prediction.probabilities, wanted, rtol=0, atol=1e-5)
    Image.fromarray(face).save(tmp_path / "face.png")
    options = ["--model", str(path), "--figure", "channels", "-o", str(tmp_path / "channels.png")]
    assert run(["visualize", str(tmp_path / "face.png"), *options]) == 0
    assert Image.open(tmp_path / "channels.png").size[0] > 400


def test_torchvisions_file_is_a_start() -> None:
    """It has classes, auxiliary ones and counters besides, which are left; what is not whole is refused."""
    architecture, config = classifier_named("inception"), small_config()
    given = {name: torch.rand(tensor.shape) for name, tensor in InceptionV3(3, 16).state_dict().items()}
    besides = {"fc.weight": torch.ones(1000, 128), "AuxLogits.conv0.bn.bias": torch.ones(8)}
    network = architecture.network(config)
    assert architecture.begin(network, {**given, **besides}, torch.empty(0)) == ()
    assert network.backbone is not None
    for name, tensor in network.backbone.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, given[name])
    told = r"backbone must hold a whole Inception v3 .* as it stays frozen; 'Mixed_6b.branch1x1.bn.bias' does not fit"
    for wrong in ({}, {"Mixed_6b.branch1x1.bn.bias": torch.ones(13)}):
        broken = {name: tensor for name, tensor in given.items() if name != "Mixed_6b.branch1x1.bn.bias"}
        with pytest.raises(ValueError, match=told):
            architecture.begin(network, {**broken, **wrong}, torch.empty(0))
    with pytest.raises(ValueError, match="does not fit"):  # of the real widths it never begins by chance
        architecture.begin(_unbuilt(), {}, torch.empty(0))


def _unbuilt() -> Inception:
    with torch.device("meta"):
        return Inception(InceptionConfig())


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"head": "mean"}, "head must be one of deepest, sub-deep, sum, maximum, not 'mean'"),
        ({"divisor": 3}, "divisor must be 1, 2, 4, 8 or 16, not 3"),
        ({"divisor": True}, "divisor must be 1, 2, 4, 8 or 16, not True"),
        ({"maps": 0}, "maps must be a positive integer"),
        ({"maps": 2049}, "maps must be 2048 or fewer, not 2049"),
        ({"image_size": 74}, "image_size must be 75 or more, not 74"),
        ({"image_size": 224, "head": "sum"}, "8 pixels on a side, as 299 is, for head 'sum', not 224: 5"),
    ],
)
def test_broken_rules_are_told(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        InceptionConfig.from_dict({**InceptionConfig().as_dict(), **changes})


def test_plan_divides_all() -> None:
    """No width of it has a remainder by the largest divisor."""
    for (_, whole), (_, small) in zip(blocks(1), blocks(16), strict=True):
        for one, other in zip(whole, small, strict=True):
            for large, little in zip((*one.chain, *one.fork), (*other.chain, *other.fork), strict=True):
                assert (large.inputs, large.outputs) == (16 * little.inputs, 16 * little.outputs)

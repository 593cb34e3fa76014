"""Small CNNs on grey faces: what they are, and the same answers by torch, laid, by each engine, and in commands."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_data import draw_ferplus
from engine_agreement import assert_agree, probabilities
from PIL import Image
from tiny_models import faces, settle, softmax

import fer_fast
from fer_fast.cli.command import run
from fer_fast.engines import open_engine
from fer_fast.export import export_model
from fer_fast.models.classifier import classifier_named, classifier_of
from fer_fast.models.cnn.config import CNNConfig
from fer_fast.models.cnn.layers import cnn_shapes
from fer_fast.models.cnn.network import CNN
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.loading import load_model
from fer_fast.models.quantised import measure_ranges
from fer_fast.train import calibrate
from fer_fast.train.recipe import RECIPES, Recipe, Stage, load_recipe
from fer_fast.types import EMOTIONS
from fer_fast.visualize import inspect_face

PRESETS = ("cnn-shallow", "cnn-shallow-hog", "cnn-deep", "cnn-deep-hog")
SEVEN = tuple(name for name in EMOTIONS if name != "contempt")


def random_network(config: CNNConfig) -> CNN:
    """See `settle`."""
    torch.manual_seed(0)
    network = CNN(config)
    settle(network, seed=1)
    return network


@pytest.fixture(scope="module", params=PRESETS)
def network(request: pytest.FixtureRequest) -> CNN:
    config = dataclasses.replace(classifier_named("cnn").presets[request.param], classes=SEVEN)
    assert isinstance(config, CNNConfig)
    found, compiled = random_network(config), classifier_of(config).compiled(random_network(config))
    ranges = measure_ranges(compiled, torch.from_numpy(faces(32, 48, seed=9)))
    found.config = dataclasses.replace(config, activation_ranges=ranges, temperature=1.5)
    return found


@pytest.fixture(scope="module")
def path(network: CNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cnn") / "model.safetensors"
    save_model(network, path, np.float32)
    return path


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_as_deep_as_the_papers(name: str) -> None:
    convolutions, dense = (2, 1) if "shallow" in name else (4, 2)
    config = load_recipe(name).config(SEVEN)
    assert isinstance(config, CNNConfig)
    assert config == dataclasses.replace(classifier_named("cnn").presets[name], classes=SEVEN)
    assert (config.image_size, config.colour, config.channels) == (48, "grey", 1)
    assert config.hog == name.endswith("-hog")
    layers = [*CNN(config).modules()]
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) == convolutions
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers) == convolutions
    assert sum(isinstance(layer, torch.nn.Linear) for layer in layers) == dense + 1  # the last one has the classes


@torch.no_grad()
def test_a_map_worked_by_hand() -> None:
    """A kernel of ones sums neighbours; of each 2 x 2 the largest is left, and what is below 0 becomes 0."""
    network = CNN(CNNConfig(image_size=4, widths=(2,), dense=(1,))).eval()
    layer = network.maps[0]
    layer.norm.running_var.fill_(1 - layer.norm.eps)
    layer.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, 1, 3, 3))
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0], x[0, 0, 1, 1] = 5, 2
    # Sums of 3 x 3: the upper left corner sees 7, further to the right, further down and both 2 alone.
    torch.testing.assert_close(layer(x)[0], torch.tensor([[[7.0, 2.0], [2.0, 2.0]], [[0.0] * 2] * 2]))


def test_dropout_is_of_training_alone(network: CNN) -> None:
    images = torch.from_numpy(faces(2, 48))
    assert torch.equal(network(images), network(images))
    network.train()
    try:
        assert not torch.equal(network(images), network(images))
    finally:
        network.eval()


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": 51, "flip_average": True},
        {"image_size": 51, "flip_average": True, "hog": True},
        {"colour": "rgb", "mean": (0.5, 0.4, 0.3), "std": (0.3, 0.2, 0.3)},
    ],
    ids=str,
)
def test_laid_is_torchs(changes: dict[str, object]) -> None:
    network = random_network(CNNConfig(**{"widths": (4, 6, 8), "dense": (5, 6), **changes}))  # type: ignore[arg-type]
    state, size = network.state_dict(), network.config.image_size
    tensors = {name: state[name].numpy() for name, _ in cnn_shapes(network.config)}
    assert_engine_agrees(Checkpoint(network.config, tensors, ""), network, "openvino", "fp32", size)


@pytest.mark.parametrize(("engine", "precision"), [("openvino", "fp32"), ("torch", "fp32"), ("torch", "bf16")])
def test_engines_agree(path: Path, network: CNN, engine: str, precision: str) -> None:
    assert_engine_agrees(read_checkpoint(path), network, engine, precision, 48)


def assert_engine_agrees(checkpoint: Checkpoint, network: CNN, engine: str, precision: str, size: int) -> None:
    images = faces(4, size, seed=5)
    opened = open_engine(checkpoint, engine=engine, device="cpu", precision=precision, batch_size=4, cached=False)
    try:
        found = opened.infer(images)
    finally:
        opened.close()
    wanted = network(torch.from_numpy(images)).numpy()
    assert_agree(found, wanted, precision)
    if precision == "fp32":
        np.testing.assert_allclose(probabilities(found), probabilities(wanted), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_int8_is_what_torch_simulates(path: Path) -> None:
    images, checkpoint = faces(8, 48, seed=5), read_checkpoint(path)
    engine = open_engine(checkpoint, engine="openvino", precision="int8", batch_size=8, cached=False)
    try:
        found = engine.infer(images)
    finally:
        engine.close()
    simulated = classifier_of(checkpoint.config).graph(checkpoint, "int8")(torch.from_numpy(images)).numpy()
    assert_agree(found, simulated, "int8")


@pytest.mark.parametrize(("format", "name"), [("openvino", "model.xml"), ("onnx", "model.onnx")])
def test_exports_answer_alike(format: str, name: str, path: Path, network: CNN, tmp_path: Path) -> None:
    if format == "onnx":
        pytest.importorskip("onnx")
    images = faces(3, 48, seed=5)
    wanted = probabilities(network(torch.from_numpy(images)).numpy() / network.config.temperature)
    export_model(path, format, tmp_path / name)
    with fer_fast.Classifier(tmp_path / name, precision="fp32") as classifier:
        assert classifier.classes == SEVEN
        np.testing.assert_allclose(classifier.predict_batch(images), wanted, rtol=0, atol=1e-5)


def test_its_figure_has_its_maps(network: CNN) -> None:
    inspection = inspect_face(network, faces(1, 48)[0])
    sides = {f"map {number}": (48 >> number,) * 2 for number in range(1, len(network.config.widths) + 1)}
    assert {name: values.shape for name, values in inspection.maps.items()} == sides
    wanted = softmax(network(torch.from_numpy(faces(1, 48))).numpy() / network.config.temperature)[0]
    np.testing.assert_allclose(inspection.prediction.probabilities, wanted, rtol=0, atol=1e-6)


def test_from_training_to_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packaged recipe, for four steps: no contempt is learnt, scored or answered."""
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(calibrate, "ENOUGH", 1)
    told, changes = (
        (RECIPES / "cnn-deep-hog.toml").read_text(),
        {"epochs = 8": "steps = 4", "batch_size = 64": "batch_size = 8"},
    )
    for old, new in changes.items():
        assert old in told
        told = told.replace(old, new)
    (tmp_path / "short.toml").write_text(told)
    data = draw_ferplus(tmp_path / "data", {"train": 24, "valid": 16, "test": 8})
    assert run(["train", str(tmp_path / "short.toml"), "--data", str(data), "--out", str(tmp_path / "run")]) == 0
    model = tmp_path / "run" / "best.safetensors"
    assert isinstance(load_model(model), CNN)

    report = tmp_path / "report.json"
    assert run(["evaluate", str(model), str(data), "--engine", "openvino", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert (found["default_protocol"], found["protocols"]) == (
        "paper7",
        {"paper7": [*SEVEN], "paper6": [*SEVEN[:5], "fear"]},
    )
    assert found["runs"][0]["scores"]["paper7"]["full"]["images"] == 7  # of eight, one for each emotion

    (tmp_path / "faces").mkdir()
    for number, pixels in enumerate(faces(3, 48, seed=3)):
        Image.fromarray(pixels).save(tmp_path / "faces" / f"{number}.png")
    options = ["--model", str(model), "--engine", "openvino", "--precision", "fp32", "-o", str(tmp_path / "table.csv")]
    assert run(["classify", str(tmp_path / "faces"), *options]) == 0
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    with fer_fast.Classifier(model, engine="torch", device="cpu", precision="fp32") as classifier:
        wanted = classifier.predict_batch(faces(3, 48, seed=3))
    assert [name for name in rows[0] if name.startswith("p_")] == [f"p_{name}" for name in SEVEN]
    np.testing.assert_allclose([[float(row[f"p_{name}"]) for name in SEVEN] for row in rows], wanted, rtol=0, atol=1e-5)


def test_no_stage_is_of_another_size() -> None:
    model = {"architecture": "cnn"}
    told = "a stage's image_size must be the model's 48 for architecture 'cnn', not 64"
    with pytest.raises(ValueError, match=told):
        Recipe(stages=(Stage(image_size=64, epochs=1), Stage(epochs=1)), learning_rate=0.1, model=model)
    for size in (0, 48):
        Recipe(stages=(Stage(image_size=size, epochs=1),), learning_rate=0.1, model=model)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"image_size": 3}, "image_size must be 4 or more for 2 widths, not 3"),
        ({"widths": ()}, r"widths must be one or more integers from 1 to 4096, not \(\)"),
        ({"widths": (8, True)}, "widths must be one or more integers"),
        ({"dense": ()}, r"dense must be one or more integers from 1 to 4096, not \(\)"),
        ({"dense": (4097,)}, "dense must be one or more integers"),
        ({"dense": 128}, "dense must be a list, not 128"),
        ({"dropout": 1.0}, "dropout must be a number from 0 to below 1, not 1.0"),
        ({"dropout": "0.2"}, "dropout must be a number from 0 to below 1, not '0.2'"),
        ({"colour": "rgb"}, "mean must be three numbers, not"),
        ({"architecture": "fusion"}, "architecture must be 'cnn', not 'fusion'"),
    ],
)
def test_broken_rules_are_told(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        CNNConfig.from_dict({**CNNConfig().as_dict(), **changes})

"""Figures of layers: of each architecture that has convolutions; what they show is computed a second way here."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_inceptions import random_network, small_config
from tiny_models import faces, random_model, settle, tiny_config

from fer_fast import FerFastError
from fer_fast.cli import run
from fer_fast.cli.layers import _spread
from fer_fast.models.classifier import classifier_named
from fer_fast.models.cnn.config import CNNConfig
from fer_fast.models.cnn.network import CNN
from fer_fast.models.config import ClassifierConfig
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.files.storage import save_model
from fer_fast.models.network import Network
from fer_fast.models.registry import _OWN
from fer_fast.reports.canvas import DOTS_PER_INCH, TIMES, tiled
from fer_fast.reports.dream_figure import compose_dream
from fer_fast.reports.layers_figure import (
    Epoch,
    _levels,
    compose_channels,
    compose_epochs,
    compose_filters,
)
from fer_fast.visualize import (
    Dream,
    Filters,
    channel_means,
    chosen_layers,
    deep_dream,
    feature_maps,
    first_filters,
    inspect_face,
    sparsity,
)

#: By architecture: a small one, its layers that are shown if none is named, its first convolution.
MODELS: dict[str, tuple[ClassifierConfig, list[str], str]] = {
    "fusion": (tiny_config(sources=("image", "FM1", "FM2")), ["FM1", "FM2"], "backbone.conv1"),
    "cnn": (CNNConfig(widths=(4, 6, 8)), ["map 1", "map 2", "map 3"], "maps.0.conv"),
    "face-resnet": (
        FaceResNetConfig(widths=(4, 6, 8, 8), image_size=112),
        ["stage 1", "stage 2", "stage 3", "stage 4"],
        "stem.conv",
    ),
    "ensemble": (
        EnsembleConfig(members=(CNNConfig(), CNNConfig(widths=(4, 6, 8))), shares=(0.5, 0.5), image_size=48),
        ["members.0 map 1", "members.0 map 2", "members.1 map 1", "members.1 map 2"],
        "members.0.maps.0.conv",
    ),
    "inception": (
        small_config(image_size=75),
        ["stem", "mixed_2", "mixed_7", "mixed_10"],
        "backbone.Conv2d_1a_3x3.conv",
    ),
}
CLASSES = CNNConfig().classes


def built(name: str) -> Network:
    """A network with random weights."""
    config = MODELS[name][0]
    if name == "fusion":
        return random_model(config)  # type: ignore[arg-type]
    if name == "inception":
        return random_network(config).requires_grad_(False)  # type: ignore[arg-type]
    torch.manual_seed(0)
    network = classifier_named(name).network(config)
    if name != "ensemble":  # its answers are its members'
        settle(network, seed=1)
    return network.eval().requires_grad_(False)


def face_of(network: Network) -> Any:
    return faces(1, network.config.image_size, seed=3)[0]


def test_each_classifier_of_the_package_is_drawn_here() -> None:
    assert {*MODELS} == {*_OWN} - {"yunet"}


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_the_stages_and_each_convolution(name: str) -> None:
    network = built(name)
    convolutions = [each for each, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert list(network.layers_with_maps()) == [*network.stages(), *convolutions]
    assert chosen_layers(network) == MODELS[name][1]
    assert chosen_layers(network, convolutions[1:2]) == convolutions[1:2]
    assert first_filters(network).layer == MODELS[name][2]


@pytest.mark.parametrize("name", MODELS)
def test_maps_of_all_layers_are_finite_and_the_model_is_left_as_it_was(name: str) -> None:
    network = built(name)
    face, images = face_of(network), torch.from_numpy(faces(2, network.config.image_size, seed=5))
    before = network(images)
    maps = feature_maps(network, face, list(network.layers_with_maps()))
    assert list(maps) == list(network.layers_with_maps())
    assert all(values.ndim == 3 and np.isfinite(values).all() for values in maps.values())
    deep_dream(network, face, CLASSES[2], steps=1)
    assert not any(module._forward_hooks for module in network.modules())
    torch.testing.assert_close(network(images), before, rtol=0, atol=0)


def test_maps_and_sparsity_computed_a_second_way() -> None:
    network = built("cnn")
    assert isinstance(network, CNN)
    face = face_of(network)
    pixels = network.normalised(torch.from_numpy(face)[None])
    stage, convolution = network.maps[1](network.maps[0](pixels)), network.maps[0].conv(pixels)
    maps = feature_maps(network, face, ["map 2", "maps.0.conv"])
    np.testing.assert_array_equal(maps["map 2"], stage[0])
    np.testing.assert_array_equal(maps["maps.0.conv"], convolution[0])
    assert sparsity(maps["map 2"]) == (stage == 0).double().mean().item() > 0
    assert sparsity(np.float32([[[0, -1], [2, 3]], [[0, 0], [1, 1e-30]]])) == 0.5


def test_means_of_a_member_that_looks_at_two_views_are_of_the_first() -> None:
    config = EnsembleConfig(members=(CNNConfig(flip_average=True), CNNConfig()), shares=(0.5, 0.5), image_size=48)
    torch.manual_seed(0)
    network = classifier_named("ensemble").network(config).eval().requires_grad_(False)
    face = face_of(network)
    means = channel_means(network, torch.from_numpy(face)[None])
    assert list(means) == list(network.stages()) and all(len(mean) == 1 for mean in means.values())
    shown = feature_maps(network, face, ["members.0 map 1"])["members.0 map 1"]
    np.testing.assert_allclose(means["members.0 map 1"][0], shown.mean(axis=0), rtol=1e-5, atol=1e-5)


def test_a_model_that_gives_no_numbers_is_told() -> None:
    network = built("cnn")
    network.get_parameter("maps.0.conv.weight").fill_(float("nan"))
    for look in (lambda: feature_maps(network, face_of(network), ["map 1"]), lambda: _dream_of(network)):
        with pytest.raises(FerFastError, match="not a number"):
            look()


def _dream_of(network: Network) -> Dream:
    return deep_dream(network, face_of(network), CLASSES[0])


def test_another_distributions_is_drawn_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "brought"))
    architecture = importlib.import_module("brought_architecture").BroughtArchitecture()
    torch.manual_seed(0)
    network = architecture.network(architecture.config(image_size=16)).eval().requires_grad_(False)
    face = face_of(network)
    assert chosen_layers(network) == ["conv"] and first_filters(network).weights.shape == (8, 3, 4, 4)
    maps = feature_maps(network, face, ["conv"])
    np.testing.assert_array_equal(maps["conv"], network.conv(network.normalised(torch.from_numpy(face)[None]))[0])
    dream = deep_dream(network, face, CLASSES[1], steps=2)
    assert dream.seen[-1].prediction.probabilities[1] > dream.seen[0].prediction.probabilities[1]


def test_an_unknown_layer_is_told_the_known_ones() -> None:
    known = "map 1, map 2, map 3, maps.0.conv, maps.1.conv, maps.2.conv"
    with pytest.raises(ValueError, match=f"^layers must be of {known}, not 'map 4'$"):
        feature_maps(built("cnn"), face_of(built("cnn")), ["map 1", "map 4"])


def test_a_model_without_convolutions_is_told() -> None:
    network = random_model(tiny_config(sources=("image",)))
    with pytest.raises(ValueError, match="model must have convolutions; one of architecture 'fusion' has none"):
        first_filters(network)


def test_filters_are_the_weights_and_zero_is_grey() -> None:
    network = built("fusion")
    np.testing.assert_array_equal(first_filters(network).weights, network.get_parameter("backbone.conv1.weight"))
    weights = np.float32([[[[0, 2], [-1, 1]]], [[[0, 0], [0, 0]]]])  # [2 filters, 1 channel, 2, 2]
    np.testing.assert_array_equal(_levels(weights), [[[0.5, 1], [0.25, 0.75]], [[0.5, 0.5], [0.5, 0.5]]])
    assert _levels(np.ones((5, 3, 7, 6), np.float32)).shape == (5, 7, 6, 3)
    assert _levels(np.ones((5, 4, 7, 6), np.float32)).shape == (5, 7, 6)


def test_tiles_by_hand() -> None:
    tiles = np.arange(3, dtype=np.float32).reshape(3, 1, 1).repeat(24, axis=1).repeat(24, axis=2)
    whole = tiled(tiles, 2)  # each enlarged twice, to 48
    assert whole.shape == (99, 99)
    assert (whole[:48, :48] == 0).all() and (whole[:48, 51:] == 1).all() and (whole[51:, :48] == 2).all()
    assert np.isnan(whole[48:51]).all() and np.isnan(whole[:, 48:51]).all() and np.isnan(whole[51:, 51:]).all()
    assert tiled(tiles, 2, 1).shape == (48, 99)


@pytest.mark.parametrize("name", ["fusion", "cnn"])
@pytest.mark.parametrize("label", [CLASSES[1], CLASSES[5]])
def test_a_dream_becomes_its_class(name: str, label: str) -> None:
    network = built(name)
    face = face_of(network)
    dream = deep_dream(network, face, label, steps=4)
    shares = [seen.prediction.probabilities[CLASSES.index(label)] for seen in dream.seen]
    assert shares[-1] > shares[0] + 0.05
    np.testing.assert_array_equal(dream.seen[0].pixels, face)
    again = deep_dream(network, face, label, steps=4)
    np.testing.assert_array_equal(again.seen[-1].pixels, dream.seen[-1].pixels)


def test_what_a_grey_model_dreams_is_grey() -> None:
    even = np.full((48, 48, 3), 128, np.uint8)
    pixels = deep_dream(built("cnn"), even, CLASSES[1], steps=2).seen[-1].pixels
    assert (pixels == pixels[..., :1]).all() and (pixels != 128).mean() > 0.5


def test_a_dream_of_an_unknown_class() -> None:
    with pytest.raises(ValueError, match=f"class must be one of {', '.join(CLASSES)}, not 'joy'"):
        deep_dream(built("cnn"), face_of(built("cnn")), "joy")


def _filters() -> Any:
    return compose_filters(Filters("layer." * 30, np.ones((700, 64, 3, 3), np.float32)), "m" * 99)


def _channels() -> Any:
    maps = {f"{number}." * 20: np.zeros((2048, 100, 100), np.float32) for number in range(4)}
    return compose_channels(faces(1, 48)[0], maps, "m" * 99)


def _epochs() -> Any:
    maps = {f"members.{number}.maps.0.conv": np.zeros((3, 2, 2), np.float32) for number in range(4)}
    return compose_epochs(faces(1, 48)[0], [Epoch(f"epoch_{number:012}", maps) for number in range(7)])


def _dream() -> Any:
    seen = inspect_face(built("cnn"), face_of(built("cnn")))
    return compose_dream(Dream(CLASSES[0], (seen,) * 5), "m" * 99)


def _long_names() -> Any:
    names = [f"members.{number}.backbone.layer1.0.conv{number}" for number in range(4)]
    return compose_channels(faces(1, 48)[0], {name: np.zeros((64, 112, 112), np.float32) for name in names}, "m")


def test_a_long_name_is_cut_from_the_left_and_has_its_size_below() -> None:
    words = [text.get_text() for text in _long_names().texts]
    for number in range(4):
        assert any(word.startswith("…") and word.endswith(f"layer1.0.conv{number}") for word in words)
    assert words.count(f"64 {TIMES} 112 {TIMES} 112") == 4
    assert "members.0 FM1" in [text.get_text() for text in _short_names().texts]


def _short_names() -> Any:
    maps = {f"members.0 FM{number}": np.zeros((64, 56, 56), np.float32) for number in range(1, 5)}
    return compose_channels(faces(1, 48)[0], maps, "m")


@pytest.mark.parametrize("compose", [_filters, _channels, _long_names, _short_names, _epochs, _dream])
def test_no_text_covers_another_or_leaves_the_figure(compose: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = compose()
        boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts if text.get_text()]
    width, height = figure.get_size_inches() * DOTS_PER_INCH
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, name
    for (one, box), (other, beside) in itertools.combinations(boxes, 2):
        assert not box.overlaps(beside), (one, other)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of each architecture, three of a training, and a face."""
    folder = tmp_path_factory.mktemp("layers")
    for name in MODELS:
        save_model(built(name), folder / f"{name}.safetensors")
    (folder / "epochs").mkdir()
    for number in range(3):
        save_model(built("cnn"), folder / "epochs" / f"epoch_{number:03}.safetensors")
    (folder / "none").mkdir()
    (folder / "mixed").mkdir()
    for place, name in (("a", "cnn"), ("b", "fusion")):
        (folder / "mixed" / f"{place}.safetensors").symlink_to(folder / f"{name}.safetensors")
    (folder / "widths").mkdir()
    (folder / "widths" / "a.safetensors").symlink_to(folder / "cnn.safetensors")
    save_model(CNN(CNNConfig(widths=(4, 6, 9))), folder / "widths" / "b.safetensors")
    save_model(random_model(tiny_config(sources=("image",))), folder / "plain.safetensors")
    Image.fromarray(faces(1, 60)[0]).save(folder / "face.png")
    return folder


def test_epochs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (0, 2, 10, 998, 999, 1000, 1002):
        (tmp_path / f"epoch_{number:03}.safetensors").touch()
    assert [Path(name).stem for name in _spread(str(tmp_path))] == [
        *("epoch_000", "epoch_002", "epoch_010", "epoch_998", "epoch_999", "epoch_1000", "epoch_1002")
    ]


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = run(["visualize", *arguments])
    found = capsys.readouterr()
    assert found.out == ""
    return status, found.err


@pytest.mark.parametrize("name", MODELS)
def test_the_command_draws_each_figure_of_each_architecture(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "epochs").mkdir()
    (tmp_path / "epochs" / "only.safetensors").symlink_to(folder / f"{name}.safetensors")
    face, model = str(folder / "face.png"), ["--model", str(folder / f"{name}.safetensors")]
    commands = {
        f"{name}_filters.png": ["--figure", "filters", *model],
        "face_channels.png": [face, "--figure", "channels", *model],
        "face_activations.png": [face, "--figure", "activations", "--checkpoints", "epochs"],
        "face_deepdream.png": [face, "--figure", "deepdream", "--class", CLASSES[1], *model],
    }
    for file, arguments in commands.items():
        status, line = said(arguments, capsys)
        assert status == 0 and line.startswith(f"{file}: ") and line.count("\n") == 1
        assert Image.open(tmp_path / file).format == "PNG"
    assert {path.name for path in tmp_path.iterdir()} == {"epochs", *commands}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "IMAGE must be given for --figure face"),
        (["face.png", "--figure", "filters"], "IMAGE must not be given for --figure filters"),
        (["face.png", "--layers", "map 1"], "--layers needs --figure channels or activations"),
        (["face.png", "--class", "fear"], "--class needs --figure deepdream"),
        (["face.png", "--checkpoints", "epochs"], "--checkpoints needs --figure activations"),
        (["face.png", "--figure", "deepdream"], "--figure deepdream needs --class"),
        (["face.png", "--figure", "activations"], "--figure activations needs --checkpoints"),
        (
            ["face.png", "--figure", "activations", "--checkpoints", "epochs", "--model", "fast"],
            "--model must not be given with --checkpoints",
        ),
        (
            ["face.png", "--figure", "activations", "--checkpoints", "mixed"],
            "checkpoints must be of one model: "
            "'mixed/b.safetensors' has architecture 'fusion', 'mixed/a.safetensors' 'cnn'",
        ),
        (
            ["face.png", "--figure", "activations", "--checkpoints", "widths"],
            "checkpoints must be of one model: "
            "'widths/b.safetensors' has widths (4, 6, 9), 'widths/a.safetensors' (4, 6, 8)",
        ),
        (["face.png", "--figure", "channels", "--faces"], "--faces must not be given with --figure channels"),
        (
            ["face.png", "--figure", "channels", "--prior", "balanced"],
            "--prior must not be given with --figure channels, which shows no probabilities",
        ),
        (
            ["face.png", "--figure", "channels", "--layers", "map 1,x", "--model", "cnn.safetensors"],
            "layers must be of map 1, map 2, map 3, maps.0.conv, maps.1.conv, maps.2.conv, not 'x'",
        ),
        (
            ["face.png", "--figure", "channels", "--layers", ",".join(["map 1"] * 5), "--model", "cnn.safetensors"],
            "layers must be 4 at most for --figure channels, not 5",
        ),
        (
            ["face.png", "--figure", "activations", "--checkpoints", "none"],
            "checkpoints must be a folder with .safetensors files, which 'none' is not",
        ),
        (
            ["face.png", "--figure", "deepdream", "--class", "joy", "--model", "cnn.safetensors"],
            f"class must be one of {', '.join(CLASSES)}, not 'joy'",
        ),
        (
            ["--figure", "filters", "--model", "plain.safetensors"],
            "model must have convolutions; one of architecture 'fusion' has none",
        ),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    arguments: list[str],
    sentence: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    before = {*folder.iterdir()}
    assert said(arguments, capsys) == (2, f"fer-fast: {sentence}\n")
    assert {*folder.iterdir()} == before


def test_checkpoints_may_differ_in_what_is_measured(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cnn", "ensemble"):
        (checkpoints := tmp_path / name).mkdir()
        (checkpoints / "a.safetensors").symlink_to(folder / f"{name}.safetensors")
        network, shares = built(name), (0.1, *[0.9 / (len(CLASSES) - 1)] * (len(CLASSES) - 1))
        changes: dict[str, Any] = {"temperature": 2.0, "prior": shares, "precision_falls": {"bf16": 0.25}}
        if isinstance(network.config, EnsembleConfig):
            first, *others = network.config.members
            changes = {"members": (dataclasses.replace(first, **changes), *others)}
        network.config = dataclasses.replace(network.config, **changes)
        save_model(network, checkpoints / "b.safetensors")
        arguments = [str(folder / "face.png"), "--figure", "activations", "--checkpoints", str(checkpoints)]
        status, line = said([*arguments, "-o", str(tmp_path / "out.png")], capsys)
        assert status == 0 and ": 2 models, " in line


def test_checkpoints_are_the_first_the_last_and_some_between(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fer_fast.cli import layers

    for number in range(20):
        (tmp_path / f"epoch_{number:03}.safetensors").symlink_to(folder / "cnn.safetensors")
    drawn: list[list[str]] = []
    monkeypatch.setattr(
        layers, "draw_epochs", lambda pixels, epochs: drawn.append([each.name for each in epochs]) or b"PNG"
    )
    arguments = [str(folder / "face.png"), "--figure", "activations", "--checkpoints", str(tmp_path)]
    assert said([*arguments, "-o", str(tmp_path / "out.png")], capsys)[0] == 0
    assert drawn == [[f"epoch_{number:03}" for number in (0, 3, 6, 10, 13, 16, 19)]]

"""dlib's own file of its face recognition network as the start of a face-resnet: read or refused, and its function."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dlib_files import DrawnLayer, dlib_file, drawn_layers, write_dlib
from drawn_data import draw_ferplus, last_sentence
from tiny_models import faces

from fer_fast.cli import run
from fer_fast.models.face_resnet.config import FaceResNetConfig
from fer_fast.models.face_resnet.dlib import read_dlib
from fer_fast.models.face_resnet.layers import face_resnet_shapes

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = FaceResNetConfig(widths=(4, 6, 8, 8), image_size=112)
#: dlib's own file, where somebody has it.
REAL = os.environ.get("FER_FAST_DLIB", "")
RECIPE = """
stages = [{ steps = 1 }]
batch_size = 8
learning_rate = 1e-4
[model]
architecture = "face-resnet"
widths = [4, 6, 8, 8]
"""


def test_all_but_the_head_is_read(tmp_path: Path) -> None:
    layers = write_dlib(tmp_path / "net.dat", CONFIG)
    tensors = read_dlib(tmp_path / "net.dat", CONFIG)
    wanted = {name: shape for name, shape in face_resnet_shapes(CONFIG) if not name.startswith("head.")}
    assert {name: values.shape for name, values in tensors.items()} == wanted
    names = [name.removesuffix(".weight") for name, shape in wanted.items() if len(shape) == 4]
    assert len(names) == len(layers) == 29
    for name, layer in zip(names, layers, strict=True):
        norm = name.replace("conv", "norm")
        np.testing.assert_array_equal(tensors[f"{name}.weight"], layer.filters)
        np.testing.assert_array_equal(tensors[f"{norm}.running_mean"], -layer.bias)
        np.testing.assert_array_equal(tensors[f"{norm}.weight"], layer.gamma)
        np.testing.assert_array_equal(tensors[f"{norm}.bias"], layer.beta)


def _not_finite(content: bytes) -> bytes:
    gamma = drawn_layers(CONFIG)[3].gamma.tobytes()
    assert content.count(gamma) == 1
    return content.replace(gamma, np.float32("inf").tobytes() + gamma[4:])


def _twice_the_last(_: bytes) -> bytes:
    layers = drawn_layers(CONFIG)
    return dlib_file([*layers, layers[-1]])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _: b"", "layer 1 must be con_4 of 592 numbers"),
        (lambda _: b"no network", "layer 1 must be con_4 of 592 numbers"),
        (lambda content: content[:1000], "it ends in the middle of layer 1"),
        (lambda content: content[: content.index(b"affine_") + 8], "layer 2 must be affine_ of 8 numbers"),
        (lambda content: content[: len(content) // 2], "it ends in the middle of layer 37"),
        (lambda content: content.replace(b"affine_", b"bn_con2", 1), "layer 2 must be affine_ of 8 numbers"),
        (lambda _: dlib_file(drawn_layers(FaceResNetConfig(widths=(4, 6, 8, 9)))), "layer 43 must be con_4 of 584"),
        (_twice_the_last, "there must be 58 layers, not more"),
        (_not_finite, "layer 8 has a number that is not finite"),
    ],
    ids=["empty", "other", "filters", "header", "half", "norms", "widths", "deeper", "infinite"],
)
def test_damaged_and_other_files(tmp_path: Path, damage: Callable[[bytes], bytes], reason: str) -> None:
    path = tmp_path / "net.dat"
    path.write_bytes(damage(dlib_file(drawn_layers(CONFIG))))
    with pytest.raises(ValueError, match=r"start '.*net\.dat' must be dlib's face recognition network") as caught:
        read_dlib(path, CONFIG)
    assert reason in str(caught.value)


def features(layers: list[DrawnLayer], images: Tensor) -> Tensor:
    """What dlib's layers, written down once more, make of faces: [batch, widths[-1]]."""
    import torch
    import torch.nn.functional as F

    left = iter(layers)

    def layer(x: Tensor, stride: int, padding: int) -> Tensor:
        filters, bias, gamma, beta = map(torch.from_numpy, next(left))
        x = F.conv2d(x, filters, bias, stride, padding)
        return x * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)

    def unit(x: Tensor, halves: bool) -> Tensor:
        short = F.avg_pool2d(x, 2) if halves else x
        x = layer(F.relu(layer(x, 2 if halves else 1, 0 if halves else 1)), 1, 1)
        # Of two unlike maps the sum is as large as the larger on each axis, and both begin at its first pixel.
        total = torch.zeros([max(sides) for sides in zip(x.shape, short.shape, strict=True)])
        for each in (x, short):
            batch, channels, height, width = each.shape
            total[:batch, :channels, :height, :width] += each
        return F.relu(total)

    mean = torch.tensor([122.782, 117.001, 104.298]).view(1, 3, 1, 1)
    x = F.max_pool2d(F.relu(layer((images - mean) / 256, 2, 0)), 3, 2)
    for stage, units in enumerate((3, 4, 3, 3, 1)):
        for number in range(units):
            x = unit(x, halves=stage > 0 and number == 0)
    assert next(left, None) is None
    return x.mean(dim=(2, 3))


@pytest.mark.needs_torch
@pytest.mark.parametrize("size", [112, 150])
def test_the_network_is_that_of_the_file(tmp_path: Path, size: int) -> None:
    import torch

    from fer_fast.train.faces import Faces
    from fer_fast.train.recipe import Recipe, Stage
    from fer_fast.train.start import new_start

    layers = write_dlib(tmp_path / "net.dat", CONFIG, seed=1)
    weights = {name: torch.from_numpy(values) for name, values in read_dlib(tmp_path / "net.dat", CONFIG).items()}
    model = {"architecture": "face-resnet", "widths": [4, 6, 8, 8], "image_size": size}
    recipe = Recipe(stages=(Stage(steps=1),), learning_rate=0.1, model=model)
    images = torch.from_numpy(faces(12, size)).permute(0, 3, 1, 2)
    labels = torch.arange(12) % 2
    network = new_start(recipe, Faces(images, torch.eye(2)[labels], labels, ("no", "yes")), weights).model
    with torch.no_grad():
        wanted = network.head(features(layers, images.float()))
        assert wanted.std(dim=0).min() > 0.01, "faces differ"
        torch.testing.assert_close(network.eval()(images.float()), wanted, rtol=1e-4, atol=1e-4)
        # The statistics are those of the faces: a step of training begins with the same function.
        torch.testing.assert_close(network.train()(images.float()), wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.needs_torch
def test_weights_of_another_network_are_refused() -> None:
    import torch

    from fer_fast.models.classifier import classifier_of

    architecture = classifier_of(CONFIG)
    network = architecture.network(CONFIG)
    for name, values in (("conv1.weight", torch.zeros(1)), ("stem.conv.weight", torch.zeros(4, 3, 3, 3))):
        with pytest.raises(ValueError, match=f"weights must have face-resnet's names and shapes; '{name}' does not"):
            architecture.begin(network, {name: values}, torch.zeros(2, 3, 112, 112))
    before = {name: values.clone() for name, values in network.state_dict().items()}
    assert architecture.begin(network, {}, torch.zeros(2, 3, 112, 112)) == ()
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str]:
    draw_ferplus(tmp_path / "data", {"train": 16, "valid": 8})
    (tmp_path / "recipe.toml").write_text(RECIPE)
    write_dlib(tmp_path / "net.dat", CONFIG)
    return {"--data": str(tmp_path / "data"), "--start": str(tmp_path / "net.dat"), "--out": str(tmp_path / "run")}


@pytest.mark.needs_torch
def test_a_run_from_dlibs_file(tmp_path: Path, options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_fast.models.files.checkpoint import read_checkpoint
    from fer_fast.train import run as run_module

    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})
    words = [word for option in options.items() for word in option]
    assert run(["train", str(tmp_path / "recipe.toml"), *words]) == 0
    found = read_checkpoint(tmp_path / "run" / "last.safetensors")
    start = read_dlib(tmp_path / "net.dat", CONFIG)["units.0.conv1.weight"]
    # One step at a small rate: a network of chance would be far from it.
    np.testing.assert_allclose(found.tensors["units.0.conv1.weight"], start, rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"--start": "nowhere.dat"}, "start 'nowhere.dat' cannot be read: "),
        ({"recipe": "face-resnet"}, "layer 1 must be con_4 of 4736 numbers"),
    ],
    ids=["missing", "widths"],
)
def test_the_command_says_what_is_wrong(
    tmp_path: Path,
    options: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    said: str,
) -> None:
    chosen = {"recipe": str(tmp_path / "recipe.toml"), **options, **changes}
    recipe = chosen.pop("recipe")
    assert run(["train", recipe, *(word for option in chosen.items() for word in option)]) == 2
    assert said in last_sentence(capsys.readouterr().err, "fer-fast")
    assert not (tmp_path / "run").exists()


@pytest.mark.needs_torch
@pytest.mark.skipif(not REAL, reason="FER_FAST_DLIB names no dlib_face_recognition_resnet_model_v1.dat")
@pytest.mark.skipif(not importlib.util.find_spec("dlib"), reason="dlib is not installed")
def test_dlib_itself_computes_the_same() -> None:
    import dlib
    import torch

    from fer_fast.models.classifier import classifier_of
    from fer_fast.models.face_resnet.network import FaceResNet

    config = FaceResNetConfig(image_size=150)
    architecture, images = classifier_of(config), faces(4, 150)
    network = architecture.network(config)
    weights = {name: torch.from_numpy(values) for name, values in read_dlib(Path(REAL), config).items()}
    assert isinstance(network, FaceResNet)
    architecture.begin(network, weights, torch.from_numpy(faces(16, 150, seed=1)).permute(0, 3, 1, 2).float())
    # Of the last layer, 256 to 128, the numbers follow its sizes.
    sizes, content = bytes([1, 2, 2, 0, 1, 1, 128, 1, 1, 1, 1]), Path(REAL).read_bytes()
    last = np.frombuffer(content, "<f4", 256 * 128, content.index(sizes, content.index(b"fc_2")) + len(sizes))
    with torch.no_grad():
        pooled = network.units(network.stem(network.normalised(torch.from_numpy(images)))).mean(dim=(2, 3))
    model = dlib.face_recognition_model_v1(REAL)
    wanted = np.stack([np.array(model.compute_face_descriptor(image)) for image in images])
    np.testing.assert_allclose(pooled.numpy() @ last.reshape(256, 128), wanted, rtol=0, atol=1e-4)

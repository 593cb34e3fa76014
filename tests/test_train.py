"""A training run from command line to checkpoint: exact resumption, what is logged, and clear refusals."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from tiny_models import faces, tiny_config

from fer_fast.models.backbone import ResNet18Taps
from fer_fast.models.checkpoint import read_checkpoint
from fer_fast.models.config import PRESETS
from fer_fast.models.fusion import FusionModel
from fer_fast.models.storage import load_model
from fer_fast.train import run as run_module
from fer_fast.train.__main__ import main
from fer_fast.train.calibrate import fit_temperature
from fer_fast.train.ferplus import COLUMNS, SPLITS, load_split
from fer_fast.train.recipe import load_recipe
from fer_fast.train.run import Training
from fer_fast.train.start import measure_statistics, read_backbone_weights, start_backbone
from fer_fast.types import FerFastError

CONFIG = tiny_config(sources=("image", "FM1"), depth=2)
RECIPE = """
preset = "tiny"
seed = 7
batch_size = 8
stages = [{ image_size = 32, epochs = 1 }, { image_size = 40, epochs = 1 }]
learning_rate = 1e-3
backbone_learning_rate = 5e-4
weight_decay = 0.05
drop_path = 0.2
auxiliary_weight = 0.3
average_decay = 0.9

[augmentation]
rotation_degrees = 15.0
scale = 0.15
shift = 0.08
contrast = 0.25
erase_chance = 0.4
erase_side = [0.15, 0.4]
"""


@pytest.fixture(scope="module", autouse=True)
def small_preset() -> Iterator[None]:
    """A tiny "tiny": its state is saved after each step, and 240 MB a step would be most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", CONFIG)
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "mini.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up FERPlus: 34 training and 10 validation faces."""
    folder = tmp_path_factory.mktemp("ferplus")
    generator = np.random.default_rng(0)
    rows = [",".join(["Usage", "Image name", *COLUMNS])]
    for split, count in (("train", 34), ("valid", 10)):
        inside, usage = SPLITS[split]
        (folder / inside).mkdir()
        for number, pixels in enumerate(faces(count, 48, seed=len(rows))):
            Image.fromarray(pixels[:, :, 0]).save(folder / inside / f"{split}{number}.png")
            votes = generator.multinomial(10, np.roll([0.6, 0.3, 0.1, 0, 0, 0, 0, 0], number % 8))
            rows.append(",".join([usage, f"{split}{number}.png", *map(str, votes), "0", "0"]))
    (folder / "fer2013new.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ResNet-18 weights without the convolutions of layer4, as the trunk file has them."""
    torch.manual_seed(0)
    state = ResNet18Taps(["FM4"]).state_dict()
    path = tmp_path_factory.mktemp("backbone") / "trunk.safetensors"
    save_file({name: tensor for name, tensor in state.items() if "layer4.1" not in name}, path)
    return path


def new_run(recipe: Path, data: Path, backbone: Path, out: Path) -> Training:
    splits = (load_split(data, split) for split in ("train", "valid"))
    return Training(load_recipe(recipe), *splits, out, read_backbone_weights(backbone))


@pytest.fixture(scope="module")
def unbroken(recipe: Path, data: Path, backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("unbroken")
    rows: list[dict[str, Any]] = []
    new_run(recipe, data, backbone, out).run(rows.append)
    assert [row["step"] for row in rows] == [4, 8]
    return out


def logged(out: Path) -> list[dict[str, str]]:
    """The rows of a log without the speed, which no run repeats."""
    with (out / "log.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if "second" not in name} for row in csv.DictReader(file)]


def assert_same_run(out: Path, unbroken: Path) -> None:
    assert logged(out) == logged(unbroken)
    # Not the files' bytes: safetensors writes the metadata's keys in random order.
    digests = [read_checkpoint(folder / "model.safetensors").digest for folder in (out, unbroken)]
    assert digests[0] == digests[1]


def test_run_leaves_a_log_and_a_calibrated_model(unbroken: Path) -> None:
    rows = logged(unbroken)
    assert [(row["step"], row["epoch"], row["image_size"]) for row in rows] == [("4", "1", "32"), ("8", "2", "40")]
    assert all(np.isfinite(float(row["loss"])) and 0 <= float(row["valid_accuracy"]) <= 1 for row in rows)
    checkpoint = read_checkpoint(unbroken / "model.safetensors")
    assert checkpoint.config.temperature != 1.0
    assert load_model(unbroken / "model.safetensors").config.image_size == 64
    assert not list(unbroken.glob("*.partial"))


class InterruptedRunError(Exception):
    pass


@pytest.mark.parametrize(("row", "save_seconds"), [(1, 1e9), (1, -1.0), (2, -1.0)], ids=["no state", "1st", "2nd"])
def test_resumed_run_is_the_unbroken_one(
    row: int,
    save_seconds: float,
    recipe: Path,
    data: Path,
    backbone: Path,
    tmp_path: Path,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_module, "SAVE_SECONDS", save_seconds)  # negative: after each step
    reported: list[dict[str, Any]] = []

    def report(values: dict[str, Any]) -> None:
        reported.append(values)
        if len(reported) == row:
            raise InterruptedRunError  # logged, but not yet saved

    with pytest.raises(InterruptedRunError):
        new_run(recipe, data, backbone, tmp_path).run(report)
    assert len(logged(tmp_path)) == row
    assert (tmp_path / "state.pt").exists() == (save_seconds < 0)
    assert not (tmp_path / "model.safetensors").exists()
    new_run(recipe, data, backbone, tmp_path).run(lambda _: None)
    assert_same_run(tmp_path, unbroken)
    new_run(recipe, data, backbone, tmp_path).run(lambda _: pytest.fail("a finished run has nothing left to do"))
    assert_same_run(tmp_path, unbroken)


def test_killed_run_goes_on(recipe: Path, data: Path, backbone: Path, tmp_path: Path, unbroken: Path) -> None:
    code = (
        "import os, signal, sys, torch; from fer_fast.train import __main__ as command, run; "
        "from fer_fast.models.config import PRESETS, ModelConfig; "
        f"PRESETS['tiny'] = ModelConfig(**{CONFIG.as_dict()!r}); "
        "torch.set_num_threads(1); run.SAVE_SECONDS = -1; step = run.Training._advance; "
        "run.Training._advance = lambda self, now: "
        "os.kill(os.getpid(), signal.SIGKILL) if now.number == 6 else step(self, now); "
        "command.main(sys.argv[1:])"
    )
    arguments = [str(recipe), "--data", str(data), "--out", str(tmp_path), "--backbone", str(backbone)]
    killed = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout.startswith("step 4  epoch 1  image_size 32  loss ")
    assert main(arguments) == 0
    assert_same_run(tmp_path, unbroken)


def test_state_of_another_run_is_refused(
    recipe: Path, data: Path, backbone: Path, tmp_path: Path, unbroken: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(RECIPE.replace("seed = 7", "seed = 8"))
    with pytest.raises(ValueError, match=r"out must be a new folder: .* holds a run of another recipe or other data"):
        new_run(other, data, backbone, unbroken).run(lambda _: None)
    (tmp_path / "state.pt").write_bytes((unbroken / "state.pt").read_bytes()[:5000])
    with pytest.raises(FerFastError, match=r"state\.pt' is damaged"):
        new_run(recipe, data, backbone, tmp_path).run(lambda _: None)


def test_too_few_images(recipe: Path, data: Path, backbone: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_text(RECIPE.replace("batch_size = 8", "batch_size = 35"))
    with pytest.raises(ValueError, match=r"train must hold batch_size 35 labelled images or more.*hold 34 and 10"):
        new_run(large, data, backbone, tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "no-such-recipe"}, "recipe must be a .toml file or one of: fast"),
        ({"--data": "no-such-folder"}, "data must be a folder with FER2013Train/"),
        ({"--backbone": "no-such-file"}, "backbone must be a .safetensors or .pth file"),
        ({"--out": os.devnull}, "File exists"),
    ],
    ids=["recipe", "data", "backbone", "out"],
)
def test_command_says_what_is_wrong(
    recipe: Path,
    data: Path,
    backbone: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    words: str,
) -> None:
    options = {"recipe": str(recipe), "--data": str(data), "--out": str(tmp_path), "--backbone": str(backbone)}
    first, *others = (options | changes).items()
    assert main([first[1], *(word for option in others for word in option)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("fer_fast.train: ") and words in said.err
    assert said.err.count("\n") == 1 and said.err.endswith("\n")


def test_command_without_arguments_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "the following arguments are required" in capsys.readouterr().err


def test_backbone_weights(tmp_path: Path, backbone: Path) -> None:
    weights = read_backbone_weights(backbone)
    torch.save(weights, tmp_path / "weights.pth")
    again = read_backbone_weights(tmp_path / "weights.pth")
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    for name, content in (("a.safetensors", b"12345678{}"), ("a.pth", b"no pickle"), ("b.pth", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{re.escape(name)}' cannot be read"):
            read_backbone_weights(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="must hold tensors by name"):
        read_backbone_weights(tmp_path / "list.pth")


def test_start_of_the_backbone(backbone: Path) -> None:
    network = ResNet18Taps(["FM4"]).eval()
    start_backbone(network, read_backbone_weights(backbone))
    block = network.get_submodule("layer4.1")
    x = torch.rand(1, 512, 2, 2)
    with torch.no_grad():
        torch.testing.assert_close(block(x), x)  # a branch that the file lacks starts as zero
    with pytest.raises(ValueError, match="torchvision's resnet18 names"):
        start_backbone(network, {"layer1.0.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="resnet18's shapes"):
        start_backbone(network, {"conv1.weight": torch.zeros(64, 1, 7, 7)})


@pytest.mark.parametrize("reduce_mean", [False, True])
def test_measured_statistics_normalise_the_taps(reduce_mean: bool) -> None:
    model = FusionModel(tiny_config(sources=("FM1", "FM3"), reduce_mean=reduce_mean)).eval()
    images = torch.from_numpy(faces(16, 64)).permute(0, 3, 1, 2).float()
    measure_statistics(model, images)
    with torch.no_grad():
        for name, tap in zip(model.config.taps, model.sources(images), strict=True):
            values = tap.mean(dim=1, keepdim=True) if reduce_mean else tap
            mean, inv_std = model.get_buffer(f"mean_{name}"), model.get_buffer(f"inv_std_{name}")
            normal = (values - mean.view(1, -1, 1, 1)) * inv_std.view(1, -1, 1, 1)
            assert normal.mean(dim=(0, 2, 3)).abs().max() < 1e-2
            deviations = normal.std(dim=(0, 2, 3))
            assert deviations.max() < 1.01, "none is blown up"
            assert deviations.median() > 0.9


def test_temperature_is_recovered() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4000, 5) * 2
    labels = torch.distributions.Categorical(logits=logits).sample()
    assert fit_temperature(logits, labels) == pytest.approx(1.0, abs=0.07)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3.0, abs=0.2)
    assert F.cross_entropy(logits, labels) > 0


def test_temperature_of_a_faultless_model_is_usable() -> None:
    labels = torch.arange(8)
    temperature = fit_temperature(torch.eye(8) * 10, labels)
    assert 0.01 <= temperature <= 100 and np.isfinite(temperature)

"""An architecture that another distribution brings does all that the package's own do; a broken one is told of."""

from __future__ import annotations

import csv
import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_data import draw_backbone, draw_classes, draw_ferplus, last_sentence
from PIL import Image
from tiny_models import faces, save_image_model

import fer_fast
from fer_fast.calibration import fit
from fer_fast.calibration.own_faces import calibrated
from fer_fast.cli import run
from fer_fast.datasets.resized import plain
from fer_fast.decode.images import pixels_of
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.files.checkpoint import read_checkpoint, write_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.fusion.architecture import FusionArchitecture
from fer_fast.models.loading import load_model
from fer_fast.models.registry import architecture_named, known_architectures
from fer_fast.models.tensors import Shape, layer_shapes
from fer_fast.train import calibrate
from fer_fast.train import run as run_module
from fer_fast.train.distil import _of_classes, taught
from fer_fast.train.faces import Faces
from fer_fast.train.recipe import Recipe, Stage
from fer_fast.train.start import tuned_start

KNOWN = "brought, cnn, ensemble, face-resnet, fusion, inception, yunet"
SOURCE = Path(__file__).parent / "brought"
RECIPE = """
stages = [{ steps = 4 }]
batch_size = 8
learning_rate = 1e-2
targets = "labels"

[model]
architecture = "brought"
image_size = 16
width = 6
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put the distribution."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(SOURCE, folder / "source")
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(source)]
    subprocess.run(command, check=True, timeout=300)
    return folder / "site"


@pytest.fixture(autouse=True)
def brought(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(calibrate, "ENOUGH", 1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Everything that training wants but --out."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "recipe.toml").write_text(RECIPE)
    return [str(folder / "recipe.toml"), "--data", str(draw_ferplus(folder / "data", {"train": 18, "valid": 9}))]


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_from_training_to_an_export(inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "brought" in known_architectures()
    out = tmp_path / "run"
    assert run(["train", *inputs, "--out", str(out)]) == 0
    checkpoint = read_checkpoint(out / "last.safetensors")
    assert (checkpoint.config.architecture, checkpoint.config.image_size) == ("brought", 16)
    assert set(checkpoint.config.activation_ranges) == {"conv", "head"}
    assert {"bf16", "int8"} & set(checkpoint.config.precision_falls)

    photos = tmp_path / "photos"
    photos.mkdir()
    for number, pixels in enumerate(faces(5, 16, seed=3)):
        Image.fromarray(pixels).save(photos / f"{number}.png")
    images = np.stack([pixels_of(path.read_bytes(), 16) for path in sorted(photos.iterdir())])
    model = load_model(out / "last.safetensors")
    with torch.inference_mode():
        wanted = (model(torch.from_numpy(images)) / checkpoint.config.temperature).softmax(dim=1).numpy()
    exported = tmp_path / "brought.xml"
    assert run(["export", str(out / "last.safetensors"), "--format", "openvino", "-o", str(exported)]) == 0
    for model_file in (out / "last.safetensors", exported):
        table = tmp_path / f"{model_file.stem}.csv"
        options = ["--model", str(model_file), "--engine", "openvino", "--precision", "fp32", "-o", str(table)]
        assert run(["classify", str(photos), *options]) == 0
        columns = [f"p_{name}" for name in checkpoint.config.classes]
        found = [
            [float(row[column]) for column in columns] for row in sorted(rows_of(table), key=lambda row: row["path"])
        ]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


def test_a_stopped_run_goes_on(inputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})
    monkeypatch.setattr(run_module, "SAVE_SECONDS", -1.0)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run(["train", *inputs, "--out", str(whole)]) == 0
    advance = run_module.Training._advance

    def interrupted(training: Any, step: Any) -> float:
        if step.number == 3:
            raise KeyboardInterrupt
        return advance(training, step)

    with monkeypatch.context() as patch:
        patch.setattr(run_module.Training, "_advance", interrupted)
        assert run(["train", *inputs, "--out", str(stopped)]) == 130
    assert run(["train", *inputs, "--out", str(stopped)]) == 0
    digests = [read_checkpoint(out / "last.safetensors").digest for out in (whole, stopped)]
    assert digests[0] == digests[1]


def test_it_learns_from_another_architecture(
    inputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A teacher sees faces of its own size."""
    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})
    save_image_model(tmp_path / "teacher.safetensors")
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("batch_size", "distillation = 0.5\nbatch_size"))
    options = ["--teacher", str(tmp_path / "teacher.safetensors"), "--out", str(tmp_path / "run")]
    assert run(["train", str(tmp_path / "recipe.toml"), *inputs[1:], *options]) == 0
    assert read_checkpoint(tmp_path / "run" / "last.safetensors").config.architecture == "brought"
    (answers,) = (tmp_path / "run").glob("answers-*")
    assert answers.stat().st_size > 18 * 8 * 4


def test_a_teacher_may_know_more_classes(tmp_path: Path) -> None:
    save_image_model(tmp_path / "teacher.safetensors")
    pixels = torch.from_numpy(faces(6, 16, seed=4)).permute(0, 3, 1, 2)
    classes = ("fear", "anger")
    known = Faces(pixels, torch.eye(2)[[0, 1] * 3], torch.tensor([0, 1] * 3), classes)
    found = taught(known, [str(tmp_path / "teacher.safetensors")], 1.0, tmp_path / "answers.safetensors", "cpu")
    with fer_fast.Classifier(tmp_path / "teacher.safetensors", device="cpu") as teacher:
        seen = plain(pixels, teacher.image_size).byte().permute(0, 2, 3, 1).contiguous().numpy()
        both = teacher.predict_batch(seen) + teacher.predict_batch(np.ascontiguousarray(seen[:, :, ::-1]))
        asked = both[:, [teacher.classes.index(name) for name in classes]]
    np.testing.assert_allclose(found.targets.numpy(), asked / asked.sum(axis=1, keepdims=True), rtol=0, atol=1e-5)
    unknown = dataclasses.replace(known, classes=("fear", "boredom"))
    with pytest.raises(ValueError, match="must have the classes of the data, fear, boredom"):
        taught(unknown, [str(tmp_path / "teacher.safetensors")], 1.0, tmp_path / "answers.safetensors", "cpu")


def test_a_teacher_that_is_sure_of_another_class_says_nothing() -> None:
    answers = torch.tensor([[0.0, 0.0, 1.0], [0.1, 0.3, 0.6]])
    found = _of_classes(answers, ("no", "yes", "perhaps"), ("yes", "no"))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.75, 0.25]]))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            'architecture = "nobodys"',
            f"architecture must be one of {KNOWN}, not 'nobodys'",
        ),
        ('architecture = "yunet"', "architecture must be a classifier's; 'yunet' is a face finder's"),
        ('architecture = "brought"\npreset = "small"', "preset must be one of none, not 'small'"),
        ('architecture = "brought"\nsources = ["image"]', "unknown configuration field 'sources'"),
    ],
)
def test_wrong_recipes(
    line: str, told: str, inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace('architecture = "brought"', line))
    assert run(["train", str(tmp_path / "recipe.toml"), *inputs[1:], "--out", str(tmp_path / "run")]) == 2
    assert told in last_sentence(capsys.readouterr().err, "fer-fast")


@pytest.mark.parametrize("name", ["drop_path", "auxiliary_weight", "backbone_learning_rate"])
def test_what_it_cannot_obey_is_refused(
    name: str, inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("batch_size", f"{name} = 0.5\nbatch_size"))
    assert run(["train", str(tmp_path / "recipe.toml"), *inputs[1:], "--out", str(tmp_path / "run")]) == 2
    said = last_sentence(capsys.readouterr().err, "fer-fast")
    assert f"{name} must be 0 for architecture 'brought', not 0.5" in said


def bring(folder: Path, name: str, place: str, module: str = "") -> None:
    """A distribution as pip would leave it, with one entry point."""
    about = folder / "broken_architecture-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-architecture\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[fer_fast.architectures]\n{name} = {place}\n")
    (folder / "broken_architecture.py").write_text(module)


@pytest.mark.parametrize(
    ("place", "module", "told"),
    [
        (
            "no_such_module:Architecture",
            "",
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("broken_architecture:Thing", "raise OSError('no licence')", "cannot be imported: OSError: no licence"),
        ("broken_architecture:Thing", "raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
        (
            "broken_architecture:Thing",
            "from brought_architecture import BroughtArchitecture\n"
            "class Thing(BroughtArchitecture): config = {'architecture': 'broken'}",
            "must have a class of ClassifierConfig as its config, not {'architecture': 'broken'}",
        ),
        ("broken_architecture:Thing", "Thing = 5", "must be a fer_fast.models.architecture.Architecture, not 5"),
        (
            "broken_architecture:Thing",
            "from brought_architecture import BroughtArchitecture as Thing",
            "must have a configuration of that name, not 'brought'",
        ),
    ],
)
def test_a_broken_architecture_is_told_of_when_it_is_asked_for(
    place: str,
    module: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bring(tmp_path / "site", "broken", place, module)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "broken_architecture", raising=False)
    config = save_image_model(tmp_path / "good.safetensors")
    images = faces(2, config.image_size)
    with fer_fast.Classifier(tmp_path / "good.safetensors") as classifier:
        assert classifier.predict_batch(images).shape == (2, 8)

    class Said:
        def as_dict(self) -> dict[str, Any]:
            return {**config.as_dict(), "architecture": "broken"}

    write_checkpoint(tmp_path / "bad.safetensors", Said(), {})  # type: ignore[arg-type]
    Image.fromarray(faces(1, 8)[0]).save(tmp_path / "face.png")
    assert run(["classify", str(tmp_path), "--model", str(tmp_path / "bad.safetensors")]) == 2
    said = last_sentence(capsys.readouterr().err, "fer-fast")
    assert f"architecture 'broken' of broken-architecture {told}" in said


def test_two_distributions_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(tmp_path, "brought", "broken_architecture:Thing")
    monkeypatch.syspath_prepend(str(tmp_path))
    architecture_named.cache_clear()
    with pytest.raises(ValueError, match="must be of one distribution, not of broken-architecture and brought-arch"):
        architecture_named("brought")


def test_no_name_of_the_packages_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(tmp_path, "fusion", "broken_architecture:Thing", "raise OSError")
    monkeypatch.syspath_prepend(str(tmp_path))
    architecture_named.cache_clear()
    assert type(architecture_named("fusion")) is FusionArchitecture


def test_compiled_models_are_kept_by_its_version(inputs: list[str], tmp_path: Path) -> None:
    architecture = architecture_named("brought")
    config = architecture.config()
    assert architecture.versions(config) == {"brought": "1"}
    fusion = FusionArchitecture.config()
    assert FusionArchitecture().versions(fusion) == {}
    both = EnsembleConfig(members=(config, fusion), shares=(0.5, 0.5))
    assert architecture_named("ensemble").versions(both) == {"brought": "1"}


def test_a_trained_one_learns_other_classes(
    inputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})
    model, _, _ = RECIPE.partition("[model]")
    (tmp_path / "recipe.toml").write_text(model)
    config = architecture_named("brought").config(image_size=16)
    torch.manual_seed(0)
    save_model(architecture_named("brought").network(config), tmp_path / "start.safetensors")
    data = draw_classes(tmp_path / "data", {"no": 12, "yes": 12})
    options = ["--data", str(data), "--start", str(tmp_path / "start.safetensors"), "--out", str(tmp_path / "run")]
    assert run(["train", str(tmp_path / "recipe.toml"), *options]) == 0
    tuned = read_checkpoint(tmp_path / "run" / "last.safetensors")
    assert tuned.config.classes == ("no", "yes") and tuned.tensors["head.weight"].shape == (2, 8)
    weights = draw_backbone(tmp_path / "backbone.safetensors", taps=("FM1",))
    assert run(["train", *inputs, "--backbone", str(weights), "--out", str(tmp_path / "other")]) == 2
    assert "backbone must not be given" in last_sentence(capsys.readouterr().err, "fer-fast")


def test_what_is_not_of_the_head_is_kept_whatever_the_bias_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def network(*arguments: Any) -> Any:
        found = without_a_bias(*arguments)
        found.bias = torch.nn.Parameter(torch.zeros(len(found.config.classes)))
        return found

    def shapes(config: Any) -> Iterator[Shape]:
        yield from layer_shapes("conv", config.width, 3, 4, 4)
        yield "head.weight", (len(config.classes), config.width)
        yield "bias", (len(config.classes),)

    architecture = architecture_named("brought")
    for name, value in (("bias", "bias"), ("network", network), ("shapes", shapes)):
        monkeypatch.setattr(architecture, name, value)
    torch.manual_seed(0)
    start = architecture.network(architecture.config(image_size=16))
    pixels = torch.from_numpy(faces(2, 16)).permute(0, 3, 1, 2)
    others = ("no", "yes", "perhaps")
    train = Faces(pixels, torch.eye(3)[:2], torch.tensor([0, 1]), others)
    recipe = Recipe(stages=(Stage(steps=1),), learning_rate=1e-3, seed=1)
    model = tuned_start(recipe, train, start).model
    assert model.config.classes == others
    assert torch.equal(model.get_parameter("conv.weight"), start.get_parameter("conv.weight"))


@pytest.mark.parametrize("name", ["nobodys", 5, ["fusion"], None])
def test_an_unknown_architecture_in_a_checkpoint(name: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Said:
        def as_dict(self) -> dict[str, Any]:
            return {"architecture": name}

    write_checkpoint(tmp_path / "bad.safetensors", Said(), {})  # type: ignore[arg-type]
    Image.fromarray(faces(1, 8)[0]).save(tmp_path / "face.png")
    assert run(["classify", str(tmp_path), "--model", str(tmp_path / "bad.safetensors")]) == 2
    said = last_sentence(capsys.readouterr().err, "fer-fast")
    assert f"architecture must be one of {KNOWN}, not" in said


def built(config: Any, drop_path: float = 0.0) -> Any:
    """What `brought` builds."""
    from brought_network import BroughtNetwork

    return BroughtNetwork(config)


def without_a_bias(*arguments: Any) -> Any:
    network = built(*arguments)
    network.head = torch.nn.Linear(network.config.width, len(network.config.classes), bias=False)
    return network


def of_one_class(*arguments: Any) -> Any:
    network = built(*arguments)
    network.logits = lambda pixels: pixels.mean(dim=(2, 3))[:, :1]
    return network


def unable(*_: Any) -> None:
    raise RuntimeError("no licence today")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("network", unable, "RuntimeError: no licence today"),
        ("network", lambda *_: 5, "TypeError: it must be a fer_fast.models.network.Network, not int"),
        ("network", without_a_bias, "ValueError: 'head.bias' is not there, and by `shapes` (8,)"),
        ("network", of_one_class, "ValueError: `logits` must give [2, 8] of two images, not [2, 1]"),
        ("bias", "top.bias", "ValueError: `bias` must name a tensor [8], added to the logits; 'top.bias' is none"),
    ],
    ids=["raises", "of another kind", "of other tensors", "of other logits", "bias"],
)
def test_what_cannot_be_built_is_told_of_before_it_is_trained(
    name: str,
    value: Any,
    told: str,
    inputs: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(architecture_named("brought"), name, value)
    assert run(["train", *inputs, "--out", str(tmp_path / "run")]) == 2
    said = last_sentence(capsys.readouterr().err, "fer-fast")
    assert said == f"fer-fast: architecture 'brought' of version 1 cannot build its network: {told}\n"
    assert not (tmp_path / "run").exists()


def test_files_that_it_says_it_reads_and_does_not(
    inputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(architecture_named("brought"), "weights_suffix", ".bin")
    (tmp_path / "weights.bin").write_bytes(b"of another program")
    options = ["--start", str(tmp_path / "weights.bin"), "--out", str(tmp_path / "run")]
    assert run(["train", *inputs, *options]) == 2
    said = last_sentence(capsys.readouterr().err, "fer-fast")
    assert said.startswith("fer-fast: start must be a model or a checkpoint, not ")
    assert "architecture 'brought' has weights_suffix '.bin' and no read_weights" in said


def test_a_mix_needs_the_bias_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = architecture_named("brought").config(image_size=16, classes=("no", "yes"))
    save_model(architecture_named("brought").network(config), tmp_path / "model.safetensors")
    monkeypatch.setattr(architecture_named("brought"), "bias", "top.bias")
    checkpoint = read_checkpoint(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model must have a bias of its classes, 'top\.bias' by its architecture"):
        calibrated(checkpoint, fit.plain(1.0, 2), ("no", "yes"))

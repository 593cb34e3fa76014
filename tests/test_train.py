"""A training run from command line to classified face: what it leaves, what it can start from, what it refuses."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_data import RECIPE, draw_backbone, draw_classes, draw_ferplus, last_sentence
from PIL import Image
from tiny_models import faces

from fer_fast import Classifier
from fer_fast.cli import run
from fer_fast.cli import train as command
from fer_fast.models.checkpoint import read_checkpoint
from fer_fast.models.fusion import FusionModel
from fer_fast.models.storage import load_model, save_model
from fer_fast.train import calibrate, distil
from fer_fast.train import run as run_module
from fer_fast.train.augment import plain
from fer_fast.train.distil import taught
from fer_fast.train.faces import Faces
from fer_fast.train.learner import Learner
from fer_fast.train.recipe import Recipe, Stage, load_recipe
from fer_fast.train.record import LOG_FIELDS
from fer_fast.train.run import Training, _optimizer, _plan
from fer_fast.train.start import read_backbone_weights
from fer_fast.types import EMOTIONS


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Teachers are compiled: not into the user's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_FAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(calibrate, "_ENOUGH", 1)  # ten faces are all there is to validate on
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "recipe.toml").write_text(RECIPE)
    draw_ferplus(folder / "data", {"train": 34, "valid": 10})
    draw_backbone(folder / "backbone.safetensors", taps=("FM1",))
    return {
        "recipe": str(folder / "recipe.toml"),
        "--data": str(folder / "data"),
        "--backbone": str(folder / "backbone.safetensors"),
    }


@pytest.fixture(scope="module")
def trained(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    out = tmp_path_factory.mktemp("runs") / "deeper" / "trained"
    assert run(["train", *words(inputs, {"--out": str(out)})]) == 0
    return out


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})


def words(*options: dict[str, str]) -> list[str]:
    """The command line; later options win, and an empty one is left out."""
    merged: dict[str, str] = {}
    for each in options:
        merged |= each
    recipe = merged.pop("recipe")
    return [recipe, *(word for option, value in merged.items() if value for word in (option, value))]


def changed(tmp_path: Path, *pairs: tuple[str, str]) -> dict[str, str]:
    """`RECIPE`, changed, as an option."""
    text = RECIPE
    for old, new in pairs:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path = tmp_path / "changed.toml"
    path.write_text(text)
    return {"recipe": str(path)}


STAGES = RECIPE[RECIPE.index("stages") : RECIPE.index("seed")]
SHORT = (STAGES, "stages = [{ steps = 1 }]\n")


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command that fails says."""
    capsys.readouterr()
    assert run(["train", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return last_sentence(said.err, "fer-fast")


def new_training(inputs: dict[str, str], out: Path, *options: dict[str, str]) -> Training:
    """What the command would run."""
    arguments = words(inputs, *options, {"--out": str(out)})
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.training(parser.parse_args(arguments))


# ----------------------------------------------------------------------------------------------- a whole run


def test_run_leaves_everything(trained: Path) -> None:
    names = {"backbone.safetensors", "best.safetensors", "last.safetensors", "curves.png", "log.csv", "state.pt"}
    assert {path.name for path in trained.iterdir()} == names
    with (trained / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == LOG_FIELDS
    assert [(row["step"], row["epoch"], row["image_size"]) for row in rows] == [
        ("4", "1", "32"),
        ("7", "2", "32"),
        ("11", "3", "40"),
    ]
    for row in rows:
        assert np.isfinite([float(row[name]) for name in ("loss", "valid_nll", "learning_rate")]).all()
        assert 0 <= float(row["valid_accuracy"]) <= 1 and float(row["images_per_second"]) > 0
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"])
    with Image.open(trained / "curves.png") as image:
        assert image.size == (1080, 720)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50, "something is drawn"


@pytest.mark.parametrize("name", ["best", "last"])
def test_models_are_calibrated_and_classify(
    trained: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: dict[str, str]
) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    path = trained / f"{name}.safetensors"
    config = read_checkpoint(path).config
    assert config.classes == EMOTIONS and config.image_size == 40
    assert config.temperature > 0 and config.temperature != 1.0
    assert config.activation_ranges
    assert "int8" in config.precision_falls and set(config.precision_falls) <= {"int8", "bf16"}
    assert all((10 * fall) % 1 == pytest.approx(0, abs=1e-9) for fall in config.precision_falls.values())  # of 10 faces
    face = Path(inputs["--data"]) / "FER2013Valid" / "valid000.png"
    with Classifier(path, engine="torch", precision="fp32") as classifier:
        prediction = classifier.predict([face])[0]
        pixels = classifier.decoder.decode([str(face)]).pixels
    assert prediction.probabilities.sum() == pytest.approx(1.0)
    with torch.no_grad():
        logits = load_model(path)(torch.from_numpy(pixels)) / config.temperature
    np.testing.assert_allclose(prediction.probabilities, logits.softmax(dim=1)[0], rtol=0, atol=1e-4)


def test_something_is_learnt(tmp_path: Path, nothing_compiled: None, capsys: pytest.CaptureFixture[str]) -> None:
    for split, count, apart in (("train", 12, 0), ("valid", 4, 2)):
        for label, shade in (("dark", 60), ("bright", 190)):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (40, 40), shade + 5 * number + apart).save(tmp_path / split / label / f"{number}.png")
    recipe = changed(tmp_path, (STAGES, "stages = [{ epochs = 6 }]\n"), ('["image", "FM1"]', '["image"]'))
    assert run(["train", *words(recipe, {"--data": str(tmp_path), "--out": str(tmp_path / "out")})]) == 0
    assert "valid_accuracy 1.0" in capsys.readouterr().out.splitlines()[-1]
    model = load_model(tmp_path / "out" / "best.safetensors")
    assert model.config.classes == ("bright", "dark")
    shades = torch.tensor([70, 200], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 40, 40, 3)
    assert model(shades).argmax(dim=1).tolist() == [1, 0]


def test_a_short_run_keeps_what_it_learnt(tmp_path: Path, nothing_compiled: None) -> None:
    """Weights averaged over some 100 steps: of a run of 20 they must not be those of its beginning."""
    for split, count, apart in (("train", 20, 0), ("valid", 8, 1)):
        for label, shade in (("dark", 60), ("bright", 150)):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (40, 40), shade + 2 * number + apart).save(tmp_path / split / label / f"{number}.png")
    recipe = changed(
        tmp_path,
        (STAGES, "stages = [{ epochs = 4 }]\n"),
        ('["image", "FM1"]', '["image"]'),
        ("average_decay = 0.5", "average_decay = 0.99"),
    )
    assert run(["train", *words(recipe, {"--data": str(tmp_path), "--out": str(tmp_path / "out")})]) == 0
    state = torch.load(tmp_path / "out" / "state.pt", weights_only=True)
    live, averaged = state["live"]["model.vit.head.weight"], state["averaged"]["module.model.vit.head.weight"]
    model = load_model(tmp_path / "out" / "last.safetensors")
    shades = torch.tensor([70, 180], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 40, 40, 3)
    assert model(shades).argmax(dim=1).tolist() == [1, 0]
    assert not torch.equal(live, averaged)


def test_what_valid_has_from_train_is_left_out(
    inputs: dict[str, str], tmp_path: Path, nothing_compiled: None, caplog: pytest.LogCaptureFixture
) -> None:
    data = Path(shutil.copytree(inputs["--data"], tmp_path / "data"))
    shutil.copy(data / "FER2013Train" / "train000.png", data / "FER2013Valid" / "valid008.png")
    caplog.set_level("INFO")
    given = {"--data": str(data), "--out": str(tmp_path / "out")}
    assert run(["train", *words(inputs, changed(tmp_path, SHORT), given)]) == 0
    assert "1 images of valid occur in train, too, and are left out" in caplog.text
    assert "valid: 9 images of neutral" in caplog.text


def test_backbone_run_is_where_the_next_starts(
    inputs: dict[str, str], tmp_path: Path, nothing_compiled: None, capsys: pytest.CaptureFixture[str]
) -> None:
    only = changed(tmp_path, (STAGES, 'stages = [{ steps = 2, part = "backbone" }]\n'))
    assert run(["train", *words(inputs, only, {"--out": str(tmp_path / "first")})]) == 0
    names = {path.name for path in (tmp_path / "first").iterdir()}
    assert names == {"backbone.safetensors", "curves.png", "log.csv", "state.pt"}, "no classifier was trained"
    weights = read_backbone_weights([tmp_path / "first" / "backbone.safetensors"])
    averaged = torch.load(tmp_path / "first" / "state.pt", weights_only=True)["averaged"]
    assert weights and all(
        torch.equal(weights[name], averaged[f"module.model.backbone.{name}"])
        for name in weights
        if not name.endswith("num_batches_tracked")
    )
    before = read_backbone_weights([Path(inputs["--backbone"])])
    assert not torch.equal(weights["conv1.weight"], before["conv1.weight"])
    frozen = changed(tmp_path, SHORT, ("backbone_learning_rate = 5e-4\n", ""))
    start = {"--backbone": str(tmp_path / "first" / "backbone.safetensors"), "--out": str(tmp_path / "second")}
    assert run(["train", *words(inputs, frozen, start)]) == 0
    kept = read_checkpoint(tmp_path / "second" / "last.safetensors").tensors["backbone.conv1.weight"]
    np.testing.assert_array_equal(kept, weights["conv1.weight"].numpy().astype(np.float16))
    assert "fer-fast:" not in capsys.readouterr().err


def test_start_from_a_model_on_ones_own_classes(
    inputs: dict[str, str],
    trained: Path,
    tmp_path: Path,
    nothing_compiled: None,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for place, split in enumerate(("train", "val")):
        draw_classes(tmp_path / "data" / split, {"bored": 4, "curious": 3, "lost": 3}, seed=place)
    (tmp_path / "data" / "train" / "lost" / "000.png").write_bytes(b"no image")
    recipe = changed(
        tmp_path,
        (STAGES, "stages = [{ epochs = 2 }]\n"),
        ("backbone_learning_rate = 5e-4", "backbone_learning_rate = 0"),
    )
    start = {"--start": str(trained / "last.safetensors"), "--backbone": "", "--data": str(tmp_path / "data")}
    caplog.set_level("INFO")
    assert run(["train", *words(inputs, recipe, start, {"--out": str(tmp_path / "out")})]) == 0
    assert f"1 images of train are left out; the first is {tmp_path}/data/train/lost/000.png: " in caplog.text
    assert "train: 9 images of bored, curious, lost" in caplog.text
    before, after = (read_checkpoint(folder / "last.safetensors") for folder in (trained, tmp_path / "out"))
    assert after.config.classes == ("bored", "curious", "lost")
    assert after.tensors["vit.head.weight"].shape == (3, 32)
    frozen = [name for name in after.tensors if name.startswith(("backbone.", "mean_", "inv_std_"))]
    assert sum("running_" in name for name in frozen) == 10, "the batch norms' statistics are among them"
    for name in frozen:
        np.testing.assert_array_equal(after.tensors[name], before.tensors[name], err_msg=name)
    assert not np.array_equal(after.tensors["vit.proj.weight"], before.tensors["vit.proj.weight"])
    for changed_field in ("temperature", "activation_ranges"):
        assert getattr(after.config, changed_field) != getattr(before.config, changed_field)
    assert after.config.precision_falls == {}, "those of the model before are not its own"


# ----------------------------------------------------------------------------------------------- teachers


def test_teachers_by_hand(trained: Path, tmp_path: Path) -> None:
    path = str(trained / "last.safetensors")
    pixels = torch.from_numpy(faces(5, 48)[:, :, :, 0].copy())[:, None]
    train = Faces(pixels, torch.eye(8)[:5], torch.arange(5), EMOTIONS)
    with Classifier(path) as classifier:
        seen = plain(pixels, classifier.image_size).byte().permute(0, 2, 3, 1).numpy()
        answers = (classifier.predict_batch(seen) + classifier.predict_batch(seen[:, :, ::-1].copy())) / 2
    learnt = taught(train, [path], 0.75, tmp_path / "answers.safetensors")
    torch.testing.assert_close(learnt.targets, 0.25 * train.targets + 0.75 * torch.from_numpy(answers))
    assert (learnt.targets - train.targets).abs().max() > 0.3
    twice = taught(train, [path, str(trained / "best.safetensors")], 0.75, tmp_path / "answers.safetensors")
    other = taught(train, [str(trained / "best.safetensors")], 0.75, tmp_path / "answers.safetensors")
    torch.testing.assert_close(twice.targets, (learnt.targets + other.targets) / 2)


def test_answers_are_asked_for_once(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = Faces(torch.zeros(3, 1, 48, 48, dtype=torch.uint8), torch.eye(8)[:3], torch.arange(3), EMOTIONS)
    arguments = ([str(trained / "last.safetensors")], 0.5, tmp_path / "answers.safetensors")
    first = taught(train, *arguments)
    asked: list[int] = []
    monkeypatch.setattr(distil, "_ask", lambda _, pixels: asked.append(len(pixels)) or torch.zeros(len(pixels), 8))
    assert torch.equal(taught(train, *arguments).targets, first.targets) and not asked
    fewer = dataclasses.replace(train, pixels=train.pixels[:2], targets=train.targets[:2], labels=train.labels[:2])
    assert torch.equal(taught(fewer, *arguments).targets, 0.5 * fewer.targets) and asked == [2]
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"damaged")
    assert torch.equal(taught(fewer, *arguments).targets, 0.5 * fewer.targets) and asked == [2, 2]
    monkeypatch.setattr(Classifier, "describe", lambda _: {"precision": "of another machine"})
    assert torch.equal(taught(fewer, *arguments).targets, 0.5 * fewer.targets) and asked == [2, 2]


def test_run_with_a_teacher(inputs: dict[str, str], trained: Path, tmp_path: Path, nothing_compiled: None) -> None:
    recipe = changed(tmp_path, SHORT, ("balance = 0.25", "distillation = 0.5"))
    teacher = {"--teacher": str(trained / "best.safetensors")}
    assert run(["train", *words(inputs, recipe, teacher, {"--out": str(tmp_path / "out")})]) == 0
    assert (tmp_path / "out" / "last.safetensors").is_file()


def test_wrong_teachers(
    inputs: dict[str, str], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, teacher = {"--out": str(tmp_path / "out")}, {"--teacher": str(trained / "last.safetensors")}
    said = complaint(words(inputs, out, teacher), capsys)
    assert "teacher must be given if and only if distillation is above 0; it is 0.0" in said
    taught = changed(tmp_path, ("balance = 0.25", "distillation = 0.5"))
    assert "teacher must be given if and only if distillation is above 0; it is 0.5" in complaint(
        words(inputs, taught, out), capsys
    )
    model = load_model(trained / "last.safetensors")
    model.config = dataclasses.replace(model.config, classes=tuple("abcdefgh"))
    save_model(model, tmp_path / "other.safetensors")
    said = complaint(words(inputs, taught, out, {"--teacher": str(tmp_path / "other.safetensors")}), capsys)
    assert "must have the classes of the data, neutral, happiness" in said


# ----------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"recipe": "no-such-recipe"}, "recipe must be a .toml file or one of: accurate, backbone, distil"),
        ({"--data": "no-such-folder"}, "data must be a folder; there is no 'no-such-folder'"),
        ({"--backbone": "no-such-file"}, "backbone must be a .safetensors or .pth file"),
        ({"--backbone": "", "--start": "no-such-model"}, "model must be a .safetensors file or one of"),
        ({"--backbone": "", "recipe": "tune"}, "start must be given: recipe 'tune' has no [model] of its own"),
        ({"--out": os.devnull}, "cannot be written"),
        pytest.param(
            {"--device": "cuda"},
            "device must be cpu where torch sees no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA card"),
        ),
    ],
    ids=["recipe", "data", "backbone", "start", "no start", "out", "device"],
)
def test_command_says_what_is_wrong(
    inputs: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    expected: str,
) -> None:
    assert expected in complaint(words(inputs, {"--out": str(tmp_path)}, changes), capsys)


def test_command_without_arguments_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["fast", "--data", "x", "--out", "y", "--start", "fast", "--backbone", "z"]):
        with pytest.raises(SystemExit) as caught:
            run(["train", *arguments])
        assert caught.value.code == 2
    assert "--backbone: not allowed with argument --start" in capsys.readouterr().err


def test_data_that_cannot_be_trained_on(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {"--out": str(tmp_path / "out")}
    large = changed(tmp_path, ("batch_size = 8", "batch_size = 35"))
    said = complaint(words(inputs, large, out), capsys)
    assert "train must hold batch_size 35 labelled images or more" in said and "they hold 34 and 10" in said
    small = changed(tmp_path, (STAGES, "stages = [{ image_size = 32, epochs = 1 }]\n"))
    said = complaint(words(inputs, small, out), capsys)
    assert "the last stage must train at the model's image_size 40, not 32" in said
    draw_ferplus(tmp_path / "few", {"train": 34, "valid": 5})
    said = complaint(words(inputs, {"--data": str(tmp_path / "few")}, out), capsys)
    assert "data must hold an image of every class; by protocol argmax10 'disgust' has none" in said
    draw_classes(tmp_path / "parted" / "train", {"a": 5, "b": 5, "c": 5})
    draw_classes(tmp_path / "parted" / "valid", {"a": 2, "b": 2}, seed=1)
    said = complaint(words(inputs, {"--data": str(tmp_path / "parted")}, out), capsys)
    assert "train and valid must hold the same classes; 'c' is in one of them" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 TiB"),
        RuntimeError("[enforce fail]\nDefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_is_one_sentence(
    inputs: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Training, "_advance", fail)
    said = complaint(words(inputs, {"--out": str(tmp_path)}), capsys)
    assert "memory does not suffice; a smaller batch_size or image_size needs less: " in said


def test_a_bug_is_no_sentence(inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Training, "_advance", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(["train", *words(inputs, {"--out": str(tmp_path)})])


# ----------------------------------------------------------------------------------------------- inside a run


def test_seed_decides_the_run(inputs: dict[str, str], tmp_path: Path) -> None:
    def weights(number: int, seed: int) -> dict[str, torch.Tensor]:
        recipe = changed(tmp_path, ("seed = 7", f"seed = {seed}"))
        training = new_training(inputs, tmp_path / str(number), recipe)
        torch.manual_seed(number)  # nobody else's chance
        for step in training.steps[3:6]:
            training._advance(step)
        return {name: tensor.clone() for name, tensor in training.live.state_dict().items()}

    first, same, other = weights(0, seed=7), weights(1, seed=7), weights(2, seed=8)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.vit.proj.weight"], other["model.vit.proj.weight"])


def test_gradient_that_is_not_finite_changes_nothing(inputs: dict[str, str], tmp_path: Path) -> None:
    training = new_training(inputs, tmp_path)
    before = {name: each.clone() for name, each in training.live.named_parameters()}
    training.live.model.vit.head.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(ArithmeticError, match="the gradient is not finite at step 5: lower the learning rate"):
        training._advance(training.steps[5])
    assert all(torch.equal(each, before[name]) for name, each in training.live.named_parameters())


def test_of_equal_epochs_the_surer_is_the_best(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = new_training(inputs, tmp_path)
    kept: list[Path] = []
    monkeypatch.setattr(training, "_save_model", lambda _, path: kept.append(path))
    for number, (accuracy, loss) in enumerate(((0.5, 0.9), (0.5, 0.9), (0.5, 1.0), (0.4, 0.1), (0.5, 0.8), (0.6, 2.0))):
        training._keep(Stage(epochs=1), torch.zeros(1), (accuracy, -loss))
        assert len(kept) == [1, 1, 1, 1, 2, 3][number]
    assert training.best == (0.6, -2.0)


def test_steps_by_hand() -> None:
    epochs, steps = Stage(epochs=2), Stage(steps=4)
    recipe = Recipe(stages=(epochs, steps), learning_rate=0.1, batch_size=4)
    found = [
        (step.number, step.epoch, step.place, step.stage is epochs, step.last_of_epoch) for step in _plan(recipe, 14)
    ]
    assert found == [  # 14 images are three batches; two images are left out
        *((0, 0, 0, True, False), (1, 0, 1, True, False), (2, 0, 2, True, True)),
        *((3, 1, 0, True, False), (4, 1, 1, True, False), (5, 1, 2, True, True)),
        *((6, 2, 0, False, False), (7, 2, 1, False, False), (8, 2, 2, False, True)),
        (9, 3, 0, False, True),
    ]


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 50])
def test_rates_of_each_group(inputs: dict[str, str], schedule: str, steps: int) -> None:
    recipe = dataclasses.replace(load_recipe(inputs["recipe"]), schedule=schedule)
    learner = Learner(FusionModel(recipe.config(("no", "yes"))), frozen=False)
    optimizer, scheduler = _optimizer(recipe, learner, ("layer1",), steps)
    names = {parameter: name for name, parameter in learner.named_parameters()}
    rates: dict[str, tuple[float, float]] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            rates[names[parameter]] = (group.get("max_lr", group["lr"]), group["weight_decay"])
    assert rates.keys() == set(names.values())
    assert rates["model.backbone.conv1.weight"] == (5e-4, 0.05)
    assert rates["model.backbone.bn1.weight"] == (5e-4, 0.0)
    assert rates["model.backbone.layer1.0.conv1.weight"] == (1e-3, 0.05), "a new stage learns as new layers do"
    assert rates["model.vit.proj.weight"] == rates["auxiliary.weight"] == (1e-3, 0.05)
    assert rates["model.vit.pos_embed"] == rates["model.vit.proj.bias"] == (1e-3, 0.0)
    used = []
    for _ in range(steps):
        used.append(scheduler.get_last_lr()[-1])
        optimizer.step()
        scheduler.step()
    if schedule == "constant":
        assert used == [1e-3] * steps
    elif steps == 50:
        assert used.index(max(used)) == 9 and max(used) == pytest.approx(1e-3), "reached after a fifth"
        assert used[0] == pytest.approx(max(used) / 25) and used[-1] < used[0] / 10


def test_without_matplotlib_the_run_goes_on(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: Any) -> None:
        raise ImportError("no matplotlib")

    monkeypatch.setattr(run_module, "draw_curves", missing)
    new_training(inputs, tmp_path)._draw(run_module.Log(tmp_path / "log.csv", 0))
    assert "curves are not drawn: matplotlib is not installed" in caplog.text

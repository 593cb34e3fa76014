"""A training run from command line to classified face: what it leaves, and models that it starts or learns from."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_data import draw_classes
from PIL import Image
from tiny_models import faces
from training_runs import SHORT, STAGES, calibrated_quickly, changed, complaint, draw_inputs, words

from fer_fast import Classifier
from fer_fast.cli import run
from fer_fast.datasets.resized import plain
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.loading import load_model
from fer_fast.train import distil
from fer_fast.train import run as run_module
from fer_fast.train.distil import taught
from fer_fast.train.faces import Faces
from fer_fast.train.record import LOG_FIELDS
from fer_fast.types import EMOTIONS


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with calibrated_quickly(tmp_path_factory.mktemp("cache")):
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return draw_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def trained(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    out = tmp_path_factory.mktemp("runs") / "deeper" / "trained"
    assert run(["train", *words(inputs, {"--out": str(out)})]) == 0
    return out


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "measure_falls", lambda *_: {})


def test_a_run_that_sees_hard_views_is_judged_by_them_too(inputs, tmp_path, nothing_compiled) -> None:
    recipe = changed(tmp_path, SHORT, ("erase_chance = 0.4", "erase_chance = 0.4\nhard_chance = 0.5"))
    assert run(["train", *words(inputs, recipe, {"--out": str(tmp_path / "out")})]) == 0
    with (tmp_path / "out" / "log.csv").open(newline="") as file:
        judged = [row for row in csv.DictReader(file) if row["valid_accuracy"]]
    assert judged and all(0 <= float(row["hard_accuracy"]) <= 1 for row in judged)


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
        assert (
            row["hard_accuracy"] == ""
            and 0 <= float(row["valid_accuracy"]) <= 1
            and float(row["images_per_second"]) > 0
        )
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
    assert f"1 image of train is left out; the first is '{tmp_path}/data/train/lost/000.png': " in caplog.text
    assert "train: 9 images of bored, curious, lost" in caplog.text
    before, after = (read_checkpoint(folder / "last.safetensors") for folder in (trained, tmp_path / "out"))
    assert after.config.classes == ("bored", "curious", "lost")
    assert after.tensors["vit.head.weight"].shape == (3, 32)
    seen = np.array([4, 3, 2]) ** 0.75  # class weights are counts to the power of -0.25
    assert after.config.prior == pytest.approx(seen / seen.sum())
    frozen = [name for name in after.tensors if name.startswith(("backbone.", "mean_", "inv_std_"))]
    assert sum("running_" in name for name in frozen) == 10, "the batch norms' statistics are among them"
    for name in frozen:
        np.testing.assert_array_equal(after.tensors[name], before.tensors[name], err_msg=name)
    assert not np.array_equal(after.tensors["vit.proj.weight"], before.tensors["vit.proj.weight"])
    for changed_field in ("temperature", "activation_ranges"):
        assert getattr(after.config, changed_field) != getattr(before.config, changed_field)
    assert after.config.precision_falls == {}, "those of the model before are not its own"


def test_start_at_another_size(
    inputs: dict[str, str],
    trained: Path,
    tmp_path: Path,
    nothing_compiled: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start = {"--start": str(trained / "last.safetensors"), "--backbone": "", "--image-size": "32"}
    given = words(inputs, changed(tmp_path, SHORT), start, {"--out": str(tmp_path / "out")})
    assert run(["train", *given]) == 0
    before, after = (read_checkpoint(folder / "last.safetensors") for folder in (trained, tmp_path / "out"))
    assert (before.config.image_size, after.config.image_size) == (40, 32)
    assert after.tensors["vit.proj.weight"].shape == (32, 3 * 8**2 + 64 * 2**2)
    (tmp_path / "out" / "last.safetensors").unlink()
    given[given.index("32")] = "36"
    assert "another recipe" in complaint(given, capsys), "a run of one size does not go on at another"


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

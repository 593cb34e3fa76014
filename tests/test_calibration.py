"""Calibration: what is fitted, how it is judged, and a checkpoint recalibrated on labelled faces of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import faces, image_config, image_logits, save_image_model, softmax

from fer_fast import Classifier
from fer_fast.calibration import cross_validation
from fer_fast.calibration.cross_validation import chosen, folds_of, held_out, is_better, measured
from fer_fast.calibration.fit import MIX_SPREAD, MOST, Calibration, fitted, plain
from fer_fast.calibration.own_faces import read_faces
from fer_fast.cli import run
from fer_fast.datasets import has_split, has_splits
from fer_fast.models.files.checkpoint import read_checkpoint

CLASSES = ("joy", "calm", "rage")
BIAS = np.array([1.2, -0.8, -0.4])


def drawn(logits: np.ndarray, temperature: float, bias: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels of which softmax(logits / temperature + bias) is the distribution."""
    sums = softmax(logits / temperature + bias).cumsum(axis=1)
    return (np.random.default_rng(seed).random((len(logits), 1)) > sums[:, :-1]).sum(axis=1)


def normal(count: int, classes: int = 3, scale: float = 3.0) -> np.ndarray:
    return scale * np.random.default_rng(1).standard_normal((count, classes))


def names(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


# ------------------------------------------------------------------------------------------------------------- the fit


def test_probabilities_by_hand() -> None:
    found = Calibration(2.0, np.array([np.log(2), 0.0])).probabilities(np.array([[2.0, 2.0], [0.0, 2.0]], np.float32))
    np.testing.assert_allclose(found, [[2 / 3, 1 / 3], [2 / (2 + np.e), np.e / (2 + np.e)]])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_and_bias_are_recovered(temperature: float) -> None:
    logits = normal(20000)
    found = fitted(logits, drawn(logits, temperature, BIAS), mix=True)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    np.testing.assert_allclose(found.bias, BIAS, atol=0.1)
    alone = fitted(logits, drawn(logits, temperature, 0 * BIAS), mix=False)
    assert alone.temperature == pytest.approx(temperature, rel=0.05) and not alone.bias.any()


def test_no_other_calibration_is_likelier() -> None:
    logits = normal(80)
    labels = drawn(logits, 2.0, BIAS)
    rows = np.arange(len(labels))

    def loss(scale: float, bias: np.ndarray) -> float:
        likelihood = np.log(softmax(scale * logits + bias)[rows, labels]).sum()
        return float(-likelihood + (bias**2).sum() / (2 * MIX_SPREAD**2))

    found = fitted(logits, labels, mix=True)
    least = loss(1 / found.temperature, found.bias)
    random = np.random.default_rng(0)
    for _ in range(200):
        other = loss(
            1 / found.temperature + 0.01 * random.standard_normal(), found.bias + 0.03 * random.standard_normal(3)
        )
        assert other >= least - 1e-9


def test_few_faces_move_a_mix_less_than_many() -> None:
    logits = normal(20000)
    labels = drawn(logits, 1.0, BIAS)
    sizes = [np.abs(fitted(logits[:count], labels[:count], mix=True).bias).sum() for count in (10, 100, 20000)]
    assert sizes[0] < 0.5 * sizes[2] and sizes[1] < sizes[2]


@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("shift", [0, 1], ids=["all right", "all wrong"])
def test_a_fit_is_usable_whatever_the_answers(mix: bool, scale: float, shift: int) -> None:
    logits = np.tile(scale * np.eye(8), (8, 1))
    found = fitted(logits, (np.arange(64) + shift) % 8, mix)
    assert 1 / MOST <= found.temperature <= MOST and np.isfinite(found.bias).all()


def test_a_class_that_has_no_face_is_no_fault() -> None:
    logits = normal(60)
    found = fitted(logits, np.arange(60) % 2, mix=True)
    assert found.bias.argmin() == 2 and found.bias.sum() == pytest.approx(0, abs=1e-9)


def test_the_mix_that_probabilities_presume_moves_with_them() -> None:
    found = Calibration(2.0, np.log([2.0, 1.0, 0.5])).shifted((0.25, 0.25, 0.5))
    assert found == pytest.approx((0.5, 0.25, 0.25))
    assert Calibration(2.0, np.log([2.0, 1.0, 0.5])).shifted(()) == (), "not known before, nor after"
    assert plain(2.0, 2).shifted((0.3, 0.7)) == (0.3, 0.7)


# ---------------------------------------------------------------------------------------------------- cross-validation


def test_folds_spread_classes_keep_copies_together_and_know_no_order() -> None:
    labels = np.arange(100) % 4
    folds = folds_of(names(100), labels)
    assert [np.bincount(folds[labels == label]).tolist() for label in range(4)] == [[5] * 5] * 4
    order = np.random.default_rng(0).permutation(100)
    assert folds_of([names(100)[place] for place in order], labels[order]).tolist() == folds[order].tolist()
    twice = folds_of(names(50) * 2, np.tile(np.arange(50) % 4, 2))
    assert twice[:50].tolist() == twice[50:].tolist()


def test_no_face_is_judged_by_what_was_fitted_on_it() -> None:
    logits, labels = normal(40), np.arange(40) % 3
    folds = folds_of(names(40), labels)
    seen: list[set[int]] = []

    def choose(some: np.ndarray, their: np.ndarray, _: np.ndarray) -> Calibration:
        seen.append({int(np.flatnonzero((logits == row).all(axis=1))[0]) for row in some})
        return Calibration(float(len(seen)), np.zeros(3))

    found = held_out(logits, labels, folds, choose)
    for number, fitted_on in enumerate(seen, 1):
        inside = folds == number - 1
        assert fitted_on == set(np.flatnonzero(~inside).tolist())
        np.testing.assert_allclose(found[inside], softmax(logits[inside] / number))


def test_chance_is_no_gain() -> None:
    before, labels = np.full((100, 2), 0.5), np.zeros(100, np.int64)
    after = np.column_stack([np.where(np.arange(100) < 52, 0.6, 0.4)] * 2)
    assert not is_better(before, after, labels)
    assert is_better(before, np.full((100, 2), 0.6), labels) and not is_better(before, before, labels)


def test_a_mix_is_taken_where_there_is_one() -> None:
    logits = normal(100, scale=1.0)
    folds = folds_of(names(100), np.zeros(100, np.int64))
    assert chosen(logits, drawn(logits, 1.0, BIAS), folds, None).bias.any()
    assert not chosen(logits, drawn(logits, 1.0, BIAS), folds, False).bias.any()
    unmixed = drawn(logits, 1.0, 0 * BIAS)
    assert not chosen(logits, unmixed, folds, None).bias.any() and chosen(logits, unmixed, folds, True).bias.any()


@pytest.mark.parametrize(("costs", "taken"), [(0, True), (1, False)])
def test_a_mix_that_is_wrong_more_often_is_not_taken(costs: int, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    without, within = np.full((100, 2), 0.4), np.full((100, 2), 0.4)
    without[:, 0], within[:, 0] = 0.6, 0.8
    within[:costs] = [0.4, 0.6]
    answers = iter([without, within])
    monkeypatch.setattr(cross_validation, "held_out", lambda *_: next(answers))
    logits, labels = normal(100, 2), np.zeros(100, np.int64)
    labels[-1] = 1  # both are wrong about it
    assert chosen(logits, labels, labels, None).bias.any() == taken


def test_a_hundred_faces_gain_what_thousands_confirm() -> None:
    logits = normal(5000)
    labels = drawn(logits, 2.5, BIAS)
    gain = measured(logits[:100], labels[:100], names(100), CLASSES, plain(1.0, 3), None)
    assert gain.is_sure
    rows = np.arange(4900)

    def loss(calibration: Calibration) -> float:
        return float(-np.log(calibration.probabilities(logits[100:])[rows, labels[100:]]).mean())

    promised, kept = gain.before["nll"] - gain.after["nll"], loss(plain(1.0, 3)) - loss(gain.calibration)
    assert kept > 0.3 and promised == pytest.approx(kept, rel=0.4)
    right = measured(logits[:100], drawn(logits[:100], 1.0, 0 * BIAS), names(100), CLASSES, plain(1.0, 3), None)
    assert not right.is_sure


# --------------------------------------------------------------------------------------------- faces of somebody's own


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    ranges, falls = {"vit.head": (-1.0, 1.0)}, {"int8": 0.001}
    known = {"activation_ranges": ranges, "precision_falls": falls, "prior": (0.5, 0.3, 0.2)}
    config = image_config(classes=CLASSES, temperature=0.8, **known)
    save_image_model(path, config)
    return path


def write_faces(folder: Path, model: Path, temperature: float, bias: np.ndarray, count: int = 150) -> Path:
    """Faces whose labels are as a model says that is so much less sure of itself and knows the mix."""
    checkpoint = read_checkpoint(model)
    pixels = faces(count, checkpoint.config.image_size, seed=5)
    logits = image_logits(checkpoint.config, dict(checkpoint.tensors), pixels)
    for number, label in enumerate(drawn(logits, temperature, bias).tolist()):
        place = folder / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number]).save(place / f"{number:03}.png")
    return folder


def called(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = run(["recalibrate", *map(str, words)])
    return status, *capsys.readouterr()


@pytest.mark.needs_native
def test_one_command_on_own_faces(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_faces(tmp_path / "faces", model, 2.5, BIAS), tmp_path / "new.safetensors"
    status, said, errors = called(capsys, model, "--data", data, "--out", out)
    assert (status, errors) == (0, "")
    lines = said.splitlines()
    assert lines[0] == f"{model} on 150 faces of calm, joy, rage" and lines[-1] == f"written: {out}"
    assert "odds by class: calm x0." in said and lines[1].startswith("by 5-fold cross-validation")
    nll, ece, accuracy = (line.split()[-2:] for line in lines[3:6])
    assert float(nll[1]) < float(nll[0]) and float(ece[1]) < float(ece[0]) and float(accuracy[1]) > 33
    old, new = read_checkpoint(model), read_checkpoint(out)
    assert new.config.temperature == pytest.approx(2.5, rel=0.3)
    assert (new.config.activation_ranges, new.config.precision_falls) == (
        old.config.activation_ranges,
        old.config.precision_falls,
    )
    shares = dict(zip(CLASSES, new.config.prior, strict=True))
    assert shares["joy"] > 0.5 and shares["calm"] < 0.3 and sum(shares.values()) == pytest.approx(1)
    changed = {name for name in old.tensors if not np.array_equal(old.tensors[name], new.tensors[name])}
    assert changed == {"vit.head.bias"} and new.tensors["vit.head.bias"].dtype == np.float16


@pytest.mark.needs_native
@pytest.mark.parametrize("views", [1, 2])
def test_the_new_checkpoint_answers_by_the_calibration(
    views: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "model.safetensors", tmp_path / "new.safetensors"
    save_image_model(model, image_config(classes=CLASSES, flip_average=views == 2))
    data = write_faces(tmp_path / "faces", model, 2.0, BIAS)
    assert called(capsys, model, "--data", data, "--out", out, "--mix")[0] == 0
    pixels = faces(20, 8, seed=9)
    options = {"engine": "openvino", "precision": "fp32"}
    with Classifier(model, **options) as before, Classifier(out, **options) as after:
        old, new = (np.log(each.predict_batch(pixels)) for each in (before, after))
    # softmax(logits / T + bias): over the old logarithms the new ones have one slope and one offset a class.
    slope = 1 / read_checkpoint(out).config.temperature
    offsets = (new - new.mean(axis=1, keepdims=True)) - slope * (old - old.mean(axis=1, keepdims=True))
    assert np.ptp(offsets, axis=0).max() < 1e-3
    assert offsets[0, 0] > 0.4 > 0 > offsets[0, 1]


@pytest.mark.needs_native
def test_where_there_is_no_gain_nothing_is_written_unless_asked(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_faces(tmp_path / "faces", model, 0.8, 0 * BIAS), tmp_path / "new.safetensors"
    status, said, _ = called(capsys, model, "--data", data, "--out", out)
    assert status == 1 and not out.exists()
    assert said.endswith("no gain that could not be chance: nothing is written (--anyway writes it)\n")
    status, said, _ = called(capsys, model, "--data", data, "--out", out, "--anyway", "--no-mix")
    assert status == 0 and said.endswith(f"no gain that could not be chance\nwritten: {out}\n")
    assert "no class mix" in said and read_checkpoint(out).config.temperature == pytest.approx(0.8, rel=0.3)


@pytest.mark.needs_native
def test_classes_that_have_no_folder_are_left_out(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_faces(tmp_path / "faces", model, 2.5, BIAS, 250), tmp_path / "new.safetensors"
    for file in (data / "rage").iterdir():
        file.unlink()
    (data / "rage").rmdir()
    status, said, _ = called(capsys, model, "--data", data, "--out", out, "--mix")
    assert status == 0 and "of rage there is none: their probabilities are left out, and their biases stay" in said
    old, new = (read_checkpoint(each).tensors["vit.head.bias"] for each in (model, out))
    assert new[2] == old[2] and new[0] > old[0] and new[1] < old[1]


def test_what_is_left_out_is_told_in_one_line_whatever_its_name(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_faces(tmp_path / "faces", model, 1.0, 0 * BIAS, 60)
    (data / "joy" / "no\nimage.png").write_text("none")
    assert len(read_faces(data, read_checkpoint(model).config, "").labels) == 60
    (said,) = (record.getMessage() for record in caplog.records)
    assert said.startswith(f"1 image is left out; the first is '{data}/joy/no\\nimage.png': ") and "\n" not in said


@pytest.mark.needs_native
def test_what_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = write_faces(tmp_path / "few", model, 1.0, 0 * BIAS, 40)
    for number in range(20):  # copies say nothing new
        (few / "joy" / f"copy{number}.png").write_bytes(next((few / "joy").glob("0*.png")).read_bytes())
    other = tmp_path / "other"
    for name in ("joy", "awe"):
        (other / name).mkdir(parents=True)
        Image.fromarray(faces(1, 8)[0]).save(other / name / "a.png")
    out = tmp_path / "new.safetensors"
    for data, words, sentence in (
        (few, [], "data must have 50 different faces or more; 40 say too little of a model"),
        (other, [], "data must have the model's classes, joy, calm, rage, or some of them, not awe, joy"),
        (few, ["--views", "2"], "--views must be given with a training split; "),
        (few, ["--balance", "0"], "--balance must be given with a training split; "),
        (few, ["--hard"], "--hard must be given with a training split; "),
    ):
        status, said, errors = called(capsys, model, "--data", data, "--out", out, *words)
        assert (status, said) == (2, "") and errors.startswith(f"fer-fast: {sentence}") and errors.count("\n") == 1
    assert not out.exists()


def test_which_splits_there_are(tmp_path: Path) -> None:
    (tmp_path / "flat" / "joy").mkdir(parents=True)
    (tmp_path / "split" / "val" / "joy").mkdir(parents=True)
    (tmp_path / "ferplus" / "FER2013Valid").mkdir(parents=True)
    (tmp_path / "kaggle").mkdir()
    (tmp_path / "kaggle" / "fer2013.csv").touch()
    found = {
        name: [split for split in ("train", "valid", "test") if has_split(tmp_path / name, split)]
        for name in ("flat", "split", "ferplus", "kaggle")
    }
    every = ["train", "valid", "test"]
    assert found == {"flat": [], "split": ["valid"], "ferplus": ["valid"], "kaggle": every}
    assert [name for name in found if has_splits(tmp_path / name)] == ["split", "ferplus", "kaggle"]

"""The mean of members: its answers are the mean of theirs in each form; what does not go together is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_data import last_sentence
from engine_agreement import assert_agree
from PIL import Image
from safetensors.numpy import load_file, save_file
from test_face_resnet import random_network, small_config
from tiny_models import faces, image_config, random_model, save_image_model, softmax, tiny_config

import fer_fast
from fer_fast.bench import limits, suite
from fer_fast.bench.forms import Graphs
from fer_fast.bench.material import Material, made_folders
from fer_fast.bench.measure import check
from fer_fast.bench.stages import folder
from fer_fast.calibration.fit import Calibration
from fer_fast.calibration.own_faces import calibrated
from fer_fast.cli import run
from fer_fast.engines import open_engine
from fer_fast.evaluation import evaluate
from fer_fast.export import export_model
from fer_fast.models.classifier import classifier_of
from fer_fast.models.ensemble.combine import combine
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.ensemble.network import Ensemble
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.loading import load_model
from fer_fast.models.network import Network
from fer_fast.models.quantised import measure_ranges
from fer_fast.models.resizing import resize_matrix
from fer_fast.types import CheckpointError


def save_measured(model: Network, path: Path, temperature: float) -> None:
    """Writes a model with ranges for int8, a temperature and a prior."""
    size = model.config.image_size
    save_model(model, path, np.float32)
    ranges = measure_ranges(
        classifier_of(model.config).compiled(load_model(path)), torch.from_numpy(faces(32, size, 9))
    )
    prior = tuple(np.arange(1, 9) / 36)
    model.config = dataclasses.replace(model.config, activation_ranges=ranges, temperature=temperature, prior=prior)
    save_model(model, path, np.float32)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A fusion model of 64 pixels that sees the mirror image, too, and a face-resnet of 112."""
    folder = tmp_path_factory.mktemp("members")
    paths = [folder / "fusion.safetensors", folder / "resnet.safetensors"]
    save_measured(random_model(tiny_config(sources=("image", "FM1"), flip_average=True)), paths[0], 1.3)
    save_measured(random_network(small_config()), paths[1], 0.8)
    return paths


@pytest.fixture(scope="module")
def path(members: list[Path]) -> Path:
    out = members[0].with_name("ensemble.safetensors")
    combine(members, out, weights=[3, 1])
    return out


@pytest.fixture(scope="module")
def checkpoint(path: Path) -> Checkpoint:
    return read_checkpoint(path)


def by_hand(members: list[Path], images: np.ndarray, shares: tuple[float, ...] = (0.75, 0.25)) -> np.ndarray:
    """The mean of what the members answer, each asked by itself."""
    mean = np.zeros((len(images), 8))
    for share, member in zip(shares, members, strict=True):
        model = load_model(member)
        rows = resize_matrix(images.shape[1], model.config.image_size)
        planes = rows @ images.astype(np.float32).transpose(0, 3, 1, 2) @ rows.T
        with torch.inference_mode():
            mean += share * softmax(model(torch.from_numpy(planes)).numpy() / model.config.temperature)
    return mean


def test_a_calibration_is_on_top_of_the_mean(checkpoint: Checkpoint, members: list[Path], tmp_path: Path) -> None:
    shift = np.linspace(-1, 1, 8)
    config, tensors = calibrated(checkpoint, Calibration(2.0, shift), checkpoint.config.classes)
    write_checkpoint(tmp_path / "calibrated.safetensors", config, tensors)
    images = faces(3, 112, seed=5)
    with fer_fast.Classifier(tmp_path / "calibrated.safetensors", precision="fp32", engine="openvino") as classifier:
        wanted = softmax(np.log(by_hand(members, images)) / 2 + shift)
        np.testing.assert_allclose(classifier.predict_batch(images), wanted, rtol=0, atol=1e-5)


def test_it_may_see_the_mirror_image_as_well(checkpoint: Checkpoint, members: list[Path]) -> None:
    config = dataclasses.replace(checkpoint.config, flip_average=True)
    images = faces(3, 112, seed=5)
    engine = open_engine(Checkpoint(config, checkpoint.tensors, ""), precision="fp32", engine="openvino", cached=False)
    try:
        found = engine.infer(images)
    finally:
        engine.close()
    views = [np.log(by_hand(members, np.ascontiguousarray(view))) for view in (images, images[:, :, ::-1])]
    np.testing.assert_allclose(found, np.mean(views, axis=0), rtol=0, atol=1e-4)


def test_its_probabilities_are_the_mean(path: Path, members: list[Path]) -> None:
    images = faces(4, 112, seed=5)
    model = load_model(path)
    assert isinstance(model, Ensemble)
    with torch.inference_mode():
        found = softmax(model(torch.from_numpy(images)).numpy())
    np.testing.assert_allclose(found, by_hand(members, images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("engine", "precision"), [("openvino", "fp32"), ("torch", "fp32"), ("torch", "bf16")])
def test_engines_agree(path: Path, members: list[Path], engine: str, precision: str) -> None:
    images = faces(4, 112, seed=5)
    opened = open_engine(read_checkpoint(path), engine=engine, device="cpu", precision=precision, cached=False)
    try:
        assert_agree(opened.infer(images), np.log(by_hand(members, images)).astype(np.float32), precision)
    finally:
        opened.close()


@torch.inference_mode()
def test_int8_has_each_members_ranges(checkpoint: Checkpoint, members: list[Path]) -> None:
    wanted = {
        f"members.{place}.{name}": ends
        for place, member in enumerate(members)
        for name, ends in read_checkpoint(member).config.activation_ranges.items()
    }
    assert checkpoint.config.activation_ranges == wanted
    images = faces(8, 112, seed=5)
    engine = open_engine(checkpoint, engine="openvino", precision="int8", batch_size=8, cached=False)
    try:
        found = engine.infer(images)
    finally:
        engine.close()
    simulated = classifier_of(checkpoint.config).graph(checkpoint, "int8")(torch.from_numpy(images)).numpy()
    assert_agree(found, simulated, "int8")
    assert np.abs(found - np.log(by_hand(members, images))).max() > 1e-3, "nothing was quantised"


@pytest.mark.parametrize(("format", "name"), [("openvino", "mean.xml"), ("onnx", "mean.onnx")])
def test_exports(path: Path, members: list[Path], format: str, name: str, tmp_path: Path) -> None:
    if format == "onnx":
        pytest.importorskip("onnx")
    export_model(path, format, tmp_path / name)
    images = faces(3, 112, seed=5)
    with fer_fast.Classifier(tmp_path / name, precision="fp32") as classifier:
        np.testing.assert_allclose(classifier.predict_batch(images), by_hand(members, images), rtol=0, atol=1e-5)


def test_a_prior_is_the_members_mean(checkpoint: Checkpoint, members: list[Path], path: Path) -> None:
    assert checkpoint.config.prior == pytest.approx(read_checkpoint(members[0]).config.prior)
    images = faces(3, 112, seed=5)
    with fer_fast.Classifier(path, prior="balanced", precision="fp32", engine="openvino") as classifier:
        weighted = by_hand(members, images) / np.arange(1, 9)
        wanted = weighted / weighted.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(classifier.predict_batch(images), wanted, rtol=0, atol=1e-5)


def test_packaged_members_may_be_referred_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored, referred = tmp_path / "stored.safetensors", tmp_path / "referred.safetensors"
    options = ["fast", "tiny", "--framing", "points", "--weights", "2,1"]
    assert run(["combine", *options, "-o", str(stored)]) == 0
    assert run(["combine", *options, "--refer", "-o", str(referred)]) == 0
    assert "66.7 % fast, 33.3 % tiny" in capsys.readouterr().err
    assert referred.stat().st_size < 100_000 < 30_000_000 < stored.stat().st_size
    first, second = read_checkpoint(stored), read_checkpoint(referred)
    assert first.digest == second.digest and first.config == second.config
    assert {name: tensor.tobytes() for name, tensor in first.tensors.items()} == {
        name: tensor.tobytes() for name, tensor in second.tensors.items()
    }


def test_packaged_ensembles_may_be_referred_to_too(tmp_path: Path) -> None:
    referred = tmp_path / "referred.safetensors"
    combine(["accurate", "fast"], referred, refer=True)
    assert referred.stat().st_size < 100_000
    tensors = read_checkpoint(referred).tensors
    for place, model in (("members.0", "accurate"), ("members.1", "fast")):
        own = read_checkpoint(model).tensors
        assert own and all(np.array_equal(tensors[f"{place}.{name}"], tensor) for name, tensor in own.items())


def test_it_is_classified_with_and_scored(path: Path, members: list[Path], tmp_path: Path) -> None:
    images = faces(16, 112, seed=5)
    for place, answer in enumerate(by_hand(members, images).argmax(axis=1)):
        folder = tmp_path / "faces" / read_checkpoint(path).config.classes[answer]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[place]).save(folder / f"{place}.png")
    report = evaluate(path, tmp_path / "faces", precision="fp32", engine="openvino")
    (run_there,) = [each for each in report["runs"] if each["precision"] == "fp32" and each["engine"] == "openvino"]
    assert [scores["full"]["accuracy"] for scores in run_there["scores"].values()] == [1.0]


def test_it_is_measured_as_a_whole(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(limits.MATRIX, "cpu", 64)
    monkeypatch.setitem(limits.COPY_BYTES, "cpu", 2**16)
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    material = Material(path, made_folders(tmp_path, 4, 1, seed=0), tmp_path)
    graphs, runs = Graphs(material), folder.Runs(material)
    choice = suite.Choice(("model",), engines=("openvino", "torch"), precisions=("fp32",), batch_sizes=(4,))
    cases = [case for case in suite.cases(material, graphs, choice, runs) if case.key.stage == "model"]
    assert {(case.key.form, case.key.engine) for case in cases} == {
        (form, engine) for form in ("batch norms folded", "as written") for engine in ("openvino", "torch")
    }
    assert [check(case)[0].state for case in cases] == ["ok"] * 4
    assert all(case.work is not None and case.work.flop > 0 for case in cases)
    with pytest.raises(ValueError, match="there is nothing to measure"):
        suite.cases(material, graphs, dataclasses.replace(choice, stages=("backbone", "tokens", "vit")), runs)


def test_an_ensemble_may_be_a_member(path: Path, members: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "nested.safetensors"
    combine([path, members[0]], out, weights=[1, 3], framing="box")
    checkpoint = read_checkpoint(out)
    inner = checkpoint.config.members[0]
    assert [each.framing for each in (checkpoint.config, inner, *inner.members)] == ["box"] * 4
    images = faces(4, 112, seed=5)
    wanted = by_hand([path, members[0]], images, (0.25, 0.75))
    for engine in ("openvino", "torch"):
        with fer_fast.Classifier(out, precision="fp32", engine=engine, device="cpu") as classifier:
            np.testing.assert_allclose(classifier.predict_batch(images), wanted, rtol=0, atol=1e-5)


def test_a_file_comes_back(checkpoint: Checkpoint, path: Path, tmp_path: Path) -> None:
    assert EnsembleConfig.from_dict(json.loads(json.dumps(checkpoint.config.as_dict()))) == checkpoint.config
    save_model(load_model(path), tmp_path / "again.safetensors", np.float32)
    again = read_checkpoint(tmp_path / "again.safetensors")
    assert again.config == checkpoint.config
    assert again.digest == checkpoint.digest


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"members": []}, "members must be two or more, not 0"),
        ({"members": [{}, {}, {}]}, r"shares must be above 0, one of each of the 3 members, and sum to 1, not \(0.75"),
        ({"shares": [0.5, 0.6]}, "shares must be above 0"),
        ({"shares": [1.5, -0.5]}, "shares must be above 0"),
        ({"shares": [1.0, 0.0]}, "shares must be above 0"),
        ({"classes": ["no", "yes"], "prior": []}, r"members must have the ensemble's classes, \('no', 'yes'\)"),
        ({"framing": "box"}, "members must have the ensemble's framing, 'box', not 'points'"),
        ({"image_size": 64}, "image_size must be the largest member's, 112, not 64"),
        ({"mean": [0.5, 0.5, 0.5]}, "mean and std must be 0 and 1 / 255"),
        ({"members": [{"architecture": "yunet"}, {}]}, "members must be classifiers, not of architecture 'yunet'"),
        ({"members": [{"architecture": "nobodys"}, {}]}, "architecture must be one of .*, not 'nobodys'"),
        ({"members": [5, 6]}, "it must be values by name, not 5"),
    ],
)
def test_broken_rules_are_told(changes: dict[str, Any], rule: str, checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match=rule):
        EnsembleConfig.from_dict({**checkpoint.config.as_dict(), **changes})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["A"], "models must be two or more, not 1"),
        (["A", "box"], "framing must be given where the models' differ; theirs are points, box"),
        (["A", "two"], "models must have the same classes; one has neutral, happiness, surprise, sadness, anger,"),
        (["A", "A", "--weights", "1"], "weights must be numbers above 0, one for each of 2 models, not [1.0]"),
        (["A", "A", "--weights", "1,0"], "weights must be numbers above 0, one for each of 2 models, not [1.0, 0.0]"),
        (
            ["A", "A", "--weights", "1e308,1e308"],
            "weights must be numbers above 0, one for each of 2 models, not [1e+308",
        ),
        (["A", "A", "--weights", "1,nan"], "weights must be numbers above 0, one for each of 2 models, not [1.0, nan]"),
        (["A", "nothing"], "there is no file"),
        (["A", "A", "--framing", "crop"], "framing"),
    ],
)
def test_what_cannot_be_combined_is_told(
    options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, changes in {
        "A": {"prior": (1 / 8,) * 8},
        "box": {"framing": "box"},
        "two": {"classes": ("no", "yes"), "prior": (0.5, 0.5)},
    }.items():
        save_image_model(tmp_path / name, image_config(**changes))
    assert run(["combine", *options, "-o", "out.safetensors"]) == 2
    assert told in last_sentence(capsys.readouterr().err, "fer-fast")
    assert not (tmp_path / "out.safetensors").exists()


def test_damage_is_found(path: Path, tmp_path: Path) -> None:
    tensors = load_file(path)
    checkpoint = read_checkpoint(path)
    broken = tmp_path / "broken.safetensors"
    for parts, told in (
        ('{"members.0": "nobodys"}', "has the weights of the packaged model 'nobodys': there is none"),
        ('{"members.0": 5}', "has the weights of the packaged model 5: there is none"),
        ("[5]", "its metadata has wrong parts"),
        ('{"members.0": "fast"}', "or was made with other weights of fast than this package has: its weights do not"),
    ):
        metadata = {"format": "fer_fast 1", "config": json.dumps(checkpoint.config.as_dict()), "digest": "0"}
        save_file(tensors, broken, {**metadata, "parts": parts})
        with pytest.raises(CheckpointError, match=told):
            read_checkpoint(broken)
    write_checkpoint(broken, checkpoint.config, {name: each for name, each in tensors.items() if name != "bias"})
    with pytest.raises(CheckpointError, match="lacks tensor 'bias'"):
        load_model(broken)


def test_it_is_not_trained(path: Path, tmp_path: Path) -> None:
    from fer_fast.train.recipe import Recipe, Stage

    recipe = Recipe(stages=(Stage(steps=1),), learning_rate=1e-3)
    with pytest.raises(ValueError, match="architecture must be one that is trained, not 'ensemble'"):
        recipe.check_for(read_checkpoint(path).config)

"""Another mix of classes in all that runs a model: engines, exports, the commands, and what a run is."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tiny_models import faces, image_config, save_image_model

from fer_fast import Classifier
from fer_fast.cli import run
from fer_fast.engines import open_engine
from fer_fast.evaluation import evaluate
from fer_fast.evaluation.lines import lines
from fer_fast.export import export_model
from fer_fast.machine.extras import is_installed
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.exported import read_export
from fer_fast.models.prior import prior_text, ratios_of, shares_of, with_ratios
from fer_fast.types import EMOTIONS

OWN = (0.35, 0.25, 0.13, 0.12, 0.09, 0.015, 0.035, 0.01)
#: No disgust, at all.
MIX = dict(zip(EMOTIONS, (10, 10, 10, 10, 10, 0, 30, 20), strict=True))
NEEDS_ONNX = pytest.mark.skipif(not is_installed("onnx"), reason="onnx is not installed")
FACES = faces(5, 8, seed=4)

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows its mix, one that does not, and labelled faces."""
    path = tmp_path_factory.mktemp("prior")
    save_image_model(path / "model.safetensors", image_config(prior=OWN, temperature=1.3))
    save_image_model(path / "old.safetensors", image_config(temperature=1.3))
    for number, pixels in enumerate(faces(16, 8, seed=5)):
        place = path / "data" / "test" / EMOTIONS[number % 8]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return path


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))


def answers(model: Path, **options: Any) -> npt.NDArray[np.float32]:
    given = {"precision": "fp32", "batch_size": 5, "workers": 1, **options}
    with Classifier(model, **given) as classifier:
        return classifier.predict_batch(FACES)


def wanted(model: Path, prior: Any, **options: Any) -> npt.NDArray[np.float32]:
    """What the algebra makes of the answers that presume the training's mix."""
    return with_ratios(answers(model, **options), ratios_of(shares_of(prior, EMOTIONS), OWN, EMOTIONS))


@pytest.mark.parametrize("engine", ["openvino", pytest.param("torch", marks=pytest.mark.needs_torch)])
@pytest.mark.parametrize("prior", ["balanced", MIX], ids=["balanced", "mix"])
def test_each_engine_answers_for_another_mix(folder: Path, engine: str, prior: Any) -> None:
    model = folder / "model.safetensors"
    found = answers(model, prior=prior, engine=engine)
    np.testing.assert_allclose(found, wanted(model, prior, engine=engine), atol=1e-6)
    assert np.abs(found - answers(model, engine=engine)).max() > 0.1, "the same would prove nothing"
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-6
    np.testing.assert_array_equal(answers(model, prior="train", engine=engine), answers(model, engine=engine))


def test_an_unknown_mix_can_be_train_alone(folder: Path) -> None:
    assert answers(folder / "old.safetensors", prior="train").shape == (5, 8)
    with pytest.raises(ValueError, match="prior must be train for this model, which does not say the mix"):
        Classifier(folder / "old.safetensors", prior="balanced")


def test_what_runs_says_its_mix_and_pickles(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mix").write_text("\n".join(f"{name}={count}" for name, count in MIX.items()))
    with Classifier(folder / "model.safetensors", prior=tmp_path / "mix", workers=1) as opened:
        shares = "neutral=0.1,happiness=0.1,surprise=0.1,sadness=0.1,anger=0.1,disgust=0,fear=0.3,contempt=0.2"
        assert opened.prior == opened.describe()["prior"] == shares
        assert opened.identity.endswith(f" prior {shares}")
        (tmp_path / "mix").unlink()
        again = pickle.loads(pickle.dumps(opened))
        np.testing.assert_array_equal(again.predict_batch(FACES), opened.predict_batch(FACES))
        assert again.identity == opened.identity
        again.close()
    with Classifier(folder / "model.safetensors", workers=1) as plain:
        assert (plain.prior, plain.describe()["prior"]) == ("train", "train")
        assert "prior" not in plain.identity, "tables of before are still the same run's"


# ------------------------------------------------------------------------------------------------------- exports


def exported(folder: Path, prior: Any, out: Path, **options: Any) -> Path:
    form = {".xml": "openvino", ".onnx": "onnx"}[out.suffix]
    export_model(folder / "model.safetensors", form, out, batch_size=5, prior=prior, **options)
    return out


FORMATS = [".xml", pytest.param(".onnx", marks=[pytest.mark.needs_torch, NEEDS_ONNX])]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("prior", ["balanced", MIX], ids=["balanced", "mix"])
def test_an_export_answers_for_the_mix_it_was_made_for(folder: Path, tmp_path: Path, suffix: str, prior: Any) -> None:
    model, shares = folder / "model.safetensors", shares_of(prior, EMOTIONS)
    baked = exported(folder, prior, tmp_path / f"baked{suffix}")
    np.testing.assert_allclose(answers(baked), wanted(model, prior, engine="openvino"), atol=1e-6)
    assert read_export(baked, "classifier").description.prior == pytest.approx(shares, abs=1e-9)
    # The program that runs it knows nothing of mixes: the graph itself answers so.
    engine = open_engine(read_export(baked, "classifier"), batch_size=5, precision="fp32", cached=False)
    np.testing.assert_array_equal(engine.infer(FACES), answers(baked))
    engine.close()
    # From one mix to another is from what the file says, not from the training's.
    other = {**MIX, "neutral": 70}
    np.testing.assert_allclose(answers(baked, prior=other), wanted(model, other, engine="openvino"), atol=1e-6)


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_export_says_the_trainings_mix(folder: Path, tmp_path: Path, suffix: str) -> None:
    plain = exported(folder, "train", tmp_path / f"plain{suffix}")
    description = read_export(plain, "classifier").description
    assert description.prior == OWN and description.model == read_checkpoint(folder / "model.safetensors").digest
    np.testing.assert_allclose(
        answers(plain, prior="balanced"), wanted(folder / "model.safetensors", "balanced", engine="openvino"), atol=1e-6
    )


def test_lines_of_the_description(folder: Path, tmp_path: Path) -> None:
    text = exported(folder, "balanced", tmp_path / "even.xml").read_text().rpartition("<?fer_fast\n")[2]
    assert [line for line in text.split("\n") if line.startswith("prior ")] == ["prior 0.125"] * 8
    export_model(folder / "old.safetensors", "openvino", tmp_path / "old.xml", batch_size=5)
    assert "\nprior " not in (tmp_path / "old.xml").read_text()
    with pytest.raises(ValueError, match="prior must be train for this model"):
        answers(tmp_path / "old.xml", prior="balanced")


def test_exports_for_other_mixes_are_other_models(folder: Path, tmp_path: Path) -> None:
    priors = ("train", "balanced", MIX)
    files = [exported(folder, prior, tmp_path / f"{number}.xml") for number, prior in enumerate(priors)]
    assert len({read_export(file, "classifier").digest[:12] for file in files}) == 3
    with pytest.raises(ValueError, match="prior must be 0 for 'disgust', which this exported model never answers"):
        answers(files[2], prior="balanced")


def test_what_cannot_be_exported_for_a_mix(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="prior must be train for a face finder, which knows no classes"):
        export_model("finder", "openvino", tmp_path / "finder.xml", prior="balanced")
    with pytest.raises(ValueError, match="prior must be train for this model"):
        export_model(folder / "old.safetensors", "openvino", tmp_path / "old.xml", prior="balanced")
    assert not [*tmp_path.glob("*.xml")]


# ------------------------------------------------------------------------------------------------------ commands


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        return list(csv.DictReader(file))


def test_another_mix_is_another_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, model = tmp_path / "out.csv", str(folder / "model.safetensors")
    options = ["-o", str(out), "--model", model, "--engine", "openvino", "--precision", "fp32", "--quiet"]
    classify = ["classify", str(folder / "data"), *options]
    assert run([*classify, "--prior", "balanced"]) == 0
    rows = rows_of(out)
    with Classifier(model, engine="openvino", precision="fp32", workers=1, prior="balanced") as classifier:
        for row, prediction in zip(rows, classifier.predict([row["path"] for row in rows]), strict=True):
            assert float(row["confidence"]) == pytest.approx(prediction.confidence, abs=1e-6)
    capsys.readouterr()
    assert run([*classify, "--resume"]) == 2
    named = f"of a run with model '{model} openvino fp32 prior balanced', not '{model} openvino fp32'"
    assert named in capsys.readouterr().err
    equal = ",".join(f"{name}=5" for name in EMOTIONS)
    assert run([*classify, "--resume", "--prior", equal]) == 0
    assert rows_of(out) == rows


def test_the_command_exports_for_a_mix(folder: Path, tmp_path: Path) -> None:
    mix = tmp_path / "mix.json"
    mix.write_text(json.dumps(MIX))
    command = ["export", str(folder / "model.safetensors"), "--format", "openvino", "--quiet"]
    assert run([*command, "-o", str(tmp_path / "m.xml"), "--prior", str(mix)]) == 0
    assert read_export(tmp_path / "m.xml", "classifier").description.prior == pytest.approx(shares_of(MIX, EMOTIONS))


def test_a_wrong_mix_is_told_in_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = str(folder / "model.safetensors"), str(folder / "data")
    for command in (
        ["classify", data, "--model", model],
        ["evaluate", model, data],
        ["export", model, "--format", "openvino", "-o", str(tmp_path / "m.xml")],
    ):
        assert run([*command, "--prior", "neutral=1,joy=2"]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("fer-fast: prior must have a share for each of neutral, happiness")
        assert said.err.endswith("; 'joy' is none of them\n") and not said.out


def test_evaluate_tells_the_mix_that_an_export_was_made_for(folder: Path, tmp_path: Path) -> None:
    mix = prior_text(shares_of(MIX, EMOTIONS), EMOTIONS)
    for prior, told in (("balanced", "balanced"), (MIX, mix)):
        model = exported(folder, prior, tmp_path / "model.xml")
        report = evaluate(model, folder / "data")
        assert report["prior"] == told and f"probabilities presume this mix of classes: {told}" in lines(report)
        assert evaluate(model, folder / "data", prior=MIX)["prior"] == mix


def test_evaluate_scores_every_run_for_the_mix(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = folder / "model.safetensors", tmp_path / "scores.json"
    command = ["evaluate", str(model), str(folder / "data"), "--engine", "openvino", "--quiet", "--json", str(out)]
    assert run([*command, "--prior", "balanced"]) == 0
    assert "probabilities presume this mix of classes: balanced\n" in capsys.readouterr().out
    report = json.loads(out.read_text())
    assert report["prior"] == "balanced"
    ran = [row for row in report["runs"] if "reason" not in row]
    assert ran
    plain = evaluate(model, folder / "data", engine="openvino")
    assert plain["prior"] == "train" and not [line for line in lines(plain) if "this mix" in line]
    before = {(row["engine"], row["precision"]): row for row in plain["runs"]}
    for row in ran:
        other = before[row["engine"], row["precision"]]["scores"]["labels"]["full"]
        assert row["scores"]["labels"]["full"]["nll"] != other["nll"]
        difference = row["against_reference"]
        assert difference is None or difference["largest_difference"] < 0.05, "a run that kept the training's mix"


def test_boxes_have_no_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(folder), "--boxes", "boxes.csv", "--prior", "balanced"]) == 2
    assert "--prior must not be given with --boxes" in capsys.readouterr().err


@pytest.mark.needs_torch
def test_a_face_that_is_looked_into_has_the_mix(folder: Path) -> None:
    from fer_fast.models.loading import load_model
    from fer_fast.visualize import inspect_face

    model = folder / "model.safetensors"
    found = inspect_face(load_model(model), FACES[0], MIX).prediction.probabilities
    np.testing.assert_allclose(found, wanted(model, MIX, engine="torch")[0], atol=1e-6)
    with pytest.raises(ValueError, match="prior must be train for this model"):
        inspect_face(load_model(folder / "old.safetensors"), FACES[0], "balanced")

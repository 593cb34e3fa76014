"""Evaluation: splits and leaks of drawn data sets, the command, its page, what is refused."""

from __future__ import annotations

import html
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import image_config, save_image_model

from fer_fast.cli import run
from fer_fast.datasets.split import FERPLUS_COLUMNS
from fer_fast.evaluation import evaluate, json_text, run_of
from fer_fast.evaluation import runs as engine_runs
from fer_fast.evaluation.lines import lines
from fer_fast.evaluation.page import page
from fer_fast.evaluation.scored_split import load_scored_split
from fer_fast.machine.extras import is_installed
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.types import EMOTIONS, CheckpointError, FerFastError, MissingExtraError, Prediction

ROOT = Path(__file__).parents[1]
NO_TORCH_HERE = not is_installed("torch")
USAGE = {"train": ("FER2013Train", "Training"), "valid": ("FER2013Valid", "PublicTest")}
USAGE["test"] = ("FER2013Test", "PrivateTest")
NEUTRAL, HAPPINESS, SURPRISE, SADNESS, ANGER, DISGUST, FEAR, CONTEMPT, UNKNOWN, NOFACE = range(10)
NO_TORCH = "engine 'torch' needs torch, which is not installed: pip install 'fer-fast[torch]'"
#: A class name that would break a page, a table or a folder, if one let it.
NASTY = "<b>&'\"{}"


# ------------------------------------------------------------------------------------------------ drawn data sets


def write_image(path: Path, shade: int, side: int = 48) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (side, side), shade).save(path)


def write_ferplus(data: Path, *images: tuple[str, str, int, int]) -> Path:
    """Images of one shade, ten votes each for one column: (split, name, shade, column)."""
    rows = [",".join(["Usage", "Image name", *FERPLUS_COLUMNS])]
    for split, name, shade, column in images:
        folder, usage = USAGE[split]
        write_image(data / folder / name, shade)
        rows.append(",".join([usage, name, *("10" if number == column else "0" for number in range(10))]))
    (data / "fer2013new.csv").write_text("\n".join(rows) + "\n")
    return data


@pytest.fixture
def ferplus(tmp_path: Path) -> Path:
    return write_ferplus(
        tmp_path / "ferplus",
        ("train", "a.png", 30, HAPPINESS),
        ("valid", "b.png", 70, SADNESS),
        ("test", "c.png", 10, NEUTRAL),
        ("test", "d.png", 30, HAPPINESS),  # leaked from train
        ("test", "e.png", 70, ANGER),  # leaked from valid
        ("test", "f.png", 150, CONTEMPT),
        ("test", "g.png", 130, UNKNOWN),
    )


def test_a_split_is_told_from_its_copies(ferplus: Path) -> None:
    scored = load_scored_split(ferplus, None, EMOTIONS, 8)
    assert (scored.name, scored.why, scored.against) == ("test", "the default", ("train", "valid"))
    assert scored.fresh is not None and scored.fresh.tolist() == [True, False, False, True, True]
    valid = load_scored_split(ferplus, "valid", EMOTIONS, 8)
    assert valid.against == ("train",) and valid.fresh is not None and valid.fresh.tolist() == [True]
    assert load_scored_split(ferplus, "train", EMOTIONS, 8).fresh is None


def test_a_missing_split_is_told(ferplus: Path) -> None:
    for file in (ferplus / "FER2013Train").iterdir():
        file.unlink()
    (ferplus / "FER2013Train").rmdir()
    scored = load_scored_split(ferplus, "test", EMOTIONS, 8)
    assert scored.against == ("valid",) and scored.fresh is not None
    assert scored.fresh.tolist() == [True, True, False, True, True]
    assert list(scored.unchecked) == ["train"] and "FER2013Train/" in scored.unchecked["train"]


def test_a_protocol_that_the_model_cannot_answer_is_left_out(ferplus: Path) -> None:
    scored = load_scored_split(ferplus, "test", (*EMOTIONS[:5], "fear"), 8)
    assert list(scored.protocols) == ["paper6"]
    assert scored.left_out["argmax10"] == "the model lacks disgust, contempt"
    with pytest.raises(ValueError, match=r"must have images of the model's classes alone \(joy, fear\); argmax10: the"):
        load_scored_split(ferplus, "test", ("joy", "fear"), 8)


def test_a_folder_of_classes_has_one_split(tmp_path: Path) -> None:
    write_image(tmp_path / "anger" / "a.png", 10)
    write_image(tmp_path / "fear" / "b.png", 20)
    scored = load_scored_split(tmp_path, None, EMOTIONS, 8)
    assert (scored.name, scored.why, scored.fresh) == ("all", "data has no splits", None)
    assert scored.unchecked == {} and list(scored.protocols) == ["labels"]
    with pytest.raises(ValueError, match="must hold a split test/"):
        load_scored_split(tmp_path, "test", EMOTIONS, 8)


def test_a_folder_with_splits_but_no_test_is_refused(tmp_path: Path) -> None:
    for name in ("train/anger/a.png", "train/fear/b.png"):
        write_image(tmp_path / name, 10)
    with pytest.raises(ValueError, match="must hold the split test in test/"):
        load_scored_split(tmp_path, None, EMOTIONS, 8)


# ---------------------------------------------------------------------------------- the report, by a fake classifier


class ShadeTeller:
    """Its answer is the image's shade / 20, of 70 %; int8 takes the next class for shades below 20."""

    missing: tuple[str, ...] = ("bf16", "fp16")
    installed = True  # torch

    def __init__(self, model: str, *, engine: str, precision: str, device: str, prior: str) -> None:
        assert prior == "train" or prior == dict.fromkeys(EMOTIONS, 1 / 8)
        if engine == "torch" and not self.installed:
            raise MissingExtraError(NO_TORCH)
        if precision in self.missing:
            raise FerFastError(f"{precision} is not\nthere")
        if engine in ("torch", "tensorrt") and precision == "int8":
            raise ValueError(f"no int8 by {engine}")
        self.classes = read_checkpoint(model).config.classes
        self.engine = "openvino" if engine == "auto" else engine
        self.precision = "int8" if precision == "auto" else precision

    def describe(self) -> dict[str, Any]:
        return {"engine": self.engine, "version": "1", "device": "cpu", "precision": self.precision, "tokens": "none"}

    def predict(self, images: list[np.ndarray]) -> list[Prediction]:
        return [Prediction(self.classes, self.answer(int(image.flat[0]))) for image in images]

    def answer(self, shade: int) -> np.ndarray:
        count = len(self.classes)
        row = np.full(count, 0.3 / (count - 1), np.float32)
        row[(shade // 20 + (self.precision == "int8" and shade < 20)) % count] = 0.7
        return row

    def __enter__(self) -> ShadeTeller:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_image_model(path, replace(image_config(), prior=(0.3, *[0.1] * 7)))
    return path


@pytest.fixture
def teller(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ShadeTeller]]:
    class Teller(ShadeTeller):
        pass

    monkeypatch.setattr(engine_runs, "has_bf16_instructions", lambda: True)
    monkeypatch.setattr(engine_runs, "Classifier", Teller)
    yield Teller


def test_one_that_is_run_alone_is_compared_with_nothing(ferplus: Path, model: Path, teller: type[ShadeTeller]) -> None:
    report = evaluate(model, ferplus, alone=True)
    (run,) = report["runs"]
    assert report["chosen"] == report["reference"] == {"engine": "openvino", "precision": "int8"}
    assert report["alone"] and run["against_reference"] is None and not report["warnings"]
    whole = evaluate(model, ferplus)
    assert run["scores"] == run_of(whole, "chosen")["scores"] and not whole["alone"]
    assert not any("compared with nothing" in line for line in lines(report))


def test_every_combination_is_in_the_report(ferplus: Path, model: Path, teller: type[ShadeTeller]) -> None:
    doing: list[str] = []
    report = evaluate(model, ferplus, tell=doing.append)
    told = {f"{run['engine']} {run['precision']}": run.get("reason") for run in report["runs"]}
    engines = {"torch": ["fp32"], "openvino": ["fp32", "bf16", "int8"]}
    assert list(told) == [
        *(f"{engine} {precision}" for engine, precisions in engines.items() for precision in precisions),
        *("torch bf16", "torch fp16", "tensorrt-fused bf16", "tensorrt-fused fp16"),
        *("tensorrt bf16", "tensorrt fp16", "tensorrt int8"),
    ]
    reasons = [reason for reason in told.values() if reason]
    absent = [f"{precision} is not there" for precision in ("bf16", *["bf16", "fp16"] * 3)]
    assert reasons == [*absent, "no int8 by tensorrt"]
    assert report["chosen"] == {"engine": "openvino", "precision": "int8"}
    assert run_of(report, "reference")["against_reference"] is None
    assert doing[0].startswith("reading ") and doing[1:3] == ["openvino int8, as chosen", "torch fp32, 1 of 11"]


def test_without_torch_openvino_is_the_reference(ferplus: Path, model: Path, teller: type[ShadeTeller]) -> None:
    teller.installed = False
    report = evaluate(model, ferplus)
    assert report["reference"] == {"engine": "openvino", "precision": "fp32"}
    assert [f"{run['engine']} {run['precision']}" for run in report["runs"]][:2] == ["openvino fp32", "torch fp32"]
    assert report["runs"][0]["against_reference"] is None
    assert report["runs"][1] == {"engine": "torch", "precision": "fp32", "reason": NO_TORCH}
    assert run_of(report, "chosen")["against_reference"]["points"] == -25.0
    assert "openvino fp32 75.00 %); more than 0.3 is too much" in report["warnings"][0]
    said = f"the reference is openvino fp32 in place of torch fp32: {NO_TORCH}"
    assert said in lines(report) and said in html.unescape(page(report))
    assert "  openvino fp32 (reference)" in "\n".join(lines(report))
    alone = evaluate(model, ferplus, precision="int8")
    assert [run["engine"] for run in alone["runs"]] == ["openvino", "torch", "openvino", "tensorrt"]
    teller.missing = ("fp32",)
    with pytest.raises(FerFastError, match="neither torch fp32, the reference, nor openvino fp32 runs: fp32 is"):
        evaluate(model, ferplus)


def test_what_a_precision_costs(ferplus: Path, model: Path, teller: type[ShadeTeller]) -> None:
    report = evaluate(model, ferplus)
    # c, d and f are right, e is not (sadness), g counts in argmax10 neither way; int8 gets c wrong.
    full = run_of(report, "reference")["scores"]["argmax10"]["full"]
    assert full["accuracy"] == 0.75 and full["images"] == 4
    assert run_of(report, "reference")["scores"]["argmax10"]["leakage_free"]["accuracy"] == 1.0
    chosen = run_of(report, "chosen")
    assert chosen["scores"]["argmax10"]["full"]["accuracy"] == 0.5
    assert chosen["against_reference"] == {
        "points": -25.0,
        "changed": 0.2,  # one of five images
        "largest_difference": pytest.approx(0.7 - 0.3 / 7, abs=1e-6),
        "falls_too_far": True,
    }
    same = report["runs"][1]["against_reference"]
    assert same == {"points": 0.0, "changed": 0.0, "largest_difference": 0.0, "falls_too_far": False}
    assert report["leakage"] == {"against": ["train", "valid"], "leaked": 2, "unchecked": {}}
    sentence = "openvino int8 loses 25.00 points of accuracy (argmax10: 50.00 %, torch fp32 75.00 %); more than 0.3 is"
    assert [warning[: len(sentence)] for warning in report["warnings"]] == [sentence]
    assert f"WARNING: {report['warnings'][0]}" in lines(report)
    assert report["warnings"][0] in page(report)


def test_the_gate_is_three_thousandths(model: Path, teller: type[ShadeTeller], tmp_path: Path) -> None:
    for number in range(1000):  # int8 loses the three of shade 10 among a thousand
        label = "happiness" if number >= 3 else "neutral"
        write_image(tmp_path / label / f"{number}.png", 30 if number >= 3 else 10, side=2)
    assert evaluate(model, tmp_path)["warnings"] == []
    write_image(tmp_path / "neutral" / "one more.png", 10, side=2)
    assert len(evaluate(model, tmp_path)["warnings"]) == 1


@pytest.mark.needs_torch
def test_an_engine_or_a_precision_alone(ferplus: Path, model: Path, teller: type[ShadeTeller]) -> None:
    def ran(**options: str) -> list[str]:
        return [f"{run['engine']} {run['precision']}" for run in evaluate(model, ferplus, **options)["runs"]]

    assert ran(precision="int8") == ["torch fp32", "openvino int8", "tensorrt int8"]
    assert ran(engine="openvino") == ["torch fp32", "openvino fp32", "openvino bf16", "openvino int8"]
    assert ran(engine="torch", precision="fp32") == ["torch fp32"]
    with pytest.raises(ValueError, match="no int8 by torch"):
        ran(engine="torch", precision="int8")
    with pytest.raises(FerFastError, match="bf16 is not"):
        ran(precision="bf16")
    with pytest.raises(ValueError, match=r"engine must be one of auto, openvino, torch, tensorrt, .*, not 'onnx'"):
        ran(engine="onnx")


def test_a_reference_that_is_not_there_is_an_error(ferplus: Path, model: Path, teller: type[ShadeTeller]) -> None:
    teller.missing = ("fp32",)
    with pytest.raises(FerFastError, match="fp32 is not"):
        evaluate(model, ferplus)


def test_the_same_files_give_the_same_text(ferplus: Path, model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """By the real engines, whichever this machine has."""
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    first, second = (json_text(evaluate(model, ferplus)) for _ in range(2))
    assert first == second
    report = json.loads(first)
    exact = run_of(report, "reference") if NO_TORCH_HERE else report["runs"][1]
    assert (exact["engine"], exact["precision"]) == ("openvino", "fp32")
    assert NO_TORCH_HERE or exact["against_reference"]["largest_difference"] < 1e-4
    reasons = {f"{run['engine']} {run['precision']}": run["reason"] for run in report["runs"] if "reason" in run}
    assert "needs a checkpoint whose activation ranges were measured" in reasons["openvino int8"]
    assert report["data"]["images"] == 5 and set(run_of(report, "reference")["scores"]) == set(report["protocols"])


# ------------------------------------------------------------------------------------------------------ the command


class Outline(HTMLParser):
    """Tags that must close in order, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)


def called(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = run(["evaluate", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_the_command(ferplus: Path, model: Path, teller: Any, tmp_path: Path, capsys: Any) -> None:
    (ferplus / "FER2013Test" / "f.png").write_text("no image")
    scores, html = tmp_path / "scores.json", tmp_path / "scores.html"
    status, out, err = called(capsys, model, ferplus, "--json", scores, "--html", html)
    assert (status, err) == (0, "")
    report = json.loads(scores.read_text())
    assert report == evaluate(model, ferplus)
    assert out.splitlines() == lines(report)
    assert html.read_text() == page(report)
    assert "split test (the default): 4 images" in out
    assert "1 image is left out; 'f.png': it cannot be read: cannot identify image" in out
    assert "2 of the images occur in train or valid, too" in out
    words = [" ".join(line.split()) for line in out.splitlines()]
    # Of c, d, e int8 knows d alone, and is 70 % sure each time: 2/3 over four classes; (2 ln(7 / 0.3) - ln 0.7) / 3.
    assert "argmax10 full 3 33.33 (6.1-79.2) 16.67 0.367 2.219" in words
    assert "openvino int8 (auto) 33.33 -33.33 25.00 0.6571" in words
    # All are of one confidence, and left out together.
    surest = ", ".join(f"33.3 on {share} %" for share in (95, 90, 80, 70, 50))
    assert f"argmax10, the surest alone: {surest}; AURC 0.6667" in words
    assert "  torch fp16 is not offered: fp16 is not there" in out
    assert sum(line.startswith("WARNING: ") for line in out.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ferplus", "scores.html", "scores.json"]


def test_nothing_heavy_is_imported_for_help() -> None:
    code = "import sys, fer_fast.cli, fer_fast.cli.evaluate; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "openvino", "numpy", "PIL"} & set(done.stdout.split())


def test_the_page_is_whole_and_closed_to_the_network(model: Path, teller: Any, tmp_path: Path) -> None:
    nasty = tmp_path / "nasty.safetensors"
    save_image_model(nasty, image_config(classes=(NASTY, "b", "unseen")))
    for name, shade in ((f"{NASTY}/a", 30), (f"{NASTY}/b", 31), ("b/c", 30)):
        write_image(tmp_path / "<faces>\udcff" / f"{name}.png", shade)
    report = evaluate(nasty, tmp_path / "<faces>\udcff")
    text = page(report)
    outline = Outline(text)
    assert text.isascii() and "prefers-color-scheme: dark" in text
    assert not {"script", "link", "img"} & set(outline.texts) and "://" not in text and "url(" not in text
    assert NASTY in outline.texts["text"] and f"{NASTY} answered as b: 2 of 2 (100.0%)" in outline.texts["title"]
    counts = [text for text in outline.texts["text"] if text in ("0", "1", "2")]
    assert counts[:4] == ["0", "2", "0", "1"]  # the matrix, then the axis of the images
    # 0.7 / 0.85: the class that the data lacks cannot be answered.
    assert "confidence 80% to 87%: 3 images, mean confidence 82.4%, accuracy 33.3%" in outline.texts["title"]
    assert "100.0% answered, confidence 0.823529 or more: accuracy 33.3%" in outline.texts["title"]
    assert "nan" not in text.lower().replace("nance", "")
    said = lines(report)
    assert said[0].endswith("split all (data has no splits): 3 images")
    assert any("has 2 of the model's 3 classes: the others' probabilities are left out" in line for line in said)


REFUSED = {
    "no folder": (["MODEL", "no/such/folder"], 2, "data must be a folder; there is no 'no/such/folder'"),
    "no votes": (["MODEL", "VOTELESS"], 2, "must hold the votes, fer2013new.csv"),
    "no classes": (["MODEL", "EMPTY"], 2, "must hold two or more sub-folders named as the classes"),
    "unknown class": (["MODEL", "JOYFUL"], 2, "labels: the model lacks joy"),
    "unreadable": (["MODEL", "BROKEN"], 2, "must hold an image of class 'fear' that can be read"),
    "no model": (["nobody", "FERPLUS"], 2, "there is no file 'nobody'"),
    "unknown split": (["MODEL", "FERPLUS", "--split", "dev"], 2, "split must be one of train, valid, test or all"),
    "unknown precision": (["MODEL", "FERPLUS", "--precision", "int4"], 2, "precision must be one of auto, fp32, "),
    "json nowhere": (["MODEL", "FERPLUS", "--json", "no/such.json"], 2, "the folder of the output 'no/such.json' does"),
    "one file twice": (["MODEL", "FERPLUS", "--json", "a", "--html", "./a"], 2, "must be two files, not 'a' both"),
    "html is a folder": (["MODEL", "FERPLUS", "--html", "EMPTY"], 2, "is a folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, ferplus: Path, model: Path, teller: Any, tmp_path: Path, capsys: Any) -> None:
    arguments, status, sentence = REFUSED[case]
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "VOTELESS" / "FER2013Test").mkdir(parents=True)
    for name in ("JOYFUL/joy", "JOYFUL/fear", "BROKEN/anger"):
        write_image(tmp_path / name / "a.png", 10)
    (tmp_path / "BROKEN" / "fear").mkdir()
    (tmp_path / "BROKEN" / "fear" / "b.png").write_text("no image")
    places: dict[str, Path] = {"MODEL": model, "FERPLUS": ferplus}
    places |= {name: tmp_path / name for name in ("EMPTY", "VOTELESS", "JOYFUL", "BROKEN")}
    found = called(capsys, *(places.get(argument, argument) for argument in arguments))
    assert found[:2] == (status, "")
    assert found[2].startswith("fer-fast: ") and found[2].count("\n") == 1 and sentence in found[2]


def test_a_full_disk_leaves_the_old_file(
    ferplus: Path, model: Path, teller: Any, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "out" / "scores.json"
    out.parent.mkdir()
    out.write_text("old")
    monkeypatch.setattr("os.fsync", full)
    status, _, err = called(capsys, model, ferplus, "--json", out)
    assert status == 1 and err == f"fer-fast: the output {str(out)!r} cannot be written: No space left on device\n"
    assert out.read_text() == "old" and list(out.parent.iterdir()) == [out]


def test_a_damaged_model_is_told(ferplus: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("no weights")
    with pytest.raises(CheckpointError, match="cannot be read"):
        evaluate(tmp_path / "model.safetensors", ferplus)


# ------------------------------------------------------------------------------------------- the packaged models' page


@pytest.mark.needs_torch
def test_the_tables_of_the_models_page(
    ferplus: Path, model: Path, teller: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kornia")  # hard views need it
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("benchmarks_models", ROOT / "benchmarks" / "models.py")
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    monkeypatch.setattr(program, "packaged_models", lambda: [str(model)])
    program.main(["--data", str(ferplus), "--out", str(tmp_path / "models.json")])
    pages = importlib.import_module("pages.models")
    monkeypatch.setattr(sys.modules["pages.shared"], "RESULTS", tmp_path)
    name = str(model)
    scores = pages.scores(name).splitlines()
    assert scores[0].startswith("| run | split | protocol | accuracy (95 % interval), images | leakage-free")
    # Two runs by five protocols of the test split; what is run alone, four times by two.
    assert len(scores) == 2 + 2 * 5 + 4 * 2
    test = "75.00 (30.1-95.4), 4 | 100.00 (34.2-100.0), 2"
    assert f"| torch fp32 (reference) | test | argmax10 | {test} | 60.00 |" in pages.scores(name)
    assert "| torch fp32 (reference) | 100.0 / 100.0 | 100.0 / 100.0 | - / - | 0.0 / - |" in pages.classes(name)
    lost = "| openvino int8 (auto) (**loses too much**) | test | 50.00 | -25.00 | 20.00 | 0.6571 |"
    assert lost in pages.precisions(name)
    assert "| torch fp16 | test | - | - | - | not offered: fp16 is not there |" in pages.precisions(name)
    assert not any("-hard" in line for line in pages.precisions(name).splitlines() + pages.classes(name).splitlines())
    assert pages.overview().splitlines()[2].startswith(f"| `{name}` | 50.00 |")
    hard = next(line for line in scores if "openvino int8 (auto) | test-hard | argmax10 |" in line)
    assert pages.priors().splitlines()[3].startswith(f"| `{name}` | balanced | 50.00 |")
    assert pages.overview().splitlines()[2].split(" | ")[-2] == hard.split(" | ")[3].split()[0]

"""The paper's study: a whole grid on drawn data, some rows, what is not run twice, its page."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_runs import hear_interrupts
from drawn_data import draw_backbone, draw_classes, draw_ferplus, last_sentence

from fer_fast.cli import run
from fer_fast.cli.resumable import alone
from fer_fast.datasets import load_split
from fer_fast.datasets.resized import plain
from fer_fast.models.fusion.config import SOURCES
from fer_fast.reproduction import study as study_module
from fer_fast.reproduction.cached_taps import CachedTaps
from fer_fast.reproduction.paper import READINGS, PaperRow, paper_rows, read_published
from fer_fast.train.faces import faces_of
from fer_fast.train.recipe import load_recipe
from fer_fast.train.start import new_start, read_backbone_weights

RECIPE = """
stages = [{ steps = 2 }]
learning_rate = 0.005
protocol = "paper6"
targets = "labels"
batch_size = 8
schedule = "constant"
model = { sources = ["image", "FM2", "FM3", "FM4"], image_size = 32, grid = 2, width = 16, depth = 1, heads = 2 }
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Everything on the command line but --out: 30 training faces of six classes, 16 to test on, two of them leaked."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "recipe.toml").write_text(RECIPE)
    data = draw_ferplus(folder / "data", {"train": 40, "valid": 8, "test": 20})
    for number, copied in ((0, "FER2013Train/train008.png"), (3, "FER2013Valid/valid003.png")):
        shutil.copy(data / copied, data / "FER2013Test" / f"test{number:03}.png")
    backbone = draw_backbone(folder / "backbone.safetensors")
    given = {"--recipe": folder / "recipe.toml", "--data": data, "--backbone": backbone, "--jobs": 1}
    return [str(word) for option in given.items() for word in option]


@pytest.fixture(scope="module")
def grid(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole study."""
    out = tmp_path_factory.mktemp("study")
    written = ["--report", str(out / "page.md"), "--json", str(out / "study.json")]
    assert run(["tables", *inputs, "--out", str(out), *written]) == 0
    return out


@pytest.fixture
def copied(grid: Path, tmp_path: Path) -> Path:
    """The same folder, to be changed."""
    return Path(shutil.copytree(grid, tmp_path / "copied"))


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["tables", *arguments]) == 2
    return last_sentence(capsys.readouterr().err, "fer-fast")


def contents(out: Path) -> dict[str, dict[str, Any]]:
    """The rows' files, but for the time that they took."""
    rows = {path.name: json.loads(path.read_text()) for path in (out / "rows").iterdir()}
    for row in rows.values():
        assert row.pop("seconds") >= 0
    return rows


# ----------------------------------------------------------------------------------------------- the grid


def test_grid_holds_every_row_in_both_readings(grid: Path) -> None:
    rows = study_module.read_rows(grid)
    found = [(tuple(row["sources"]), row["reading"]) for row in rows]
    wanted = [
        (row.sources, reading)
        for row in paper_rows()
        for reading in ("mean", "channels")
        if (row.sources, reading) != (("image",), "mean")  # no map, no second reading
    ]
    assert found == wanted and len(found) == 61
    tables_of = {row.sources: row.table for row in paper_rows()}
    for row in rows:
        assert row["table"] == tables_of[tuple(row["sources"])]
        assert np.isfinite(row["loss"]) and row["seconds"] >= 0
        # 30 training faces, 16 test faces, 14 of them not leaked: accuracies are counts, rounded to four digits.
        for key, count in (("train", 30), ("test", 16), ("test_leakage_free", 14)):
            assert 0 <= row[key] <= 1 and row[key] * count == pytest.approx(round(row[key] * count), abs=1e-3 * count)
    # Not by the loss alone: two of 61 may share its four digits.
    results = {(row["loss"], row["train"], row["test"]) for row in rows}
    assert len(results) == 61, "each trains a model of its own"
    assert not list(grid.rglob("*.partial"))


def test_leaked_faces_do_not_count_as_fresh(inputs: list[str], grid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(zip(inputs[::2], inputs[1::2], strict=True))
    recipe, data, backbone = (Path(given[name]) for name in ("--recipe", "--data", "--backbone"))
    study = study_module.open_study(load_recipe(recipe), data, grid, [backbone], "cpu")
    assert study.fresh.tolist() == [number not in (0, 3) for number in range(16)]
    right = {30: torch.ones(30), 16: study.fresh.float()}
    monkeypatch.setattr(study_module, "_correct", lambda study, faces, *_: right[len(faces)])
    result = study_module.run_row(study, paper_rows()[0], reduce_mean=False)
    assert (result["train"], result["test"], result["test_leakage_free"]) == (1.0, 0.875, 1.0)


def test_rates_follow_the_recipes_schedule(inputs: list[str], grid: Path) -> None:
    given = dict(zip(inputs[::2], inputs[1::2], strict=True))
    recipe, data, backbone = (Path(given[name]) for name in ("--recipe", "--data", "--backbone"))
    study = study_module.open_study(load_recipe(recipe), data, grid, [backbone], "cpu")
    cycled = dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, schedule="one-cycle"))
    losses = [study_module.run_row(each, paper_rows()[0], reduce_mean=False)["loss"] for each in (study, study, cycled)]
    assert losses[0] == losses[1] != losses[2]


def test_json_holds_what_the_page_shows(inputs: list[str], grid: Path) -> None:
    record = json.loads((grid / "study.json").read_text())
    assert record["rows"] == study_module.read_rows(grid)
    assert record["recipe"] == inputs[inputs.index("--recipe") + 1] and record["environment"]["versions"]["torch"]


def test_page_holds_all_rows(grid: Path) -> None:
    text, published = (grid / "page.md").read_text(), read_published()
    tables, _ = text.split("## What the paper's numbers say")
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in tables.splitlines() if line.startswith("| ")}
    rows = {(tuple(row["sources"]), row["reading"]): row for row in study_module.read_rows(grid)}
    for row in paper_rows():
        cells = [cell.strip() for cell in lines[row.name].strip("|").split("|")]
        readings = (rows.get((row.sources, name)) for name in READINGS)
        mean, channels = (found or rows[row.sources, "channels"] for found in readings)
        values = [found[key] for found in (mean, channels) for key in ("train", "test", "test_leakage_free")]
        paper = published.get(row.name, {})
        assert cells[1:3] == [f"{paper[split]:.2f}" if split in paper else "" for split in ("train", "test")]
        assert cells[3:] == [f"{100 * value:.2f}" for value in values]
    assert " | 42.56 | " in lines["FM4"] and " | 79.21 | " in lines["image + FM2 + FM3 + FM4"]
    assert len(lines) == 31 + 2, "head and rule are alike in the three tables"
    for title in ("Table 1: one source", "Table 2: feature maps together", "Table 3: the image with feature maps"):
        assert f"## {title}" in text
    assert "32 px, 4 tokens" in text and "batch 8, 2 steps, seed 1" in text
    assert text.count("points over 31 rows, rank correlation (Spearman) ") == 2
    assert "| FM2 is the best single map | yes | " in text
    assert "the two readings with each other: rank correlation" in text and "over 30 rows" in text


def test_rows_that_are_there_are_not_run_again(
    inputs: list[str], grid: Path, copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(grid)
    for name in ("mean-FM3.json", "channels-image.json"):
        (copied / "rows" / name).unlink()
    own = json.loads((copied / "rows" / "mean-FM1.json").read_text()) | {"test": 0.123}
    (copied / "rows" / "mean-FM1.json").write_text(json.dumps(own))
    monkeypatch.setattr(CachedTaps, "_compute", lambda *_: pytest.fail("the maps are there"))
    assert run(["tables", *inputs, "--out", str(copied)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "59 rows are there, 2 are to be trained"
    assert [line.split(":")[0] for line in said[1:]] == ["image (channels)", "FM3 (mean)"]
    after = contents(copied)
    assert after.pop("mean-FM1.json")["test"] == 0.123
    before.pop("mean-FM1.json")
    assert after == before, "the same rows come out again"


def test_some_rows_in_one_reading(
    inputs: list[str], grid: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (copied / "rows").iterdir():
        file.unlink()
    chosen = ["--rows", "FM1 + FM2,image, image+FM4", "--reading", "mean"]
    assert run(["tables", *inputs, *chosen, "--out", str(copied)]) == 0
    done, whole = contents(copied), contents(grid)
    assert sorted(done) == ["channels-image.json", "mean-FM1-FM2.json", "mean-image-FM4.json"]
    assert done == {name: whole[name] for name in done}, "as in a study of all rows"
    assert capsys.readouterr().out.startswith("0 rows are there, 3 are to be trained\n")
    assert run(["tables", *inputs, "--rows", "FM1", "--out", str(copied)]) == 0
    assert contents(copied).keys() - done.keys() == {"mean-FM1.json", "channels-FM1.json"}, "both readings"


@pytest.mark.parametrize("name", ["FM5", "FM2+FM1", "", "image+"])
def test_rows_that_the_paper_has_not(
    inputs: list[str], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = complaint([*inputs, "--rows", f"image,{name}", "--out", str(tmp_path / "out")], capsys)
    assert said.rstrip() == f"fer-fast: rows must be the paper's, such as image, FM2 or image+FM2+FM3+FM4, not {name!r}"
    assert not (tmp_path / "out").exists()


def test_killed_rows_are_run_by_the_next_call(
    inputs: list[str], grid: Path, copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = ("mean-FM1-FM2.json", "mean-FM2-FM3.json", "channels-FM2-FM3.json", "channels-image-FM4.json")
    for name in gone:
        (copied / "rows" / name).unlink()
    parallel = [*inputs, "--jobs", "2", "--out", str(copied)]
    parent, run_row = os.getpid(), study_module.run_row

    def killed(study: study_module.Study, row: PaperRow, reduce_mean: bool) -> dict[str, Any]:
        if row.name == "FM2 + FM3" and not reduce_mean:
            assert os.getpid() != parent
            os.kill(os.getpid(), signal.SIGKILL)
        return run_row(study, row, reduce_mean)

    with monkeypatch.context() as patch:
        patch.setattr(study_module, "run_row", killed)
        said = complaint(parallel, capsys)
    assert "a process that trains rows ended early; the same command goes on" in said
    assert not (copied / "rows" / "channels-FM2-FM3.json").exists()
    assert run(["tables", *parallel]) == 0
    assert contents(copied) == contents(grid), "in processes as in one"


@pytest.fixture
def working(inputs: list[str], copied: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[Path]]]:
    """A study whose rows take minutes, and two processes that are at one each, by /proc's folders."""
    for name in ("mean-FM1.json", "mean-FM2.json"):
        (copied / "rows" / name).unlink()
    program = (
        "import os, pathlib, sys, time; from fer_fast import cli; from fer_fast.reproduction import study\n"
        f"mark = lambda: pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.pid').touch()\n"
        "study.run_row = lambda *_: (mark(), time.sleep(300))\n"
        "cli.main()"
    )
    command = [sys.executable, "-c", program, "tables", *inputs, "--jobs", "2", "--out", str(copied)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )
    while len(workers := [*tmp_path.glob("*.pid")]) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    with process:
        yield process, [Path("/proc", worker.stem) for worker in workers]
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_told_to_stop_leaves_no_process_behind(
    working: tuple[subprocess.Popen[str], list[Path]], number: signal.Signals
) -> None:
    process, workers = working
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert last_sentence(said, "fer-fast").endswith("the same command goes on with the rows that are missing\n")
    assert [worker for worker in workers if worker.exists()] == []


def test_who_is_told_to_stop_while_rows_are_handed_out_does_not_wait_for_them(
    inputs: list[str], copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mean-FM1.json", "mean-FM2.json"):
        (copied / "rows" / name).unlink()
    submit, ended = ProcessPoolExecutor.submit, tmp_path / "ended"

    def interrupted(pool: ProcessPoolExecutor, *arguments: Any) -> Any:
        submit(pool, *arguments)
        raise KeyboardInterrupt

    def row_of_minutes(*_: object) -> dict[str, Any]:
        time.sleep(20)
        ended.touch()
        return {}

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    monkeypatch.setattr(study_module, "run_row", row_of_minutes)
    assert run(["tables", *inputs, "--jobs", "2", "--out", str(copied)]) == 130
    assert not ended.exists()


def test_who_is_killed_leaves_no_process_behind(
    inputs: list[str],
    working: tuple[subprocess.Popen[str], list[Path]],
    copied: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They would keep the folder to themselves, and its memory, for ever."""
    process, workers = working
    process.kill()
    end = time.monotonic() + 30
    while any(is_running(worker) for worker in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(is_running(worker) for worker in workers)
    assert run(["tables", *inputs, "--out", str(copied)]) == 0, capsys.readouterr().err


def is_running(process: Path) -> bool:
    """Whether a process is more than its status, which nobody may have asked for."""
    try:
        return "\nState:\tZ" not in (process / "status").read_text()
    except OSError:
        return False


def test_two_studies_do_not_write_into_one_folder(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(tmp_path / "out"):
        said = complaint([*inputs, "--out", str(tmp_path / "out")], capsys)
    assert said == f"fer-fast: another run is writing {str(tmp_path / 'out')!r}\n"
    assert not any((tmp_path / "out").iterdir())


def test_the_study_is_not_copied_to_each_row(
    inputs: list[str], copied: Path, monkeypatch: pytest.MonkeyPatch, grid: Path
) -> None:
    def copy(_: object) -> None:
        raise AssertionError("maps of many gigabytes would be sent to each process")

    (copied / "rows" / "mean-FM4.json").unlink()
    monkeypatch.setattr(CachedTaps, "__reduce__", copy)
    assert run(["tables", *inputs, "--jobs", "2", "--out", str(copied)]) == 0
    assert contents(copied) == contents(grid)


def test_wrong_studies(
    inputs: list[str], copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    trunk = draw_backbone(tmp_path / "trunk.safetensors", without="layer4.1")
    said = complaint([word if "backbone.safe" not in word else str(trunk) for word in inputs] + out, capsys)
    assert "backbone must hold a whole ResNet-18, as it stays frozen; layer4 is not whole" in said
    (tmp_path / "other.toml").write_text(RECIPE.replace("steps = 2", "steps = 3"))
    other = draw_backbone(tmp_path / "other.safetensors", seed=1)
    for old, new in (("recipe.toml", tmp_path / "other.toml"), ("backbone.safe", other)):
        changed = [str(new) if old in word else word for word in inputs]
        said = complaint([*changed, "--out", str(copied)], capsys)
        assert "out must be a new folder" in said
        assert "holds rows of another recipe, another backbone or other faces" in said
    given = dict(zip(inputs[::2], inputs[1::2], strict=True))
    data = Path(shutil.copytree(given["--data"], tmp_path / "data"))
    shutil.copy(data / "FER2013Test" / "test001.png", data / "FER2013Test" / "test002.png")
    assert "or other faces" in complaint([*inputs, "--data", str(data), "--out", str(copied)], capsys)
    (tmp_path / "other.toml").write_text(RECIPE.replace("steps = 2", "epochs = 2"))
    new = tmp_path / "new"
    changed = [str(tmp_path / "other.toml") if "recipe.toml" in word else word for word in inputs]
    assert "recipe must have one stage with steps, protocol paper6" in complaint([*changed, "--out", str(new)], capsys)
    assert not new.exists()
    classes = draw_classes(tmp_path / "classes", {"a": 4, "b": 4})
    assert "must hold the votes, fer2013new.csv" in complaint([*inputs, "--data", str(classes), *out], capsys)


# ----------------------------------------------------------------------------------------------- maps and numbers


def test_row_whose_loss_is_not_finite_has_no_score(
    inputs: list[str], copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest, calls = study_module._logits, []

    def logits(*given: Any) -> torch.Tensor:
        calls.append(honest(*given))
        return calls[-1] * float("nan") if len(calls) == 2 else calls[-1]

    monkeypatch.setattr(study_module, "_logits", logits)
    (copied / "rows" / "mean-FM4.json").unlink()
    assert run(["tables", *inputs, "--out", str(copied)]) == 0
    row = json.loads((copied / "rows" / "mean-FM4.json").read_text())
    assert row["steps"] == 1 and np.isfinite(row["loss"])
    assert row["train"] is row["test"] is row["test_leakage_free"] is None
    assert "FM4 (mean): diverged" in capsys.readouterr().out
    assert run(["tables", *inputs, "--out", str(copied), "--report", str(copied / "page.md")]) == 0
    assert "Diverged: the loss" in (copied / "page.md").read_text()


def test_maps_on_disk_are_the_models_taps(inputs: list[str], tmp_path: Path) -> None:
    given = dict(zip(inputs[::2], inputs[1::2], strict=True))
    faces = faces_of(load_split(Path(given["--data"]), "test", 0), "paper6", "labels")
    recipe = load_recipe(given["--recipe"])
    recipe.model["sources"] = SOURCES
    model = new_start(recipe, faces, read_backbone_weights([Path(given["--backbone"])])).model.eval()
    chosen = torch.tensor([11, 0, 5])
    with torch.no_grad():
        expected = model.sources(plain(faces.pixels[chosen], 32))
    found = CachedTaps(tmp_path / "taps", faces.pixels, model).sources(chosen, SOURCES)
    assert torch.equal(found[0], expected[0])
    for tap, exact in zip(found[1:], expected[1:], strict=True):
        assert tap.shape == exact.shape and tap.dtype == torch.float32
        assert (tap - exact).abs().mean() < 0.02 * exact.std(), "bf16"
    again = CachedTaps(tmp_path / "taps", faces.pixels[:9], model)  # other faces: computed again
    assert torch.equal(again.sources(chosen[1:], ("FM2",))[0], found[2][1:])
    with pytest.raises(IndexError):
        again.sources(chosen, ("FM2",))

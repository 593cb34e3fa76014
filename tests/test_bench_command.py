"""The command on a tiny model: what it reports, compares and refuses, and with which status it ends."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from tiny_models import faces, random_model, tiny_config

from fer_fast.bench import limits
from fer_fast.bench.cards import CARDS
from fer_fast.bench.lines import cells_of
from fer_fast.bench.report import SCHEMA, json_text, read_report
from fer_fast.bench.stages import tokens
from fer_fast.bench.suite import COMPUTED_PRECISIONS, DEVICES, ENGINES, STAGES
from fer_fast.cli import bench as command
from fer_fast.cli import run
from fer_fast.machine.devices import cuda_is_present
from fer_fast.models.files.storage import save_model

ROOT = Path(__file__).resolve().parent.parent
GOOD = 6


def ended(*arguments):
    """Runs the command in this process; gives its status, output and errors."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            status = run(["bench", *map(str, arguments)])
        except SystemExit as left:
            status = left.code
    return status, out.getvalue(), error.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, one of them broken, beside a model of the image alone, which is compiled fast; runs take a moment."""
    path = tmp_path_factory.mktemp("command")
    (path / "faces").mkdir()
    for number, pixels in enumerate(faces(GOOD, 48)):
        Image.fromarray(pixels).save(path / "faces" / f"{number}.png")
    (path / "faces" / "bad.jpg").write_text("no image")
    save_model(random_model(tiny_config(sources=("image",), image_size=32)), path / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_FAST_CACHE", str(path / "cache"))
        patch.setattr(command, "QUICK", (0.5, 0.002))
        for device in ("cpu", "cuda"):
            patch.setitem(limits.MATRIX, device, 64)
            patch.setitem(limits.COPY_BYTES, device, 2**16)
        patch.setattr(tokens, "COLD_BYTES", 2**20)
        yield path


@pytest.fixture(scope="module")
def options(folder):
    return ["--quick", "--images", folder / "faces", "--model", folder / "model.safetensors"]


@pytest.fixture(scope="module")
def ran(folder, options):
    """One real run: its report, and what it said."""
    out = folder / "report.json"
    status, text, error = ended(*options, "--stages", "decode,model", "--seed", 3, "--card", "t4", "--json", out)
    assert (status, error) == (0, "")
    return SimpleNamespace(report=read_report(out), text=text, path=out)


def test_the_report_says_what_was_measured_where(ran, folder):
    report = ran.report
    assert set(report) == {
        "schema", "environment", "model", "images", "with_faces", "images_left_out", "seconds", "chosen", "limits",
        "rows", "alternatives", "bottlenecks", "projections",
    }  # fmt: skip
    assert set(report["environment"]) == {
        "processor", "features", "in_use", "cores", "memory_gib", "gpus", "driver", "cuda", "system", "python",
        "versions", "commit", "dirty", "load_average", "load_average_after", "seed",
    }  # fmt: skip
    assert report["environment"]["cores"] >= 1 and report["environment"]["memory_gib"] > 0
    assert report["environment"]["versions"]["torch"] and report["environment"]["seed"] == 3
    assert [len(report["environment"][name]) for name in ("load_average", "load_average_after")] == [3, 3]
    assert report["schema"] == SCHEMA and (report["images"], report["images_left_out"]) == ({"faces": GOOD}, 1)
    assert report["model"]["name"] == str(folder / "model.safetensors") and report["model"]["image_size"] == 32


def test_every_row_was_checked_timed_and_shown(ran):
    rows = ran.report["rows"]
    assert {row["stage"] for row in rows} == {"limit", "decode", "model"}
    auto = [row for row in rows if row["note"].startswith("what auto chooses")]
    assert [[row["engine"], row["precision"]] for row in auto] == list(ran.report["chosen"].values())
    for row in rows:
        assert row["state"] == "ok" and row["milliseconds"]["p50"] > 0 and row["noise"] >= 0.05
        assert row["error"] is None or row["error"]["error"] <= row["error"]["tolerance"]
        assert len(row.get("images_per_second", row.get("calls_per_second"))["rounds"]) >= 3
        assert row["stage"] == "limit" or " ".join(cells_of(row)).split() in map(str.split, ran.text.splitlines())
    assert {pair["ours"]["stage"] for pair in ran.report["alternatives"]} == {"decode", "model"}
    assert len([limit for limit in ran.report["limits"] if limit["device"] == "cpu"]) == 4
    (projection,) = ran.report["projections"]
    assert projection["title"] == CARDS["t4"].title and {row["stage"] for row in projection["rows"]} == {"model"}
    assert "PROJECTION, not measured" in ran.text


@pytest.fixture
def replayed(ran, monkeypatch, tmp_path):
    """Compares what was measured, measured once more, with a doctored older self."""

    def replayed(change):
        old = copy.deepcopy(ran.report)
        for row in old["rows"]:
            row["noise"] = 0.05
            change(row)
        new = copy.deepcopy(ran.report)
        for row in new["rows"]:
            row["noise"] = 0.05
        (tmp_path / "old.json").write_text(json_text(old))
        monkeypatch.setattr("fer_fast.bench.run.run_benchmark", lambda *_: new)
        status, text, _ = ended("--compare", tmp_path / "old.json")
        return status, text.rpartition("COMPARED")[2].splitlines()[-1]

    return replayed


def faster(times):
    def change(row):
        if row["stage"] == "limit":  # what they do is put down to the machine
            return
        for rates in (row.get("images_per_second"), row.get("calls_per_second")):
            if rates:
                rates["median"] *= times

    return change


@pytest.mark.parametrize(
    ("times", "status", "said"),
    [(1, 0, "0 slower, 0 faster"), (100, 1, "{} slower, 0 faster"), (0.01, 0, "0 slower, {} faster")],
)
def test_only_a_regression_ends_with_one(ran, replayed, times, status, said):
    rows = sum(row["stage"] != "limit" for row in ran.report["rows"])
    found = replayed(faster(times))
    assert found[0] == status and found[1].startswith(f"{rows} rows: {said.format(rows)} beyond noise")


def test_a_second_run_is_compared_with_the_first(ran, options):
    _, text, error = ended(*options, "--stages", "decode", "--compare", ran.path)
    assert error == "" and "another" not in text.partition("COMPARED")[2]
    assert text.splitlines()[-1].startswith("2 rows: ") and "  gone    model: " in text


def test_a_wrong_answer_ends_with_one(monkeypatch, options, tmp_path):
    def shuffled(**given):
        return tokens.fused_tokens_reference(**given).roll(1, dims=1)

    monkeypatch.setattr("fer_fast.bench.stages.tokens.fused_tokens", shuffled)
    status, text, error = ended(*options, "--stages", "tokens", "--batch-sizes", "2,4", "--json", tmp_path / "out.json")
    rows = [row for row in read_report(tmp_path / "out.json")["rows"] if row["stage"] == "tokens"]
    assert (status, error) == (1, "") and {row["batch"] for row in rows} == {2, 4}
    for row in rows:
        wrong = row["form"] == "fused op"
        assert (row["state"] == "failed") is wrong and ("images_per_second" in row) is not wrong
    assert text.count("failed: tokens: fused op, native, fp32: largest difference") == 2


NAMES = {"--stages": STAGES, "--engines": ENGINES, "--precisions": COMPUTED_PRECISIONS, "--devices": DEVICES}
NAMES["--card"] = tuple(CARDS)


@pytest.fixture
def refused(monkeypatch):
    """Runs the command, which must end before it measures, with one line on standard error; gives that."""
    monkeypatch.setattr("fer_fast.bench.run.measure", lambda *_: pytest.fail("it was measured"))

    def refused(*arguments, status=2):
        found, out, error = ended(*arguments)
        assert (found, out, error.count("\n")) == (status, "", 1) and error.startswith("fer-fast: ")
        return error

    return refused


@pytest.mark.parametrize("option", NAMES)
def test_an_unknown_name_is_told_the_known_ones(refused, option):
    known = ", ".join(NAMES[option])
    assert f"must be one of {known}, not 'x'" in refused(option, f"{NAMES[option][0]},x")
    assert f"must be one of {known}, not ''" in refused(option, ",")


@pytest.mark.parametrize("sizes", ["0", "-1", "8,", "1.5", "all"])
def test_batch_sizes_are_whole_and_positive(sizes):
    status, out, error = ended(f"--batch-sizes={sizes}")
    assert (status, out) == (2, "")
    assert f"must be integers of 1 or more, with commas between them, not '{sizes}'" in error


@pytest.mark.skipif(cuda_is_present(), reason="there is a card")
def test_a_device_that_is_not_there(refused, options):
    assert "device 'cuda' is not there" in refused(*options, "--devices", "cuda", status=1)


def test_inputs_that_are_not_there(refused, options, folder, tmp_path):
    assert "no row of this choice" in refused(*options, "--stages", "vit", "--engines", "native")
    assert "must be a folder; there is no" in refused("--images", tmp_path / "none")
    assert "--images must be a folder with images" in refused("--images", tmp_path)
    (tmp_path / "bad").mkdir()
    shutil.copy(folder / "faces" / "bad.jpg", tmp_path / "bad")
    assert "none of its files can be decoded" in refused("--images", tmp_path / "bad")


def test_outputs_that_cannot_be_written(refused, tmp_path):
    for option in ("--json", "--html"):
        assert "the folder of the output" in refused(option, tmp_path / "none" / "out")
        assert "is a folder" in refused(option, tmp_path)
    both = refused("--json", tmp_path / "one", "--html", tmp_path / "one")
    assert "--json and --html must be two files" in both


def test_an_old_report_that_is_none(refused, tmp_path):
    assert "none.json' cannot be read" in refused("--compare", tmp_path / "none.json")
    (tmp_path / "old.json").write_text(json.dumps({"schema": "fer_fast.bench 0"}))
    assert f"must be a report of the schema '{SCHEMA}'" in refused("--compare", tmp_path / "old.json")
    empty = {"schema": SCHEMA, "environment": {}, "images": {}, "model": {}, "rows": []}
    (tmp_path / "old.json").write_text(json.dumps(empty))
    assert "old.json' is damaged: it lacks 'versions'" in refused("--compare", tmp_path / "old.json")


def test_a_model_that_is_not_there(refused, folder):
    assert "model must be a .safetensors file" in refused("--model", "none", "--images", folder / "faces")


def test_a_negative_seed():
    status, out, error = ended("--seed", "-1", "--stages", "decode")
    assert (status, out) == (2, "") and "seed" in error.splitlines()[-1]


def test_what_is_refused_leaves_no_file(refused, tmp_path):
    refused("--json", tmp_path / "out.json", "--images", tmp_path / "none")
    assert not (tmp_path / "out.json").exists()


def test_a_reader_that_goes_away_costs_no_report(ran, monkeypatch, tmp_path):
    def gone(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("fer_fast.bench.run.run_benchmark", lambda *_: ran.report)
    monkeypatch.setattr(command, "print_out", gone)
    monkeypatch.setattr("fer_fast.cli.command._drop", lambda _: None)  # standard output is the test's own
    assert ended("--json", tmp_path / "out.json")[0] == 128 + signal.SIGPIPE
    assert read_report(tmp_path / "out.json") == ran.report


def test_an_interrupt_says_so(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fer_fast.bench.run.run_benchmark", interrupted)
    assert ended() == (130, "", "fer-fast: interrupted; nothing was written\n")


def test_the_module_runs_as_a_command():
    def process(*arguments):
        return subprocess.run([sys.executable, "-m", "fer_fast.bench", *arguments], capture_output=True, text=True)

    helped, wrong = process("--help"), process("--engines", "x")
    assert helped.returncode == 0 and all(option in helped.stdout for option in ("--compare", "--json", *NAMES))
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


def test_pytest_benchmark_finds_its_suites():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", ROOT / "benchmarks"]
    # As from a shell: beside workers pytest-benchmark measures nothing, and says so.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    said = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False, timeout=600)
    assert said.returncode == 0, said.stdout
    assert {line.partition("::")[0] for line in said.stdout.splitlines() if "::" in line} == {
        f"benchmarks/test_{stage}.py" for stage in ("card", "decode", "folder", "model", "tokens")
    }

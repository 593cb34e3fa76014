"""Standard streams that are closed or full: each command works, or says so in one sentence before it works for long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_data import draw_classes

COMMAND = f"exec {sys.executable} -m fer_fast"
NOWHERE = "fer-fast: standard output is closed: there is nowhere to print to\n"
#: Commands that print, with options that are all right as far as they are looked at.
PRINTING = {
    "evaluate": "tiny data",
    "export": "tiny --format onnx",
    "bench": "--quick",
    "train": "tiny --data data --out run",
    "tables": "--data data --out run",
    "doctor": "",
}


def run(line: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", f"{COMMAND} {line}"]
    environment = {**os.environ, **settings}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    draw_classes(folder / "data", {"anger": 2, "fear": 2})
    return folder


@pytest.mark.parametrize("command", PRINTING)
def test_who_closes_standard_output_is_told_before_the_work(command: str, folder: Path) -> None:
    done = run(f"{command} {PRINTING[command]} >&-", folder)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", NOWHERE)
    assert sorted(path.name for path in folder.iterdir()) == ["data"]


def test_export_says_nothing_and_needs_nobody_when_it_is_quiet(folder: Path, tmp_path: Path) -> None:
    done = run(f"export tiny --format openvino -o {tmp_path}/tiny.xml --quiet >&- 2>&- <&-", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.xml", "tiny.bin"}


@pytest.mark.needs_torch
def test_a_figure_needs_none_of_the_three(folder: Path, tmp_path: Path) -> None:
    done = run(f"visualize data/fear/000.png --model tiny -o {tmp_path}/face.png >&- 2>&- <&-", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "face.png").is_file()


def test_a_full_disk_behind_standard_output_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    done = run(f"export tiny --format openvino -o {tmp_path}/tiny.xml >/dev/full", folder)
    assert done.returncode == 1
    assert done.stderr == "fer-fast: standard output cannot be written: No space left on device\n"


def test_a_file_of_results_is_there_though_they_cannot_be_printed(folder: Path, tmp_path: Path) -> None:
    done = run(f"evaluate tiny data --engine openvino --json {tmp_path}/scores.json >/dev/full", folder)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert (tmp_path / "scores.json").is_file()


@pytest.mark.parametrize("words", ["--help", "classify --help", "--version"])
def test_help_on_a_full_disk_is_no_traceback(words: str, folder: Path) -> None:
    done = run(f"{words} >/dev/full", folder, PYTHONUNBUFFERED="")  # else argparse itself ignores it
    assert done.returncode == 1
    assert done.stderr == "fer-fast: standard output cannot be written: No space left on device\n"

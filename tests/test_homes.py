"""Users without a home, as a container's that runs under a bare number: all works, without what would be kept there."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_data import RECIPE, draw_backbone, draw_classes

from fer_fast import EMOTIONS
from fer_fast.machine.extras import is_installed

#: `fer-fast` for a user of whom the system knows no name and no home.
NAMELESS = """
import pwd
def unknown(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = unknown
from fer_fast.cli import main
main()
"""
HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "FER_FAST_CACHE", "USER", "LOGNAME", "LNAME", "USERNAME")
CANNOT_KEEP = "compiled models cannot be kept, and must be made again at each start: "
COMMANDS = {
    "classify": "classify faces/test --model tiny -o out.csv",
    "visualize": "visualize faces/test/fear/000.png --model tiny -o out.png",
    "evaluate": "evaluate tiny faces --split test --engine openvino",
    "train": "train recipe.toml --data faces --backbone backbone.safetensors --out run",
}
TORCH = ("visualize", "train")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("homeless")
    for number, split in enumerate(("train", "valid", "test")):
        draw_classes(folder / "faces" / split, dict.fromkeys(EMOTIONS, 2), seed=number)
    (folder / "recipe.toml").write_text(RECIPE.replace("steps = 3", "steps = 1"))
    if is_installed("torch"):
        draw_backbone(folder / "backbone.safetensors")
    return folder


def run(words: str, place: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in HOMES} | settings
    program = [sys.executable, "-c", NAMELESS, *words.split()]
    return subprocess.run(program, cwd=place, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "command", ["classify", "evaluate", *(pytest.param(name, marks=pytest.mark.needs_torch) for name in TORCH)]
)
def test_a_command_works_without_a_home(command: str, place: Path) -> None:
    done = run(COMMANDS[command], place)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    warnings = [line for line in done.stderr.splitlines() if CANNOT_KEEP in line]
    assert len(warnings) == (command in ("classify", "evaluate")), done.stderr
    assert not (place / "~").exists()


def test_a_home_that_is_not_there_or_not_ones_own_costs_a_line(place: Path) -> None:
    (place / "file").write_text("no folder")
    for home, reason in (("/proc/1/nothing", "No such file or directory"), (str(place / "file"), "Not a directory")):
        done = run("classify faces/test --model tiny", place, HOME=home)
        assert done.returncode == 0 and len(list(csv.reader(done.stdout.splitlines()))) == 17
        (line,) = (line for line in done.stderr.splitlines() if "cannot be kept" in line)
        assert line == (
            f"fer-fast: compiled models in {home}/.cache/fer_fast cannot be kept, and must be made again at each "
            f"start: {reason}"
        )


@pytest.mark.parametrize(
    "words", [pytest.param("export tiny --format onnx", marks=pytest.mark.needs_torch), "export tiny --format openvino"]
)
def test_no_place_for_temporary_files_is_one_sentence(words: str, tmp_path: Path) -> None:
    program = (
        "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/gone']; from fer_fast.cli import main; main()"
    )
    command = [sys.executable, "-c", program, *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "No usable temporary directory" in done.stderr
    assert not list(tmp_path.iterdir())


def test_openvino_is_imported_without_its_telemetry(place: Path) -> None:
    program = (
        "import sys, fer_fast.engines.openvino_graph as graph\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')], graph.openvino.convert_model)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("[] <function ")


@pytest.mark.needs_torch
def test_what_is_downloaded_makes_no_folder_for_a_home_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from fer_fast.train.start import read_backbone_weights

    def download(url: str, path: str, prefix: str, progress: bool) -> None:
        torch.save({"conv1.weight": torch.ones(2)}, path)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    monkeypatch.setattr("torch.hub.get_dir", lambda: "~/.cache/torch/hub")
    weights = read_backbone_weights([])
    np.testing.assert_array_equal(weights["conv1.weight"], [1, 1])
    assert not list(tmp_path.iterdir()) and capsys.readouterr().out == ""

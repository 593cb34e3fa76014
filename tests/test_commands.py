"""Every command is one of `fer-fast`: its help is quick, its old name under `python -m` is the same command."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable

import pytest

from fer_fast.cli import doctor
from fer_fast.cli.command import COMMANDS, run

DOORS = {
    "fer_fast": "",
    "fer_fast.bench": "bench",
    "fer_fast.train": "train",
    "fer_fast.train.tables": "tables",
    "fer_fast.train.recalibrate": "recalibrate",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_does_not_wait_for_what_is_heavy(name: str) -> None:
    program = (
        "import sys; from fer_fast.cli.command import run\n"
        f"try: run([{name!r}, '--help'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: fer-fast {name} ") and COMMANDS[name][0].split()[0].title() in done.stdout
    assert not {"torch", "openvino", "matplotlib", "jinja2", "tqdm"} & set(done.stderr.split())


def test_only_the_chosen_commands_module_is_imported() -> None:
    program = (
        "import sys; from fer_fast.cli.command import _parser; _parser(['classify', 'train']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {name for name in COMMANDS if f"fer_fast.cli.{name}" in done.stdout.split()} == {"classify"}


@pytest.mark.parametrize("module", DOORS)
def test_python_m_is_the_same_command(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run([*filter(None, [DOORS[module]]), "--help"])
    door = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    assert (door.returncode, door.stderr) == (0, "")
    assert door.stdout.split() == capsys.readouterr().out.split()  # but for the width of the terminal


@pytest.mark.parametrize("module", ["fer_fast.train", "fer_fast.train.tables", "fer_fast.train.recalibrate"])
def test_wrong_options_are_two_under_python_m(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--nothing"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"usage: fer-fast {DOORS[module]} ")


@pytest.mark.needs_torch
def test_too_little_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of torch it is a RuntimeError, which else is a bug."""
    import torch

    for error in (
        MemoryError("Unable to allocate 9 TiB"),
        RuntimeError("[enforce fail]\nDefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
    ):
        monkeypatch.setattr(doctor, "run", _raising(error))
        assert run(["doctor"]) == 1
        assert capsys.readouterr().err == f"fer-fast: memory does not suffice: {' '.join(str(error).split())}\n"
    monkeypatch.setattr(doctor, "run", _raising(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(["doctor"])


def _raising(error: Exception) -> Callable[[argparse.Namespace], int]:
    def raising(arguments: argparse.Namespace) -> int:
        raise error

    return raising

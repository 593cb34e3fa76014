"""The command's first moments: what runs before it knows what to do with a signal, and what a signal does then."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fer_fast

#: Sends SIGINT to the process itself when a module is about to be imported, and starts the command.
PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.{before})
class Presses:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Presses())
sys.argv[1:] = ["classify", "nowhere"]
{start}
"""
STARTS = {
    "script": "from fer_fast.__main__ import main; main()",
    "module": "import runpy; runpy.run_module('fer_fast', run_name='__main__')",
    "train": "import runpy; sys.argv.pop(1); runpy.run_module('fer_fast.train', run_name='__main__')",
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("module", ["fer_fast.cli", "argparse", "fer_fast.types", "logging"])
def test_a_ctrl_c_during_the_imports_shows_no_traceback(start: str, module: str) -> None:
    program = PROGRAM.format(before="default_int_handler", module=module, start=STARTS[start])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    program = PROGRAM.format(before="SIG_IGN", module="argparse", start=STARTS["script"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "fer-fast: 'nowhere' does not exist\n")


def test_the_package_imports_nothing_by_itself() -> None:
    program = "import sys, __future__; before = {*sys.modules}; import fer_fast; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "fer_fast\n"


@pytest.mark.needs_torch
def test_all_that_the_package_offers_is_there() -> None:
    assert sorted(name for name in fer_fast.__all__ if getattr(fer_fast, name) is None) == []


def test_what_the_package_offers_is_what_its_modules_have() -> None:
    assert fer_fast.Status is fer_fast.types.Status and fer_fast.__version__ == fer_fast.version.__version__
    assert (Path(fer_fast.cmake_prefix_path)).parent == Path(fer_fast.__file__).parent
    with pytest.raises(AttributeError, match="module 'fer_fast' has no attribute 'Nothing'"):
        fer_fast.Nothing  # noqa: B018


def test_the_script_starts_there() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert 'fer-fast = "fer_fast.__main__:main"' in text

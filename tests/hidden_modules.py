"""A process in which modules are not installed, whatever the environment has: PYTHONPATH needs this folder."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

#: What the extras bring.
EXTRAS = (
    *("torch", "kornia", "onnx", "onnxscript", "nvidia", "ray", "tensorrt"),
    *("pyarrow", "matplotlib", "pillow_heif", "av"),
)


class _Hidden:
    """In the place of all finders: they are asked for the other modules and packages alone."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._finders = set(names), [*sys.meta_path]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self._names:
            return None
        found = (finder.find_spec(name, path, target) for finder in self._finders)
        return next((spec for spec in found if spec is not None), None)

    def find_distributions(self, *context: Any) -> Iterator[Any]:
        for finder in self._finders:
            for found in getattr(finder, "find_distributions", lambda *_: ())(*context):
                if found.metadata["Name"] not in self._names:
                    yield found


def hide(*names: str) -> None:
    """From now on they are not installed."""
    assert not {*names} & {*sys.modules}, "too late"
    sys.meta_path[:] = [_Hidden(names)]  # type: ignore[list-item]


def answers(lines: Iterable[str], *hidden: str, before: str = "", **options: Any) -> list[tuple[int, str, str]]:
    """Runs command lines of fer-fast, one after the other in one process where some modules are not installed.

    Args:
        lines: for example "classify faces -o out.csv"; a line that begins with "import " is run by Python.
        hidden: modules.
        before: Python that runs first.
        options: of `subprocess.run`.

    Returns:
        Of each line its exit status, output and errors. What is no error of the command's is status 99 and its text.
    """
    here = Path(__file__).parent
    paths = [str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **options.pop("env", {})}
    program = f"import hidden_modules, sys; hidden_modules.hide(*{hidden!r})\n{before}\nhidden_modules.answer_all()"
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps([*lines]), capture_output=True, text=True, timeout=300,
        env=environment, **options
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [tuple(each) for each in json.loads(done.stdout.splitlines()[-1])]


def answer_all() -> None:
    """Reads command lines from standard input, and writes what became of them to standard output."""
    print(json.dumps([_answer(line) for line in json.load(sys.stdin)]))


def _answer(line: str) -> tuple[int, str, str]:
    from fer_fast.cli import run

    out, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()  # a table goes to the buffer
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            status = exec(line, {}) or 0 if line.startswith("import ") else run(line.split())
        except SystemExit as ended:
            status = ended.code
        except Exception as error:
            return 99, "", f"{type(error).__name__}: {error}"
    out.flush()
    return status, out.buffer.getvalue().decode(), errors.getvalue()  # type: ignore[attr-defined]

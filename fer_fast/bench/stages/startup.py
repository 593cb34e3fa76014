"""Processes from start to end, or to their first row."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fer_fast.bench.case import Case, Key, Prepared
from fer_fast.bench.material import Material
from fer_fast.types import FerFastError

#: Seconds after which a process counts as stuck.
PATIENCE = 60
COMMAND = [sys.executable, "-m", "fer_fast"]


def cases(material: Material) -> Iterator[Case]:
    """From Python alone to the first row with nothing compiled."""

    def case(form: str, call: partial[None], rounds: int | None = None, quick: bool = True) -> Case:
        key = Key("startup", form, "process", "cpu", "", 0)
        return Case(key, lambda: Prepared(call, calls=1), 0, quick=quick, rounds=rounds)

    folder = next(iter(material.folders.values()))[0].parent
    classify = [*COMMAND, "classify", str(folder), "--model", str(material.model)]
    yield case("python alone", partial(ends, [sys.executable, "-c", "pass"]))
    yield case("import fer_fast", partial(ends, [sys.executable, "-c", "import fer_fast"]))
    yield case("fer-fast --help", partial(ends, [*COMMAND, "--help"]))
    yield case("first row", partial(first_row, classify))
    yield case("first row, model not compiled yet", partial(_cold, classify, material.work / "cold"), 2, quick=False)


def ends(command: list[str]) -> None:
    """Runs a command to its end.

    Raises:
        FerFastError: if it fails.
    """
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    if done.returncode:
        raise FerFastError(f"{' '.join(command[1:4])} ended with status {done.returncode}: {done.stderr[-200:]}")


def first_row(command: list[str], cache: Path | None = None) -> None:
    """Runs a command until it has written a row below its header; None is the cache that this process uses, too."""
    environment = os.environ | ({"FER_FAST_CACHE": str(cache)} if cache else {})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        patience = threading.Timer(PATIENCE, process.kill)  # then there is no second line
        patience.start()
        lines = [process.stdout.readline() for _ in range(2)]
        patience.cancel()
        process.kill()
    if not lines[1]:
        raise FerFastError(f"{' '.join(command[1:4])} wrote no row")


def _cold(command: list[str], cache: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    first_row(command, cache)

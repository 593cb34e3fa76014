"""The pages' tables of what an install weighs and how soon it answers."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    "versions": {"torch": "2.13.0", "openvino": "2026.4.1-22982"},
    "features": ["avx2", "avx512_vnni"],
    "cores": 2,
    "processor": "processor",
    "commit": "0123456789abcdef",
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`pages.install`, whose result lies in `tmp_path`."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    found = importlib.import_module("pages.install")
    monkeypatch.setattr(sys.modules["pages.shared"], "RESULTS", tmp_path)
    return found


def write(folder: Path, load: float = 1.0) -> None:
    def start(name: str, cache: str, *seconds: float, **more: float) -> dict[str, Any]:
        return {"start": name, "cache": cache, "median": seconds[1], "seconds": seconds, **more}

    rows = [
        start("a face", "warm", 0.25, 0.3, 0.35),
        start("a face", "cold", 0.75, 0.8, 0.85),
        start("Classifier.predict of a face", "warm", 0.2, 0.3, 0.4, resident_mib=123.4, peak_mib=150.0),
    ]
    packages = {name: {"version": "1", "megabytes": size} for name, size in zip("abcd", (5, 70, 160, 20), strict=True)}
    each = {"megabytes": 290.6, "pip_megabytes": 17.2, "packages": packages, "load_average": [load, 1, 1], "rows": rows}
    record = {"environment": ENVIRONMENT, "installs": {"none": each, "parquet": each | {"megabytes": 1420.0}}}
    (folder / "install.json").write_text(json.dumps(record))


def test_what_installs_weigh(install: ModuleType, tmp_path: Path) -> None:
    write(tmp_path)
    lines = install.install().splitlines()
    assert lines[2].startswith(
        "| `fer-fast`: classify, evaluate, export to OpenVINO, doctor | 291 | c 160, b 70, d 20 | 0.30 | 0.80 | 123 |"
    )
    assert lines[3].startswith("| `fer-fast[parquet]`: tables in parquet | 1,420 |")
    assert lines[-1].startswith(
        "On disk, without the 17 MB of an empty environment. Measured on 2 cores of an processor"
    )
    assert lines[-1].endswith("commit 012345678.")


def test_a_sentence_says_what_the_package_weighs(install: ModuleType, tmp_path: Path) -> None:
    write(tmp_path)
    assert install.weight().startswith("That is 291 MB with all that it asks for (c 160, b 70, d 20), without torch")


def test_every_start_has_its_spread(install: ModuleType, tmp_path: Path) -> None:
    write(tmp_path)
    lines = install.starts().splitlines()
    assert lines[2:4] == ["| a face | 300 | 250 | 350 |", "| a face, nothing compiled yet | 800 | 750 | 850 |"]


def test_a_machine_that_did_other_work_is_told(install: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, load=9.0)
    for made in (install.install(), install.starts()):
        assert made.endswith(" The machine did other work meanwhile (load 9): the times are too long.")

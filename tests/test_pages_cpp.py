"""The tables of docs/cpp.md that are measured for long: calls by threads, and an hour's opening and closing."""

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
    **{"versions": {"torch": "2.13.0", "openvino": "2026.4.1-22982"}, "features": ["avx512_vnni"], "cores": 2},
    **{"processor": "processor", "commit": "0123456789abcdef"},
    **{"load_average": [0.5, 1, 1], "load_average_after": [1.0, 1, 1]},
}


@pytest.fixture
def cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`pages.cpp`, whose results lie in `tmp_path`."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    found = importlib.import_module("pages.cpp")
    for name in ("pages.shared", "pages.cpp"):
        monkeypatch.setattr(sys.modules[name], "RESULTS", tmp_path)
    return found


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/soak.py`."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("soak")


def test_what_was_not_measured_says_so(cpp: ModuleType) -> None:
    for name in ("threads", "soak"):
        assert cpp.TABLES[name]() == f"Not measured yet; `python benchmarks/{name}.py` does it."


def test_ratios_are_medians_of_the_rounds_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    rounds = [
        {"ours": {"rate": ours}, "bare": {"rate": bare}} for ours, bare in ((10.0, 10.0), (30.0, 60.0), (80.0, 20.0))
    ]
    found = importlib.import_module("programs").medians(rounds, "bare")
    assert found == {"ours": {"rate": 30.0, "over_bare": 1.0}, "bare": {"rate": 20.0, "over_bare": 1.0}}


def test_calls_by_threads(cpp: ModuleType, tmp_path: Path) -> None:
    way = {"rate": 1234.5, "over_bare": 0.99, "p50_ms": 8.1, "p95_ms": 9.25, "p99_ms": 10.0}
    rows = [{"precision": "fp32", "threads": {"1": {"fer_fast": way}, "3": {"bare": way, "python": way}}}]
    (tmp_path / "threads.json").write_text(json.dumps({"environment": ENVIRONMENT, "model": "fast", "rows": rows}))
    lines = cpp.threads().splitlines()
    assert lines[2] == "| fp32, threads: 1, C++ | 1,234 | 0.99 x | 8.10 | 9.25 | 10.00 |"
    assert lines[4].startswith("| fp32, threads: 3, Python `predict` | ") and "Model `fast`" in lines[-1]


def rounds(**last: int) -> list[tuple[float, int, int, int]]:
    """Sixteen of them, a minute each: of KiB more in the first, and in the last four as is said."""
    held = {"kib": 204_800, "files": 6, "threads": 10}
    each = [held | {"kib": 102_400}] * 4 + [held] * 8 + [held | last] * 4
    return [(60.0 * (at + 1), *one.values()) for at, one in enumerate(each)]


def test_a_soak_by_quarters(cpp: ModuleType, soak: ModuleType, tmp_path: Path) -> None:
    found = soak.quarters(rounds())
    about = {"rounds": 16, "minutes": 16.0, "models": 257, "callers": 8, "model": "tiny", "environment": ENVIRONMENT}
    (tmp_path / "soak.json").write_text(json.dumps({"quarters": found, **about}))
    lines = cpp.soak().splitlines()
    assert lines[2] == "| 0 to 4 minutes | 100 | 100 | 100 | 6 | 10 |"
    assert lines[5] == "| 12 to 16 minutes | 200 | 200 | 200 | 6 | 10 |" and "257 models in all" in lines[-1]


@pytest.mark.parametrize(
    ("last", "more"),
    [
        ({}, []),
        ({"threads": 18}, []),  # those that were joined may still be listed
        ({"threads": 19}, ["threads"]),
        ({"files": 7}, ["files"]),
        ({"kib": 204_801}, ["memory"]),
        ({"kib": 100_000}, []),
    ],
)
def test_what_grew_is_told(soak: ModuleType, last: dict[str, Any], more: list[str]) -> None:
    assert soak.grew(soak.quarters(rounds(**last)), callers=8) == more

"""The tables of many machines: what was measured, and the arithmetic on it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **{"features": ["avx512_vnni"], "cores": 2, "processor": "processor", "commit": "0123456789abcdef"},
    **{"versions": {"torch": "2.13.0", "openvino": "2026.4.1"}},
}


@pytest.fixture
def scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    pages = importlib.import_module("pages.scale")
    for module in (pages, sys.modules["pages.shared"]):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return pages


def test_nothing_is_said_of_what_is_not_measured(scale: ModuleType) -> None:
    for make, name in ((scale.workers, "ray_workers"), (scale.web, "remote"), (scale.paper, "ray_workers")):
        assert make() == f"Not measured yet; `python benchmarks/{name}.py` does it."


def test_the_best_of_rounds_and_what_follows_of_it(scale: ModuleType, tmp_path: Path) -> None:
    ways = {
        "one process": {"whole": [800.0, 1000.0], "run": [900.0, 1000.0], "own": [40.0, 41.0], "mib": [0.0, 0.0]},
        "2 of Ray's workers": {
            "whole": [500.0, 400.0],
            "run": [800.0, 700.0],
            "own": [4.0, 5.0],
            "mib": [340.0, 330.0],
        },
        "the tutorial's script": {"whole": [100.0], "run": [], "own": [1.0], "mib": [600.0]},
    }
    ray = {"environment": ENVIRONMENT, "count": 20000, "bytes": 2000, "model": "fast", "ways": ways}
    rates = {"disk": [400.0, 500.0], "web, 30 ms": [450.0, 300.0]}
    driver = {"names": [200_000, 300_000], "merge csv": [1], "merge parquet": [50_000, 40_000]}
    remote = {"environment": ENVIRONMENT, "count": 5000, "model": "fast", "images_per_second": rates}
    for name, record in {"ray": ray, "remote": remote, "driver": {"per_second": driver}}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    workers = scale.workers().splitlines()
    assert workers[2:5] == [
        "| one process | 1000 | 1.00 | 0.0 | 40.0 |  |",
        "| 2 of Ray's workers | 500 | 0.50 | 15.0 | 4.0 | 340 |",
        "| the tutorial's script | 100 | 0.10 |  | 1.0 | 600 |",
    ]
    assert scale.web().splitlines()[2:4] == ["| disk | 500 | 1.00 |", "| web, 30 ms | 450 | 0.90 |"]
    paper = scale.paper().splitlines()
    assert paper[2].split(" | ")[:2] == ["| 10^6", "17 min + 3 s + 20 s"]
    assert paper[4].split(" | ")[-1] == "2.8 h + 9.3 h + 2.3 d |"
    assert paper[-4:-1] == [
        "- Ray's driver hands out and writes 5,000 images/s, as 5 machines make.",
        "- Looking through all names takes longer than a shard's work from 300 machines on.",
        "- A merge takes longer than the shards' work from 50 machines on.",
    ]

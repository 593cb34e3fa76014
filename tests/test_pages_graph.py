"""The page's table of laid, traced and read graphs."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("load", [1.0, 9.0])
def test_a_row_a_model_and_precision(load: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    graph = importlib.import_module("pages.graph").graph
    monkeypatch.setattr(sys.modules["pages.shared"], "RESULTS", tmp_path)
    environment = {
        "versions": {"torch": "2.13.0", "openvino": "2026.4.1"},
        **{"features": ["avx512_vnni"], "cores": 2, "processor": "processor", "commit": "0123456789abcdef"},
        **{"load_average": [0.5, 1, 1], "load_average_after": [load, 1, 1]},
    }
    shipped = {
        "megabytes": 13.84,
        "seconds": {"laid": 0.2, "read": 0.03},
        "seconds_to_first_answer": {"laid": 0.5, "read": 0.4},
    }
    rates = {"laid": 1234.5, "traced": 1200.0}
    row = {"model": "fast", "precision": "int8", "images_per_second": rates, "largest_difference": 0.0123}
    (tmp_path / "graph.json").write_text(json.dumps({"environment": environment, "rows": [row | {"shipped": shipped}]}))
    lines = graph().splitlines()
    assert lines[2] == "| fast, int8 | 1,234 | 1,200 | 1e-02 | 200 | 30 | 500 | 400 | 13.8 |"
    assert lines[-1].startswith("Measured on 2 cores of an processor (avx512_vnni; no GPU)")
    assert lines[-1].endswith("(load 9): the times are too long.") is (load == 9.0)

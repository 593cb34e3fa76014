"""The tables of the study's models: a row a model beside its paper's, and what share of each class is found."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")


def test_a_row_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    study = importlib.import_module("pages.study")
    monkeypatch.setattr(sys.modules["pages.shared"], "RESULTS", tmp_path)
    recalls = {name: {"recall": 0.1 * place} for place, name in enumerate(CLASSES)}
    full = {"accuracy": 0.75, "interval": [0.7, 0.8], "macro_f1": 0.6, "ece": 0.012, "classes": recalls}
    six = {**full, "accuracy": 0.77, "interval": [0.72, 0.82]}
    scores = {"paper7": {"full": full, "leakage_free": full}, "paper6": {"full": six, "leakage_free": six}}
    run = {"engine": "openvino", "precision": "int8", "scores": scores}
    report = {"chosen": {"engine": "openvino", "precision": "int8"}, "runs": [run]}
    environment = {
        "versions": {"torch": "2.13.0", "openvino": "2026.4.1"},
        **{"features": ["avx512_vnni"], "cores": 2, "processor": "processor", "commit": "0123456789abcdef"},
        **{"load_average": [0.5, 1, 1], "load_average_after": [9.0, 1, 1]},
    }
    speed = {precision: {"cnn-deep": {"ratio": ratio}} for precision, ratio in (("fp32", 4.04), ("auto", 2.96))}
    models = {"cnn-deep": {"weights": 560183, "bytes": 1134567, "test": report}}
    record = {"environment": environment, "beside": "tiny", "models": models, "speed": speed}
    (tmp_path / "study.json").write_text(json.dumps(record))
    lines = study.study().splitlines()
    same = "75.00 (70.0-80.0)"
    assert (
        lines[2]
        == f"| `cnn-deep` | {same} | {same} | 77.00 (72.0-82.0) | 60.00 | 0.012 | 64.0 | 560,183 | 1.13 | 4 | 3 |"
    )
    assert lines[-1].endswith("(load 9): the times are too long.")
    each = study.classes().splitlines()
    assert each[0] == f"| found, % | {' | '.join(CLASSES)} |"
    assert each[2] == "| `cnn-deep` | 0.0 | 10.0 | 20.0 | 30.0 | 40.0 | 50.0 | 60.0 |"
    assert each[3] == "| the paper's | 51.5 | 80.5 | 62.5 | 63.0 | 53.0 | 70.0 | 46.0 |"

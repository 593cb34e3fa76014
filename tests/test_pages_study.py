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
    full = {"images": 1400, "accuracy": 0.75, "interval": [0.7, 0.8], "macro_f1": 0.6, "ece": 0.012, "classes": recalls}
    full["confusion"] = [[20 * place, *[0] * 5, 200 - 20 * place] for place in range(7)]
    six = {**full, "accuracy": 0.77, "interval": [0.72, 0.82]}
    scores = {"paper7": {"full": full, "leakage_free": full}, "paper6": {"full": six, "leakage_free": six}}
    run = {"engine": "openvino", "precision": "int8", "scores": scores}
    report = {"chosen": {"engine": "openvino", "precision": "int8"}, "runs": [run]}
    environment = {
        "versions": {"torch": "2.13.0", "openvino": "2026.4.1"},
        **{"features": ["avx512_vnni"], "cores": 2, "processor": "processor", "commit": "0123456789abcdef"},
        **{"load_average": [0.5, 1, 1], "load_average_after": [9.0, 1, 1]},
    }
    names = ("cnn-deep", "cnn-deep-hog")
    speed = {
        precision: {name: {"ratio": ratio} for name in names} for precision, ratio in (("fp32", 4.04), ("auto", 2.96))
    }
    models = {name: {"weights": 560183, "bytes": 1134567, "test": report} for name in names}
    record = {"environment": environment, "beside": "tiny", "models": models, "speed": speed}
    (tmp_path / "study.json").write_text(json.dumps(record))
    (tmp_path / "training").mkdir()
    for name in ("cnn_deep", "cnn_deep_hog"):
        (tmp_path / "training" / f"{name}.csv").write_text("step,valid_accuracy\n1,0.5\n2,\n3,0.71\n4,0.7\n")
    lines = study.study().splitlines()
    same = "75.00 (70.0-80.0)"
    assert (
        lines[2]
        == f"| `cnn-deep` | {same} | {same} | 77.00 (72.0-82.0) | 60.00 | 0.012 | 64 | 560,183 | 1.13 | 4 | 3 |"
    )
    assert lines[-1].endswith("(load 9): the times are too long.")
    assert lines[3].startswith("| `cnn-deep-hog` |") and "| as without | 560,183 |" in lines[3]
    first, hybrid = study.accuracies().splitlines()[2:]
    assert first == f"| `cnn-deep` | 71.00 | 65 | {same} | 64 | {same} | 60.00 | 1,400 |"
    assert hybrid == f"| `cnn-deep-hog` | 71.00 | as without | {same} | as without | {same} | 60.00 | 1,400 |"
    each = study.classes().splitlines()
    assert each[0] == f"| found, % | {' | '.join(CLASSES)} |"
    assert each[2] == "| `cnn-deep` | 0.0 | 10.0 | 20.0 | 30.0 | 40.0 | 50.0 | 60.0 |"
    assert each[3] == "| the paper's | 51.5 | 80.5 | 62.5 | 63.0 | 53.0 | 70.0 | 46.0 |"
    assert each[4].startswith("| `cnn-deep-hog` | 0.0 |") and len(each) == 5
    taken = study.confusion().splitlines()
    assert taken[0] == f"| `cnn-deep`: is / taken for, % | {' | '.join(CLASSES)} | faces |"
    assert taken[3] == "| happiness | 10 | 0 | 0 | 0 | 0 | 0 | 90 | 200 |"
    (tmp_path / "study.json").write_text(json.dumps({**record, "speed": {}}))
    lines = study.study().splitlines()
    assert lines[2].endswith("| 64 | 560,183 | 1.13 |")
    assert lines[-1].endswith("Speed: Not measured yet; `python benchmarks/study.py --data FERPLUS` does it.")

"""The table of handcrafted features: a row a way, over the seeds, and what each gained."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
from drawn_data import draw_ferplus
from measured_on import MACHINE, page_of

from fer_fast.machine.extras import is_installed

ROOT = Path(__file__).parents[1]


def test_a_row_a_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of("feature_loss", tmp_path, monkeypatch)
    assert page.feature_loss().startswith("Not measured yet; `python benchmarks/feature_loss.py cnn-deep")
    scores = {"none": (0.70, 0.72), "fixed": (0.71, 0.70), "adaptive": (0.73,)}
    runs = [
        {"way": way, "seed": seed, "test_accuracy": score, "test_images": 3573}
        for way, each in scores.items()
        for seed, score in enumerate(each, 1)
    ]
    runs[-1]["weights"] = {"hog": 1.25, "lbp": 0.8}
    about = {"features": ["hog", "lbp"], "layer": "map 2", "weight": 0.5, "feature_epochs": 2.0, "epochs": 6}
    entry = {"environment": MACHINE, **about, "training_images": 28221, "protocol": "paper7", "runs": runs}
    (tmp_path / "feature_loss.json").write_text(json.dumps({"cnn-deep": entry}))
    text = page.feature_loss()
    assert "hog, lbp at `map 2`, weight 0.5 falling to 0 over 2 epochs" in text and "28,221 images" in text
    assert "| no features | 2 | 71.00 | 1.41 | 70.00, 72.00 |  |  |" in text
    assert "| fixed | 2 | 70.50 | 0.71 | 71.00, 70.00 | +1.00, -2.00 |  |" in text
    assert "| adaptive | 1 | 73.00 |  | 73.00 | +3.00 | hog 1.25, lbp 0.80 |" in text


@pytest.mark.needs_torch
@pytest.mark.skipif(not is_installed("skimage"), reason="scikit-image is not installed")
def test_each_seed_is_trained_in_each_way_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    study, page = importlib.import_module("feature_loss"), importlib.import_module("pages.feature_loss")
    data = draw_ferplus(tmp_path / "data", {"train": 150, "valid": 10, "test": 20})
    out = tmp_path / "feature_loss.json"
    options = ["cnn-shallow", "--layer", "map 1", "--epochs", "1", "--every", "2", "--data", str(data)]
    options += ["--runs", str(tmp_path / "runs"), "--out", str(out)]
    study.main([*options, "--seeds", "1"])
    entry = json.loads(out.read_text())["cnn-shallow"]
    assert [(run["way"], run["seed"]) for run in entry["runs"]] == [("none", 1), ("fixed", 1), ("adaptive", 1)]
    assert all(len(run["valid_accuracy"]) == 1 and 0 <= run["test_accuracy"] <= 1 for run in entry["runs"])
    assert [{*run.get("weights", ())} for run in entry["runs"]] == [set(), set(), {"hog", "lbp", "gabor"}]
    monkeypatch.setattr(study, "trained", lambda recipe, *_: {"test_accuracy": 0.5, "test_images": recipe.seed})
    study.main([*options, "--seeds", "1", "2"])
    more = json.loads(out.read_text())["cnn-shallow"]["runs"]
    assert more[:3] == entry["runs"] and [run["test_images"] for run in more[3:]] == [2, 2, 2]
    for module in ("pages.shared", "pages.feature_loss"):
        monkeypatch.setattr(sys.modules[module], "RESULTS", tmp_path)
    assert page.feature_loss().count("| fixed | 2 |") == 1

"""The tables of the Inception study: a row an experiment, and the paper's order, held or not by intervals."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_rows_and_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    page = importlib.import_module("pages.inception")
    monkeypatch.setattr(sys.modules["pages.shared"], "RESULTS", tmp_path)
    models = {}
    for name, share in zip(page.EXPERIMENTS, (0.5, 0.6, 0.61, 0.55), strict=True):
        scores = {"images": 3000, "accuracy": share, "interval": [share - 0.02, share + 0.02], "macro_f1": 0.3}
        models[name] = {
            **{
                "agreeing": 90 + int(10 * share),
                "compared": 96,
                "weights": 21802000,
                "learnt": 16392,
                "validation": {"accuracy": 0.512, "steps": 500},
            },
            "scores": {"full": scores, "leakage_free": scores},
        }
    environment = {
        "versions": {"torch": "2.13.0", "openvino": "2026.4.1"},
        **{"features": ["avx512_vnni"], "cores": 2, "processor": "processor", "commit": "0123456789abcdef"},
    }
    names = [*page.EXPERIMENTS]
    alone = {(0, 1): [200, 500], (1, 2): [100, 130], (1, 3): [270, 120]}
    pairs = [{"models": [names[one], names[other]], "alone": counts} for (one, other), counts in alone.items()]
    record = {"environment": environment, "training_images": 11875, "models": models, "pairs": pairs}
    (tmp_path / "inception.json").write_text(json.dumps(record))
    (tmp_path / "training").mkdir()
    for name in page.EXPERIMENTS:
        for ending, best in (("", 0.51), ("_2", 0.53)):
            log = tmp_path / "training" / f"{name.replace('-', '_')}{ending}.csv"
            log.write_text(f"step,valid_accuracy\n1,0.5\n2,\n3,{best}\n4,0.4\n")
    log.unlink()
    assert page.seeds().splitlines()[4:6] == [
        "| (3) fused, by the sum | 51.00 | 53.00 |",
        "| (3) fused, by the maximum | 51.00 | not run |",
    ]
    lines = page.scores().splitlines()
    assert lines[2] == (
        "| (1) deepest: `inception-deepest` | 51.20 | 50.00 (48.0-52.0) | 47.7 | 50.00 (48.0-52.0) | 30.00 | 16,392 "
        "| 21,802,000 |"
    )
    assert len(lines) == 8 and "11,875 training images, 3,000 of the test split, 500 steps of 100" in lines[-1]
    assert "of the first 96 images OpenVINO in fp32 gives the same answer to 95 or more" in lines[-1]
    assert page.STAND_IN in lines[-1]
    order = page.order().splitlines()
    # 300 of 3,000 are 10 points; 700 discordant, less 300^2 / 3,000: the root of 670 is 25.88, 1.96 of it 1.69 points.
    assert order[2] == "| (1) deepest < (2) sub-deep | +11.7 | +10.00 (+8.31 to +11.69) | yes |"
    assert order[3] == "| (2) sub-deep < (3) fused, by the sum | +4.2 | +1.00 (+0.01 to +1.99) | yes |"
    assert order[4].endswith("| -5.00 (-6.28 to -3.72) | no, the other way |")
    assert page._step(100, 120, 3000)[1] == "not told apart"
    assert len(order) == 7 and page.STAND_IN in order[-1]

"""The table of rows with the paper's steps: beside the paper's and the same rows with fewer, and their distance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from measured_on import MACHINE, page_of


def test_a_row_a_row_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of("reproduction", tmp_path, monkeypatch)
    assert page.steps().startswith("Not measured yet; ")

    def record(recipe: str, tests: list[float]) -> dict[str, Any]:
        rows = [
            {"reading": reading, "sources": [name], "train": 0.8, "test": test, "test_leakage_free": 0.5, "seconds": 90}
            for (reading, name), test in zip(
                [("channels", "image"), ("mean", "FM2"), ("mean", "FM4"), ("channels", "FM4")], tests, strict=True
            )
        ]
        return {"environment": MACHINE, "recipe": recipe, "rows": rows}

    (tmp_path / "reproduction.json").write_text(json.dumps(record("paper-scaled", [0.5, 0.4, 0.6, 0.9])))
    long = record("paper-steps", [0.70, 0.72, 0.42, 0.9])
    long["rows"].pop()
    (tmp_path / "reproduction_steps.json").write_text(json.dumps(long))
    lines = page.steps().splitlines()
    assert lines[0] == (
        "| sources, (a) | paper train | paper test | 2,000 steps: train | test | 10,000 steps: train | test | fresh |"
    )
    assert lines[2] == "| image | 91.32 | 74.68 | 80.00 | 50.00 | 80.00 | 70.00 | 50.00 |"
    assert lines[4] == "| FM4 | 66.56 | 42.56 | 80.00 | 60.00 | 80.00 | 42.00 | 50.00 |", "the same reading's"
    assert lines[6:8] == [
        "- 2,000 steps: mean distance to the paper 25.88 points, rank correlation (Spearman) -1.000.",
        "- 10,000 steps: mean distance to the paper 2.92 points, rank correlation (Spearman) 1.000.",
    ]
    assert lines[9].startswith("Trained in 4 minutes of one core on 2 cores of")

"""Accuracy against speed: scores and times go into one JSON, at once or one after the other, and onto the page."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from drawn_data import draw_ferplus
from measured_on import MACHINE, page_of


@pytest.mark.needs_torch
def test_scores_first_and_times_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of("frontier", tmp_path, monkeypatch)
    frontier = importlib.import_module("frontier")
    data = draw_ferplus(tmp_path / "data", {"train": 8, "valid": 40, "test": 8})
    out, picture = tmp_path / "frontier.json", tmp_path / "frontier.png"
    options = ["tiny", "fast", "--data", str(data), "--out", str(out), "--picture", str(picture), "--rounds", "3"]
    frontier.main([*options, "--scores-only"])
    models = json.loads(out.read_text())["models"]
    assert {name: (each["image_size"], each["views"]) for name, each in models.items()} == {
        "tiny": (64, 1),
        "fast": (112, 1),
    }
    assert all(
        0 <= each[kind] <= 1 and 0 < each["images"] <= 40 for each in models.values() for kind in ("clean", "hard")
    )
    assert not picture.exists()
    frontier.main([*options, "--speed-only"])
    record = json.loads(out.read_text())
    assert record["models"] == models and record["speed"]["tiny"]["ratio"] == 1
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = page.frontier().splitlines()
    fastest = max(models, key=lambda name: record["speed"][name]["ratio"])
    assert len(lines) == 6 and lines[2].startswith(f"| `{fastest}` | ")
    clean, hard = (f"{100 * models['tiny'][kind]:.2f}" for kind in ("clean", "hard"))
    precision = record["speed"]["tiny"]["precision"]
    assert f"| `tiny` | 64 px | 1 | {clean} | {hard} | {precision} | 1.00 |" in lines


def test_page_has_the_fastest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of("frontier", tmp_path, monkeypatch)
    assert page.frontier().startswith("Not measured yet; ")
    score = {"image_size": 112, "views": 4, "clean": 0.857448, "hard": 0.781441, "images": 3276}
    speed = {name: {"precision": "int8", "ratio": ratio} for name, ratio in (("accurate", 0.08), ("tiny", 1.0))}
    models = {"accurate": score, "tiny": score | {"views": 1}}
    record = {"environment": MACHINE, "beside": "tiny", "models": models, "speed": speed}
    (tmp_path / "frontier.json").write_text(json.dumps(record))
    assert page.frontier().splitlines()[2:4] == [
        "| `tiny` | 112 px | 1 | 85.74 | 78.14 | int8 | 1.00 |",
        "| `accurate` | 112 px | 4 | 85.74 | 78.14 | int8 | 0.08 |",
    ]

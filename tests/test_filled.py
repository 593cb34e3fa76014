"""Photos that a face fills, as a benchmark: shares of each side go into a JSON and onto the page."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from drawn_data import draw_ferplus
from filled_photo import filled_photo
from measured_on import MACHINE, page_of
from PIL import Image


@pytest.mark.needs_torch
def test_a_row_a_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of("filled", tmp_path, monkeypatch)
    filled = importlib.import_module("filled")
    monkeypatch.setattr(filled, "SIDES", (48, 128))
    monkeypatch.setattr(filled, "EVERY", 2)
    data = draw_ferplus(tmp_path / "data", {"train": 34, "valid": 12})
    for number, file in enumerate(sorted((data / "FER2013Valid").iterdir())):
        image = Image.fromarray(filled_photo(48, 48)).convert("L")
        Image.fromarray(np.roll(np.asarray(image), number % 3, axis=1)).save(file)
    filled.main(["--data", str(data), "--model", "tiny", "--out", str(tmp_path / "filled.json")])
    record = json.loads((tmp_path / "filled.json").read_text())
    assert record["photos"] > 1 and [row["side"] for row in record["sides"]] == [48, 128]
    assert all(row["found"] >= max(row["found_once"], row["right"]) for row in record["sides"])
    assert record["sides"][1]["found"] == record["sides"][1]["found_once"], "of 128 pixels both are one look"
    assert page.filled().splitlines()[2].startswith("| 48 | ")


def test_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of("filled", tmp_path, monkeypatch)
    assert page.filled().startswith("Not measured yet; ")
    row = {"side": 640, "found": 0.977, "right": 0.8125, "found_once": 0.657}
    record = {"environment": MACHINE, "model": "fast", "photos": 819, "sides": [row]}
    (tmp_path / "filled.json").write_text(json.dumps(record))
    assert page.filled().splitlines()[2] == "| 640 | 65.7 | 97.7 | 81.2 |"

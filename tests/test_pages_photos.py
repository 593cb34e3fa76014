"""The pages' tables of photos: what stands there of results, and where there are none."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`pages`, whose results lie in `tmp_path`."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(importlib.import_module("pages.photos"), "RESULTS", tmp_path)
    monkeypatch.setattr(sys.modules["pages.shared"], "RESULTS", tmp_path)
    write(tmp_path, "bench", {"rows": [], "bottlenecks": []})
    write(tmp_path, "growth", {})
    return sys.modules["pages"]


def write(folder: Path, name: str, value: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(value))


def row(form: str, rounds: list[float], engine: str = "openvino") -> dict[str, Any]:
    rate = {"median": rounds[0], "rounds": rounds}
    about = {"stage": "faces", "state": "ok", "form": form, "engine": engine, "precision": "fp32", "noise": 0.01}
    return about | {"images_per_second": rate, "of_limit": {"share": 0.25, "bound": "memory"}}


def test_what_is_not_measured_says_how_it_is(pages: ModuleType) -> None:
    for make in pages.photos.TABLES.values():
        said = re.fullmatch(r"Not measured yet; `python (\S+)[^`]*` does it.", make())
        assert said is not None and (said[1] == "-m" or (ROOT / said[1]).is_file())


def test_photos_and_finders(pages: ModuleType, tmp_path: Path) -> None:
    rows = [
        row("finder, 640 px", [200.0]),
        row("FaceDetectorYN, 640 px", [50.0], "opencv"),
        row("fer-fast classify --faces all", [90.0]),
        row("plain script", [10.0], "torch"),
    ]
    found = [{"row": {"stage": "faces"}, "sentence": "photos: find-bound"}, {"row": {"stage": "folder"}}]
    write(tmp_path, "bench", {"rows": rows, "bottlenecks": found})
    assert "| finder, 640 px | openvino fp32 | 200 | 1% | 4.00 x | 25% (memory) |" in pages.photos.finders()
    ours = "| fer-fast classify --faces all | openvino fp32 | 90.0 | 1% | 9.0 x |"
    assert pages.photos.photos().splitlines()[0].endswith("| of plain script |") and ours in pages.photos.photos()
    assert pages.photos.photos().endswith("\n\n> photos: find-bound")
    write(tmp_path, "bench", {"rows": [*rows, row("plain script with OpenCV", [30.0])], "bottlenecks": []})
    assert "| 90.0 | 1% | 3.0 x |" in pages.photos.photos()


def test_memory_and_peers(pages: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "growth", {"photo_memory": {"found": [{"files": 50_000, "peak_mib": 801.4}]}})
    assert pages.photos.photo_memory().endswith("| 50,000 | 801 |")
    peer = {"title": "a", "images_per_second": {"median": 3.0}, "right": 4, "found": 5}
    peers = [peer | {"times_fer_fast": 0.0042}, peer | {"times_fer_fast": None}, {"title": "b", "reason": "gone"}]
    write(tmp_path, "peers-photos", {"photos": 2, "faces": 6, "peers": peers})
    assert pages.photos.photo_peers().splitlines()[2:] == [
        "| a | 3.0 | 0.004 x | 4 | 5 |",
        "| a | 3.0 | - | 4 | 5 |",
        "",
        "b: gone.",
    ]

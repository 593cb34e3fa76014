"""The comparison with peers on drawn photos: what is asked, what is right, and what an answer must be."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytestmark = pytest.mark.needs_torch

PEERS = Path(__file__).parents[1] / "benchmarks" / "peers"
#: Finds the same boxes in every photo, through the code that the real peers share.
FAKE = f"""
import sys
sys.path.insert(0, {str(PEERS)!r})
import program
program.main(lambda: program.PhotoProgram("by heart", ("numpy",), lambda paths: [FACES for path in paths]))
"""


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PEERS))
    monkeypatch.delitem(sys.modules, "photos", raising=False)
    return importlib.import_module("photos")


def test_what_is_right_and_what_is_not(
    photos: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    rows = ["a.png,0,0,40,40", "a.png,100,0,23,90", "b.png,0,0,40,40", "b.png,200,0,24,24"]  # 23 is not asked for
    (tmp_path / "boxes.csv").write_text("\n".join(["file,x,y,width,height", *rows]))
    peers = []
    for name, faces in {
        "ours": [(0, 0, 40, 40, "anger"), (200, 0, 24, 24, "fear"), (400, 0, 9, 9, "fear")],
        "theirs": [(0, 0, 40, 11, "anger")],  # less than 0.3 of the union
        "none": [(0, 0, float("nan"), 40, "anger")],
    }.items():
        program = tmp_path / f"{name}.py"
        program.write_text(FAKE.replace("FACES", repr(faces).replace("nan", "float('nan')")))
        peers.append(photos.Peer(name, name.title(), program))
    monkeypatch.setattr(photos, "PEERS", tuple(peers))
    out = tmp_path / "out.json"
    assert photos.main(["--photos", str(tmp_path), "--rounds", "1", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert (report["photos"], report["faces"], report["drawn"]) == (2, 3, False)
    ours, theirs, none = report["peers"]
    assert (ours["right"], ours["found"], ours["times_fer_fast"]) == (3, 6, 1.0)
    assert (theirs["right"], theirs["found"]) == (0, 2)
    assert none["reason"].startswith("wrong answer: a face must be x, y, width, height and a label")
    said = capsys.readouterr().out
    assert "| of 3 faces |" in said and "| 3 | 6 |" in said and "| None | - |" in said


@pytest.mark.parametrize("faces", [[], [[[1, 2, 3, "fear"]]], [[[1, 2, 3, 4, 5]]], [[[]]], "faces"])
def test_no_answer(photos: ModuleType, faces: object) -> None:
    answer = {"how": "", "versions": {}, "seconds": 1.0, "startup_seconds": 0.0, "faces": faces}
    with pytest.raises(sys.modules["asking"].NoAnswerError, match="wrong answer"):
        photos.check(answer, 1)


def test_drawn_photos_are_labelled(photos: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "PHOTOS", 2)
    monkeypatch.setattr(photos, "PHOTO_SIZE", (240, 180))
    drawn = photos.drawn_photos(tmp_path)
    assert [len(photo.boxes) for photo in drawn] == [1, 2] and all(photo.path.is_file() for photo in drawn)
    assert all(np.isfinite(photo.boxes).all() for photo in drawn)

"""Labelled photos: the faces that are found in them are scored, and a photo without one counts as wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_data import draw_classes
from PIL import Image

from fer_fast.bench.images import scene
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.cli import run
from fer_fast.datasets import load_split
from fer_fast.decode import Decoded, Decoder
from fer_fast.evaluation import evaluate, split_scores
from fer_fast.types import DecodeError, Status

SIDE = 8


class Counting(Decoder):
    """As many faces a photo as its name says: 2.png has two, each of the shade of its number."""

    image_size, several = SIDE, True

    def submit(self, paths: Sequence[str]) -> Future[Decoded]:
        counts = [int(Path(path).stem) for path in paths]
        indices = [place for place, count in enumerate(counts) for _ in range(count)]
        shades = [shade for count in counts for shade in range(count)]
        pixels = np.zeros((len(indices), SIDE, SIDE, 3), np.uint8) + np.array(shades, np.uint8)[:, None, None, None]
        lost = [(place, DecodeError(Status.NO_FACE, "no face")) for place, count in enumerate(counts) if not count]
        future: Future[Decoded] = Future()
        future.set_result(Decoded(pixels, indices, lost, 0.0, [None] * len(paths)))
        return future

    def close(self) -> None:
        """Nothing is open."""


def test_each_face_is_an_image_of_its_photos_class(tmp_path: Path) -> None:
    draw_classes(tmp_path, {"neutral": 3, "anger": 1})  # 000, 001 and 002 of neutral, 000 of anger
    split = load_split(tmp_path, "all", SIDE, Counting())
    assert [str(Path(name).relative_to(tmp_path)) for name in split.names] == [
        "neutral/001.png",
        "neutral/002.png",
        "neutral/002.png",
    ]
    assert split.pixels[:, 0, 0, 0].tolist() == [0, 0, 1] and split.unread == []
    assert split.faceless is not None and split.columns == split.faceless.columns == ("neutral", "anger")
    assert split.faceless.votes.tolist() == [[0, 1], [1, 0]]
    scores = split_scores(split, np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]), ("neutral", "anger"))
    assert scores["labels"]["full"]["images"] == 5 and scores["labels"]["full"]["accuracy"] == 0.4


def test_photos_without_any_face_are_refused(tmp_path: Path) -> None:
    draw_classes(tmp_path, {"neutral": 1, "anger": 1})
    with pytest.raises(ValueError, match="must hold faces; none is found in 2 photos"):
        load_split(tmp_path, "all", SIDE, Counting())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces a photo, one of them larger; the last photo has none."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(5)
    for place, name in enumerate(("happiness", "happiness", "sadness", "sadness")):
        photo = photo_with_faces(random, (480, 320), 2)[0] if place < 3 else Image.fromarray(scene(random, (480, 320)))
        (folder / name).mkdir(exist_ok=True)
        photo.save(folder / name / f"{place}.png")
    return folder


@pytest.mark.parametrize(("faces", "found"), [("largest", 3), ("all", 6)])
def test_photos_are_scored_by_their_faces(photos: Path, faces: str, found: int) -> None:
    report = evaluate("tiny", photos, engine="openvino", precision="fp32", faces=faces, finder={"find_size": 480})
    about = report["faces"]
    assert (about["which"], about["framing"], about["photos"]) == (faces, "level", 4)
    assert [Path(name).name for name in about["faceless"]] == ["3.png"]
    assert report["data"]["images"] == found and about["finder"]["find_size"] == 480
    full = report["runs"][0]["scores"]["labels"]["full"]
    assert full["images"] == found + 1 and np.sum(full["confusion"]) == found
    assert full["classes"]["sadness"]["support"] == found // 3 + 1


def test_the_command_says_how_many_were_found(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "r.json", tmp_path / "r.html"
    options = ["--faces", "largest", "--engine", "openvino", "--precision", "fp32", "--min-face", "30"]
    assert run(["evaluate", "tiny", str(photos), *options, "--json", str(out), "--html", str(page)]) == 0
    said = capsys.readouterr().out
    line = "the largest face of a photo is scored, found in 3 of 4 (75.0 %), cut by level; finder finder, "
    assert "split all (data has no splits): 3 faces\n" in said
    assert line in said and "counts as wrong" in said and line in page.read_text().replace("\n", " ")
    assert json.loads(out.read_text())["faces"]["finder"]["min_face"] == 30


def test_faces_cut_already_are_no_photos(tmp_path: Path) -> None:
    (tmp_path / "FER2013Test").mkdir()
    with pytest.raises(ValueError, match="must be photos where faces are to be found"):
        load_split(tmp_path, "test", SIDE, Counting())


def test_a_finder_needs_something_to_find(tmp_path: Path) -> None:
    wrong: Any = {"find_size": 320}
    with pytest.raises(ValueError, match="a finder is for faces 'all' or 'largest', not 'none'"):
        evaluate("tiny", tmp_path, finder=wrong)
    with pytest.raises(ValueError, match="faces must be one of none, all, largest, not 'largset'"):
        evaluate("tiny", tmp_path, faces="largset")

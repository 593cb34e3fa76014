"""Evaluation by hard views: the same faces at every call, said to be hard, and refused where there are none to be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_data import draw_classes
from tiny_models import image_config, save_image_model

from fer_fast.cli import run
from fer_fast.evaluation import evaluate, json_text
from fer_fast.evaluation.lines import lines
from fer_fast.evaluation.page import page
from fer_fast.evaluation.scored_split import load_hard_split, load_scored_split

CLASSES = ("no", "yes")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_image_model(path, image_config(classes=CLASSES))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed, split in enumerate(("train", "test")):
        draw_classes(folder / split, dict.fromkeys(CLASSES, 40), size=24, seed=seed)
    (folder / "test" / "no" / "copy.png").write_bytes((folder / "train" / "no" / "000.png").read_bytes())
    return folder


@pytest.mark.needs_torch
def test_hard_faces_are_those_of_a_split_and_copies_are_looked_for_before(data: Path) -> None:
    pytest.importorskip("kornia")
    plain, hard = load_scored_split(data, "test", CLASSES, 112), load_hard_split(data, "test", CLASSES)
    assert hard.hard and not plain.hard and hard.split.pixels.shape == (81, 112, 112, 3)
    assert hard.split.names == plain.split.names and np.array_equal(hard.split.votes, plain.split.votes)
    assert hard.fresh is not None and (~hard.fresh).sum() == 1 and hard.against == plain.against
    differences = np.abs(hard.split.pixels.astype(int) - plain.split.pixels).mean(axis=(1, 2, 3))
    assert np.median(differences) > 5
    assert np.array_equal(load_hard_split(data, "test", CLASSES).split.pixels, hard.split.pixels)


@pytest.mark.needs_torch
@pytest.mark.needs_native
def test_scores_are_the_same_twice_and_say_that_they_are_hard(model: Path, data: Path) -> None:
    pytest.importorskip("kornia")
    options = {"engine": "openvino", "precision": "fp32"}
    first, second = (evaluate(model, data, hard=True, **options) for _ in range(2))
    assert json_text(first) == json_text(second)
    plain = evaluate(model, data, **options)
    assert (first["data"]["hard"], plain["data"]["hard"]) == (True, False)
    assert first["runs"][0]["scores"] != plain["runs"][0]["scores"]
    assert "split test (the default), hard views: 81 images" in lines(first)[0] and "hard" not in lines(plain)[0]
    assert "hard views</h1>" in page(first) and "hard views" not in page(plain)


@pytest.mark.needs_torch
@pytest.mark.needs_native
def test_the_command(model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("kornia")
    words = ["evaluate", str(model), str(data), "--hard", "--engine", "openvino", "--json", str(tmp_path / "hard.json")]
    assert run(words) == 0
    assert "hard views: 81 images" in capsys.readouterr().out
    assert json.loads((tmp_path / "hard.json").read_text())["data"]["hard"]


def test_photos_are_refused(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="hard must not be given with faces 'all': hard views are of images that are"):
        evaluate(model, data, hard=True, faces="all")
    for words, sentence in (
        (["m", "d", "--hard", "--faces", "largest"], "--hard must not be given with --faces: hard views are of images"),
        (["d", "--hard", "--boxes", "b.csv"], "--hard must not be given with --boxes, which scores the finder and no"),
    ):
        assert run(["evaluate", *words]) == 2
        assert capsys.readouterr().err.startswith(f"fer-fast: {sentence}")


def test_without_kornia_it_says_what_to_install(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    assert run(["evaluate", str(model), str(data), "--hard"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("fer-fast: evaluation by hard views needs ") and said.endswith(
        "pip install 'fer-fast[train]'\n"
    )
    assert "kornia" in said and said.count("\n") == 1

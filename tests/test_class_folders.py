"""Folders whose sub-folders are classes: splits, what is set apart for validation, and what is left out or wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_data import draw_classes
from PIL import Image

from fer_fast.datasets import check_no_class, folders, has_splits, load_split
from fer_fast.datasets.split import unseen
from fer_fast.types import FerFastError


def test_folders_of_classes(tmp_path: Path) -> None:
    for place, split in enumerate(("train", "val", "test")):
        draw_classes(tmp_path / split, {"surprise": 2, "anger": 3, "neutral": 1}, seed=place)
    (tmp_path / "train" / "anger" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "anger" / "deeper").mkdir()
    (tmp_path / "train" / "anger" / "000.png").rename(tmp_path / "train" / "anger" / "deeper" / "FACE.PNG")
    split = load_split(tmp_path, "train", 24)
    assert split.columns == split.classes("labels") == ("neutral", "surprise", "anger"), "the emotions' own order"
    assert split.pixels.shape == (6, 24, 24, 3) and split.pixels.dtype == np.uint8
    names = [str(Path(name).relative_to(tmp_path / "train")) for name in split.names]
    assert names[:3] == ["anger/001.png", "anger/002.png", "anger/deeper/FACE.PNG"]
    assert names[3:] == ["neutral/000.png", "surprise/000.png", "surprise/001.png"]
    assert split.votes.argmax(axis=1).tolist() == [2, 2, 2, 0, 1, 1] and split.votes.sum() == 6
    assert split.protocols == ("labels",)
    indices, labels = split.selection("labels")
    assert indices.tolist() == list(range(6)) and labels.tolist() == [2, 2, 2, 0, 1, 1]
    np.testing.assert_array_equal(split.shares("labels"), split.votes)
    with pytest.raises(ValueError, match="protocol must be one of labels, not 'argmax10'"):
        split.selection("argmax10")
    valid = load_split(tmp_path, "valid", 24)
    assert len(valid.names) == 6 and all("/val/" in name for name in valid.names)
    assert unseen(valid, [split]).all()
    with pytest.raises(ValueError, match="split must be one of train, valid, test where data holds splits, not 'all'"):
        load_split(tmp_path, "all", 24)


@pytest.mark.parametrize("below", [".", "train"], ids=["flat", "train alone"])
def test_a_tenth_is_set_apart_and_stays(tmp_path: Path, below: str) -> None:
    data = draw_classes(tmp_path / below, {"smile": 21, "frown": 5}, size=8)
    splits = {name: set(load_split(tmp_path, name, 8).names) for name in ("train", "valid")}
    assert not splits["train"] & splits["valid"] and len(splits["train"] | splits["valid"]) == 26
    counts = [sum(f"/{name}/" in path for path in splits["valid"]) for name in ("smile", "frown")]
    assert counts == [3, 1], "a tenth, rounded up"
    assert load_split(tmp_path, "train", 8).columns == ("frown", "smile"), "not emotions: by alphabet"
    (data / "smile" / "020.png").unlink()
    for name in ("train", "valid"):
        moved = set(load_split(tmp_path, name, 8).names) - splits[name]
        assert len(moved) <= 1, "an image more or less moves one other at most"
    if below == ".":
        assert len(load_split(data, "all", 8).names) == 25
    with pytest.raises(ValueError, match=r"must hold (a split test/|the split test in test/)"):
        load_split(tmp_path, "test", 8)


def test_unreadable_images_of_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = draw_classes(tmp_path, {"no": 30, "yes": 30}, size=8)
    whole = load_split(data, "all", 8)
    monkeypatch.setattr(folders, "_CHUNK", 7)  # in several batches, the last one smaller
    for name in ("007.png", "023.png"):
        (data / "yes" / name).write_bytes(b"no image")
    split = load_split(data, "all", 8)
    assert [Path(name).name for name, _ in split.unread] == ["007.png", "023.png"]
    assert all("/yes/" in name and reason for name, reason in split.unread)
    kept = [place for place in range(60) if place not in (37, 53)]
    assert split.names == [whole.names[place] for place in kept]
    np.testing.assert_array_equal(split.pixels, whole.pixels[kept])
    np.testing.assert_array_equal(split.votes, whole.votes[kept])


def test_wrong_folders_of_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold two or more sub-folders named as the classes; it has none"):
        load_split(tmp_path, "train", 8)
    draw_classes(tmp_path, {"no": 4, "yes": 1}, size=8)
    with pytest.raises(ValueError, match=r"class 'yes' of .* must hold two images, one of them for validation"):
        load_split(tmp_path, "train", 8)
    (tmp_path / "yes" / "000.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"split all of .* must hold an image of class 'yes' that can be read"):
        load_split(tmp_path, "all", 8)
    (tmp_path / "yes" / "000.png").unlink()
    with pytest.raises(ValueError, match=r"class 'yes' of .* must hold an image$"):
        load_split(tmp_path, "train", 8)


def closed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Whoever lists this folder may not, as a user who is not its owner; root may do anything."""
    listed = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(os.fspath(path)) == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_closed_folder_is_no_smaller_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = draw_classes(tmp_path, {"no": 3, "yes": 3}, size=8)
    (data / "yes" / "more").mkdir()
    (data / "yes" / "002.png").rename(data / "yes" / "more" / "002.png")
    assert len(load_split(data, "all", 8).names) == 6
    closed(monkeypatch, data / "yes" / "more")
    with pytest.raises(ValueError, match=r"data must hold folders that can be read, not '.*more': Permission denied"):
        load_split(data, "all", 8)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_closed_data(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", {"no": 3, "yes": 3}, size=8)
    data.chmod(0)
    try:
        with pytest.raises(ValueError, match=r"data must be a folder that can be read, which '.*data' cannot"):
            has_splits(data)
    finally:
        data.chmod(0o755)


def test_what_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name, rule in {
        "file": "which '.*file' is not",
        "loop": "'.*loop' cannot be read: Too many",
        "no": "there is no",
    }.items():
        with pytest.raises(ValueError, match=f"data must be a folder[;,] {rule}"):
            load_split(tmp_path / name, "all", 8)


@pytest.mark.parametrize("inside", ["train", "val"])
def test_splits_inside_classes_are_told_of(inside: str, tmp_path: Path) -> None:
    """Read as pictures of the class, test faces would be learnt from."""
    for name in ("no", "yes"):
        draw_classes(tmp_path / name, {inside: 4, "test": 4}, size=8)
    split = {"val": "valid"}.get(inside, inside)
    rule = rf"must hold {split}/no/, the split above the class, where it is divided, not {inside}/ inside the class"
    for wanted in ("train", "all"):
        with pytest.raises(ValueError, match=rule):
            load_split(tmp_path, wanted, 8)


def test_a_folder_that_would_be_a_class(tmp_path: Path) -> None:
    classes = draw_classes(tmp_path / "classes", {"no": 2, "yes": 2}, size=8)
    draw_classes(tmp_path / "split" / "train", {"no": 2, "yes": 2}, size=8)
    for folder, data in ((classes / "run", classes), (tmp_path / "split" / "train" / "run", tmp_path / "split")):
        with pytest.raises(ValueError, match=r"out must not be among the classes of data .* which .*run' would be"):
            check_no_class("out", folder, data)
    check_no_class("out", tmp_path / "split" / "run", tmp_path / "split")
    check_no_class("out", tmp_path / "run", classes)


def test_a_passing_fault_is_no_smaller_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no", "yes"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (8, 8), number).save(tmp_path / "classes" / name / f"{number}.png")
    real = os.open

    def starved(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("yes/1.png"):
            raise OSError(24, "Too many open files")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", starved)
    with pytest.raises(FerFastError, match=r"yes/1\.png' cannot be read now: Too many open files"):
        load_split(tmp_path / "classes", "all", 8)

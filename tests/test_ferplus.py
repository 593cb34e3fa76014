"""FERPlus on disk in both of its layouts: faces joined to votes, and what is left out or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_data import write_face, write_table

from fer_fast.datasets import ferplus, load_split
from fer_fast.datasets.ferplus import SPLIT_PLACES
from fer_fast.datasets.split import Split
from fer_fast.types import FerFastError

ONE = "1,0,0,0,0,0,0,0,0,0"


def pixels(grey: int, count: int = 48 * 48) -> str:
    return " ".join([str(grey)] * count)


def greys(split: Split) -> list[int]:
    return [int(face[0, 0]) for face in split.pixels]


def test_faces_are_joined_to_votes_by_name(tmp_path: Path) -> None:
    write_table(
        tmp_path,
        "Training,fer0000007.png,4,0,0,1,3,2,0,0,0,0",  # the first row, but the seventh image
        "Training,,0,0,0,0,0,0,0,0,0,10",  # no image
        "Training,fer0000002.png,0,9,1,0,0,0,0,0,0,0",
        "PublicTest,fer0000003.png,0,10,0,0,0,0,0,0,0,0",  # another split
        "Training,fer0000004.png,0,0,10,0,0,0,0,0,0,0",  # its image is missing
        "Training,fer0000005.png,0,0,0,10,0,0,0,0,0,0",
        "Training,fer0000005.png,0,0,0,10,0,0,0,0,0,0",  # twice, the same votes
        "Training,fer0000006.png,0,0,0,0,10,0,0,0,0,0",
        "Training,fer0000006.png,0,0,0,0,0,0,10,0,0,0",  # twice, conflicting votes
    )
    for number in (2, 3, 5, 6, 7, 9):  # 9 has no row
        write_face(tmp_path, f"fer000000{number}.png", 10 * number, mode="RGB" if number == 2 else "L")
    split = load_split(tmp_path, "train", 99)
    assert split.names == ["fer0000002.png", "fer0000005.png", "fer0000007.png"]
    assert split.pixels.shape == (3, 48, 48) and split.pixels.dtype == np.uint8
    assert greys(split) == [20, 50, 70]
    assert split.votes.dtype == np.float32
    assert split.votes.tolist() == [
        [0, 9, 1, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 10, 0, 0, 0, 0, 0, 0],
        [4, 0, 0, 1, 3, 2, 0, 0, 0, 0],
    ]
    assert split.unread == [("fer0000004.png", "there is no such file")]


def test_usage_decides_the_split(tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        write_face(tmp_path, "fer0000001.png", 1, name)
        write_face(tmp_path, f"{name}.png", 1, name)
    rows = (("Training", "train"), ("PublicTest", "valid"), ("PrivateTest", "test"))
    write_table(tmp_path, *(f"{usage},{name}.png,{ONE}" for usage, name in rows))
    assert [load_split(tmp_path, name, 48).names for name in SPLIT_PLACES] == [
        ["train.png"],
        ["valid.png"],
        ["test.png"],
    ]


def test_unreadable_faces_are_left_out_and_told(tmp_path: Path) -> None:
    names = ("a.png", "b.png", "c.png", "d.png", "e.png")
    write_table(tmp_path, *(f"Training,{name},{ONE}" for name in names))
    for name, side in zip(names, (48, 47, 48, 48, 48), strict=True):
        last = write_face(tmp_path, name, 9, side=side)
    last.write_bytes(b"no image")
    damaged = last.with_name("c.png")
    damaged.write_bytes(damaged.read_bytes()[:40])
    short = last.with_name("d.png")  # a header of 5 bytes: for Pillow a ValueError
    short.write_bytes(short.read_bytes()[:11] + b"\x05" + short.read_bytes()[12:])
    split = load_split(tmp_path, "train", 48)
    assert split.names == ["a.png"]
    assert [name for name, _ in split.unread] == ["b.png", "c.png", "d.png", "e.png"]
    assert split.unread[0][1] == "it must be 48 x 48 pixels, not 47 x 47"
    assert all(reason.startswith("it cannot be read: ") for _, reason in split.unread[1:])
    (tmp_path / "FER2013Train" / "a.png").unlink()
    with pytest.raises(ValueError, match=r"holds none, and the first of 5 that cannot be read is a\.png"):
        load_split(tmp_path, "train", 48)


def test_wrong_ferplus(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split must be one of train, valid, test or all, not 'dev'"):
        load_split(tmp_path, "dev", 48)
    with pytest.raises(ValueError, match=r"data must be a folder; there is no '.*nothing'"):
        load_split(tmp_path / "nothing", "train", 48)
    write_face(tmp_path, "a.png", 1)
    with pytest.raises(ValueError, match=r"data '.*' must hold the votes, fer2013new\.csv"):
        load_split(tmp_path, "train", 48)
    write_table(tmp_path, f"Training,b.png,{ONE}")
    none = "it holds none, and the first of 1 that cannot be read is b.png"
    with pytest.raises(ValueError, match=none):
        load_split(tmp_path, "train", 48)
    with pytest.raises(ValueError, match=r"must hold the faces, in FER2013Test/ or in fer2013\.csv"):
        load_split(tmp_path, "test", 48)
    with pytest.raises(ValueError, match="split must be one of train, valid, test of FERPlus, not 'all'"):
        load_split(tmp_path, "all", 48)
    write_table(tmp_path, "Training,a.png,1,0,0")
    with pytest.raises(ValueError, match=r"must have ten votes for 'a\.png'"):
        load_split(tmp_path, "train", 48)
    (tmp_path / "fer2013new.csv").write_text("name,label\na.png,3\n")
    with pytest.raises(ValueError, match="must have the column 'Image name'"):
        load_split(tmp_path, "train", 48)


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv"])
def test_kaggle_rows_are_the_vote_tables(tmp_path: Path, name: str) -> None:
    table = [
        ("Training", "a.png", ONE, 11),
        ("Training", "", "0,0,0,0,0,0,0,0,0,10", 22),  # no face: the table has no name for it
        ("Training", "c.png", "0,8,2,0,0,0,0,0,0,0", 33),
        ("PublicTest", "d.png", ONE, 44),
        ("PrivateTest", "e.png", ONE, 55),
    ]
    write_table(tmp_path, *(f"{usage},{name},{votes}" for usage, name, votes, _ in table))
    rows = {
        "fer2013.csv": ["emotion,pixels,Usage", *(f"0,{pixels(grey)},{usage}" for usage, _, _, grey in table)],
        "icml_face_data.csv": ["emotion, Usage, pixels", *(f"0,{usage},{pixels(grey)}" for usage, _, _, grey in table)],
    }
    (tmp_path / name).write_text("\n".join(rows[name]) + "\n")
    found = {split: load_split(tmp_path, split, 48) for split in SPLIT_PLACES}
    assert {split: (each.names, greys(each)) for split, each in found.items()} == {
        "train": (["a.png", "c.png"], [11, 33]),
        "valid": (["d.png"], [44]),
        "test": (["e.png"], [55]),
    }
    assert found["train"].votes[1].tolist() == [0, 8, 2, 0, 0, 0, 0, 0, 0, 0]
    assert found["train"].pixels.shape == (2, 48, 48)


@pytest.mark.parametrize(
    ("usages", "row"),
    [(["Training", "PublicTest"], 2), (["Training"], 2), (["Training"] * 3, 3), ([], 1)],
    ids=["other", "fewer", "more", "none"],
)
def test_kaggle_rows_that_part(tmp_path: Path, usages: list[str], row: int) -> None:
    write_table(tmp_path, f"Training,a.png,{ONE}", f"Training,b.png,{ONE}")
    lines = ["emotion,pixels,Usage", *(f"0,{pixels(1)},{usage}" for usage in usages)]
    (tmp_path / "fer2013.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        ValueError, match=rf"fer2013\.csv and fer2013new\.csv must have the same rows .* part at row {row}$"
    ):
        load_split(tmp_path, "train", 48)


def test_bad_pixels_of_kaggle_are_left_out_and_told(tmp_path: Path) -> None:
    bad = [pixels(1, 2303), pixels(256), pixels(-1), pixels(1) + "x", "1" * 30, ""]
    names = ["good.png", *(f"{number}.png" for number in range(len(bad)))]
    write_table(tmp_path, *(f"Training,{name},{ONE}" for name in names))
    lines = ["emotion,Usage,pixels", *(f"0,Training,{text}" for text in [pixels(5), *bad[:-1]]), "0,Training"]
    (tmp_path / "fer2013.csv").write_text("\n".join(lines) + "\n")
    split = load_split(tmp_path, "train", 48)
    assert split.names == ["good.png"]
    reasons = [reason for _, reason in split.unread]
    assert reasons[:3] == [
        "it must be 2304 pixels, not 2303",
        "its pixels must be from 0 to 255, not 256 to 256",
        "its pixels must be from 0 to 255, not -1 to -1",
    ]
    assert all(reason.startswith("its pixels must be numbers: ") for reason in reasons[3:5])
    assert reasons[5] == "it must be 2304 pixels, not 0"


def test_kaggle_without_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path, f"Training,a.png,{ONE}")
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels\n0,{pixels(1)}\n")
    with pytest.raises(ValueError, match=r"fer2013\.csv' must have the column 'Usage'"):
        load_split(tmp_path, "train", 48)


def test_a_passing_fault_is_no_smaller_ferplus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("fer_fast.datasets.ferplus.Image.open", failing)
    with pytest.raises(FerFastError, match=r"face\.png' cannot be read now: Input/output error"):
        ferplus._read_face(tmp_path / "face.png")

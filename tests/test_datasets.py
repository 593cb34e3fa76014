"""Labelled faces on disk: FERPlus in two layouts, folders of classes, protocols worked by hand, leaks, real counts."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_data import HEADER, draw_classes
from PIL import Image

from fer_fast.datasets import ferplus, folders, load_split
from fer_fast.datasets.ferplus import SPLIT_PLACES, _agreed, _read_votes
from fer_fast.datasets.split import Split, unseen
from fer_fast.train.faces import faces_of
from fer_fast.types import EMOTIONS, FerFastError

SHARED = Path(os.environ.get("FER_FAST_SHARED", Path(__file__).parents[2] / "shared"))
REAL = SHARED / "data" / "ferplus"
NEUTRAL, HAPPINESS, SURPRISE, SADNESS, ANGER, DISGUST, FEAR, CONTEMPT = range(8)
ONE = "1,0,0,0,0,0,0,0,0,0"


def write_table(data: Path, *rows: str) -> None:
    (data / "fer2013new.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def write_face(data: Path, name: str, grey: int, split: str = "train", mode: str = "L", side: int = 48) -> Path:
    folder = data / SPLIT_PLACES[split][0]
    folder.mkdir(exist_ok=True)
    Image.new(mode, (side, side), (grey,) * 3 if mode == "RGB" else grey).save(folder / name)
    return folder / name


def pixels(grey: int, count: int = 48 * 48) -> str:
    return " ".join([str(grey)] * count)


def greys(split: Split) -> list[int]:
    return [int(face[0, 0]) for face in split.pixels]


# ----------------------------------------------------------------------------------------------- FERPlus, as folders


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


# ----------------------------------------------------------------------------------------------- FERPlus, as Kaggle's


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


# ----------------------------------------------------------------------------------------------- folders of classes


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
    with pytest.raises(ValueError, match="must hold two or more sub-folders named as the classes"):
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


# ----------------------------------------------------------------------------------------------- what is made of it


#: Votes, and the class by each protocol: argmax10, argmax8, majority, paper6. None: dropped.
WORKED: list[tuple[list[int], tuple[int | None, ...]]] = [
    ([10, 0, 0, 0, 0, 0, 0, 0, 0, 0], (NEUTRAL, NEUTRAL, NEUTRAL, NEUTRAL)),
    ([0, 4, 3, 3, 0, 0, 0, 0, 0, 0], (HAPPINESS, HAPPINESS, None, HAPPINESS)),  # 4 of 10 is no majority
    ([0, 5, 1, 1, 1, 1, 1, 0, 0, 0], (HAPPINESS, HAPPINESS, HAPPINESS, HAPPINESS)),  # single votes drop: 5 of 5
    ([0, 0, 5, 5, 0, 0, 0, 0, 0, 0], (SURPRISE, SURPRISE, None, SURPRISE)),  # a tie: the first; half is not more
    ([0, 0, 0, 0, 3, 0, 0, 0, 4, 3], (None, ANGER, None, None)),  # mostly unknown
    ([0, 0, 0, 0, 0, 0, 1, 0, 0, 9], (None, FEAR, None, None)),  # mostly no face
    ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], (None, None, None, None)),  # no emotion at all
    ([0, 0, 0, 0, 0, 8, 2, 0, 0, 0], (DISGUST, DISGUST, DISGUST, None)),
    ([2, 0, 0, 0, 0, 0, 0, 7, 1, 0], (CONTEMPT, CONTEMPT, CONTEMPT, None)),
    ([0, 0, 0, 0, 0, 4, 4, 0, 2, 0], (DISGUST, DISGUST, None, None)),  # the tie counts as disgust in paper6, too
    ([0, 0, 0, 6, 0, 0, 0, 0, 4, 0], (SADNESS, SADNESS, SADNESS, SADNESS)),
    ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], (NEUTRAL, NEUTRAL, None, NEUTRAL)),  # only single votes
]


@pytest.mark.parametrize("column", range(4), ids=["argmax10", "argmax8", "majority", "paper6"])
def test_protocols_worked_by_hand(column: int) -> None:
    protocol = ("argmax10", "argmax8", "majority", "paper6")[column]
    votes = np.array([votes for votes, _ in WORKED], np.float32)
    split = of_votes(votes)
    assert split.protocols[column] == protocol
    indices, labels = split.selection(protocol)
    classes = split.classes(protocol)
    assert len(classes) == (6 if protocol == "paper6" else 8)
    expected = {number: EMOTIONS[row[column]] for number, (_, row) in enumerate(WORKED) if row[column] is not None}
    assert {index: classes[label] for index, label in zip(indices.tolist(), labels, strict=True)} == expected
    np.testing.assert_allclose(split.shares(protocol).sum(axis=1), 1, rtol=1e-6)
    assert split.votes is votes and votes.max() == 10, "the votes are not changed"


def of_votes(votes: np.ndarray) -> Split:
    return Split([f"{number}.png" for number in range(len(votes))], np.zeros((len(votes), 48, 48), np.uint8), votes)


def test_shares_worked_by_hand() -> None:
    votes = np.array(
        [
            [6, 0, 2, 0, 0, 0, 0, 0, 2, 0],  # two of ten saw no emotion that they knew: they do not count
            [5, 1, 0, 0, 0, 3, 0, 1, 0, 0],  # single votes are slips
            [1, 1, 0, 0, 1, 1, 0, 0, 0, 0],  # unless there are no others
        ],
        np.float32,
    )
    shares = of_votes(votes).shares("argmax10")
    third = [0.25, 0.25, 0, 0, 0.25, 0.25, 0, 0]
    np.testing.assert_allclose(shares, [[0.75, 0, 0.25, 0, 0, 0, 0, 0], [0.625, 0, 0, 0, 0, 0.375, 0, 0], third])
    assert shares.dtype == np.float32
    # Without disgust and contempt.
    np.testing.assert_allclose(
        of_votes(votes).shares("paper6")[1:], [[1, 0, 0, 0, 0, 0], [1 / 3, 1 / 3, 0, 0, 1 / 3, 0]]
    )


def test_unknown_protocol() -> None:
    with pytest.raises(ValueError, match="protocol must be one of argmax10, argmax8, majority, paper6, not 'votes'"):
        of_votes(np.zeros((0, 10), np.float32)).selection("votes")


def test_faces_by_votes_and_by_labels() -> None:
    votes = np.zeros((10, 10), np.float32)
    votes[range(8), range(8)] = 6
    votes[:8, 1] += 3
    votes[8, 8] = 9  # mostly unknown: dropped by argmax10
    votes[9, 7] = 9
    split = of_votes(votes)
    split.pixels[:] = np.arange(10)[:, None, None]
    soft, hard = (faces_of(split, "argmax10", targets) for targets in ("votes", "labels"))
    assert soft.classes == EMOTIONS and len(soft) == 9
    assert soft.labels.tolist() == hard.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7]
    assert soft.pixels.shape == (9, 1, 48, 48) and soft.pixels[:, 0, 0, 0].tolist() == [*range(8), 9]
    assert soft.targets[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0, 0, 0])
    assert hard.targets[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    votes[[7, 9]] = votes[0]
    with pytest.raises(ValueError, match="must hold an image of every class; by protocol argmax10 'contempt' has none"):
        faces_of(split, "argmax10", "votes")


def test_faces_of_a_folder_have_their_channels_first(tmp_path: Path) -> None:
    split = load_split(draw_classes(tmp_path, {"no": 3, "yes": 2}, size=8), "all", 8)
    found = faces_of(split, "argmax10", "votes")  # whatever protocol a recipe asks FERPlus for
    assert found.pixels.shape == (5, 3, 8, 8)
    np.testing.assert_array_equal(found.pixels.permute(0, 2, 3, 1).numpy(), split.pixels)
    assert found.targets.tolist() == split.votes.tolist() and found.classes == ("no", "yes")


def test_unseen_finds_exact_copies_alone() -> None:
    def split(*shades: int) -> Split:
        images = np.stack([np.full((48, 48), shade, np.uint8) for shade in shades])
        return Split([f"{shade}.png" for shade in shades], images, np.ones((len(shades), 10), np.float32))

    test, train, valid = split(1, 2, 3, 4, 4), split(2, 9), split(4, 7)
    train.pixels[1] = 3
    train.pixels[1, 0, 0] = 2  # one pixel off: no copy
    assert unseen(test, [train, valid]).tolist() == [True, False, True, False, False]
    assert unseen(test, [train]).tolist() == [True, False, True, True, True]
    assert unseen(test, []).all()


# ----------------------------------------------------------------------------------------------- the real FERPlus


@pytest.fixture(scope="module")
def real() -> dict[str, Split]:
    """FERPlus from its tar files, in memory: unpacking 35,710 files takes longer than reading them."""
    if not (REAL / "fer2013new.csv").is_file():
        pytest.skip(f"no FERPlus in {REAL}; FER_FAST_SHARED names the folder that holds data/ferplus")
    return {split: read_archive(split) for split in SPLIT_PLACES}


def read_archive(split: str) -> Split:
    folder, usage = SPLIT_PLACES[split]
    votes = _agreed(list(_read_votes(REAL / "fer2013new.csv")), usage)
    faces = {}
    with tarfile.open(REAL / f"{folder}.tar") as archive:
        for member in archive:
            name = Path(member.name).name
            if member.isfile() and name in votes:
                faces[name] = np.asarray(Image.open(archive.extractfile(member)))
    names = sorted(faces)
    return Split(
        names, np.stack([faces[name] for name in names]), np.array([votes[name] for name in names], np.float32)
    )


@pytest.mark.parametrize(
    ("protocol", "counts"),
    [
        ("argmax10", [28_386, 3_553, 3_545]),
        # One less in the test split than other reports have: fer0033120 occurs twice with conflicting votes.
        ("argmax8", [28_556, 3_579, 3_572]),
        ("majority", [25_057, 3_199, 3_152]),
        ("paper6", [28_030, 3_495, 3_495]),
    ],
)
def test_official_counts(real: dict[str, Split], protocol: str, counts: list[int]) -> None:
    assert [len(real[split].selection(protocol)[0]) for split in SPLIT_PLACES] == counts


def test_official_counts_without_leakage(real: dict[str, Split]) -> None:
    fresh = unseen(real["test"], [real["train"], real["valid"]])
    kept = {protocol: int(fresh[real["test"].selection(protocol)[0]].sum()) for protocol in ("argmax10", "paper6")}
    assert kept == {"argmax10": 3_232, "paper6": 3_190}
    assert int((~unseen(real["test"], [real["train"]])).sum()) == 288


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


def test_a_passing_fault_is_no_smaller_ferplus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("fer_fast.datasets.ferplus.Image.open", failing)
    with pytest.raises(FerFastError, match=r"face\.png' cannot be read now: Input/output error"):
        ferplus._read_face(tmp_path / "face.png")

"""FERPlus on disk: the vote table's traps, the four protocols worked by hand, leaked images, the official counts."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_fast.train.ferplus import COLUMNS, PROTOCOLS, SPLITS, Split, _read_votes, load_split, unseen
from fer_fast.types import EMOTIONS

SHARED = Path(os.environ.get("FER_FAST_SHARED", Path(__file__).parents[2] / "shared"))
REAL = SHARED / "data" / "ferplus"

HEADER = ",".join(["Usage", "Image name", *COLUMNS])
NEUTRAL, HAPPINESS, SURPRISE, SADNESS, ANGER, DISGUST, FEAR, CONTEMPT = range(8)


def write_table(data: Path, *rows: str) -> None:
    (data / "fer2013new.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def write_face(data: Path, name: str, grey: int, split: str = "train", mode: str = "L", side: int = 48) -> None:
    folder = data / SPLITS[split][0]
    folder.mkdir(exist_ok=True)
    Image.new(mode, (side, side), (grey,) * 3 if mode == "RGB" else grey).save(folder / name)


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
    split = load_split(tmp_path, "train")
    assert split.names == ["fer0000002.png", "fer0000005.png", "fer0000007.png"]
    assert split.pixels.shape == (3, 48, 48) and split.pixels.dtype == np.uint8
    assert [int(face[0, 0]) for face in split.pixels] == [20, 50, 70]
    assert split.votes.dtype == np.float32
    assert split.votes.tolist() == [
        [0, 9, 1, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 10, 0, 0, 0, 0, 0, 0],
        [4, 0, 0, 1, 3, 2, 0, 0, 0, 0],
    ]


def test_usage_decides_the_split(tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        write_face(tmp_path, "fer0000001.png", 1, name)
        write_face(tmp_path, f"{name}.png", 1, name)
    rows = (("Training", "train"), ("PublicTest", "valid"), ("PrivateTest", "test"))
    write_table(tmp_path, *(f"{usage},{name}.png,1,0,0,0,0,0,0,0,0,0" for usage, name in rows))
    assert [load_split(tmp_path, name).names for name in SPLITS] == [["train.png"], ["valid.png"], ["test.png"]]


def test_wrong_data(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split must be one of train, valid, test, not 'dev'"):
        load_split(tmp_path, "dev")
    with pytest.raises(ValueError, match=r"data must be a folder with FER2013Train/ and fer2013new\.csv, not "):
        load_split(tmp_path, "train")
    write_face(tmp_path, "a.png", 1)
    write_table(tmp_path, "Training,b.png,1,0,0,0,0,0,0,0,0,0")
    with pytest.raises(ValueError, match="holds none"):
        load_split(tmp_path, "train")
    write_table(tmp_path, "Training,a.png,1,0,0")
    with pytest.raises(ValueError, match=r"must have ten votes for 'a\.png'"):
        load_split(tmp_path, "train")
    (tmp_path / "fer2013new.csv").write_text("name,label\na.png,3\n")
    with pytest.raises(ValueError, match="must have the column 'Image name'"):
        load_split(tmp_path, "train")
    write_table(tmp_path, "Training,a.png,1,0,0,0,0,0,0,0,0,0")
    write_face(tmp_path, "a.png", 1, side=47)
    with pytest.raises(ValueError, match=r"a\.png' must be 48 x 48 pixels, not 47 x 47"):
        load_split(tmp_path, "train")
    (tmp_path / "FER2013Train" / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a\.png' cannot be read"):
        load_split(tmp_path, "train")


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
    count = len(WORKED)
    votes = np.array([votes for votes, _ in WORKED], np.float32)
    split = Split([str(number) for number in range(count)], np.zeros((count, 48, 48), np.uint8), votes)
    indices, labels = split.selection(protocol)
    expected = {number: classes[column] for number, (_, classes) in enumerate(WORKED) if classes[column] is not None}
    assert dict(zip(indices.tolist(), labels.tolist(), strict=True)) == expected
    assert split.votes is votes and votes.max() == 10, "the votes are not changed"


def test_unknown_protocol() -> None:
    empty = Split([], np.zeros((0, 48, 48), np.uint8), np.zeros((0, 10), np.float32))
    with pytest.raises(ValueError, match="protocol must be one of argmax10, argmax8, majority, paper6, not 'votes'"):
        empty.selection("votes")
    assert len(EMOTIONS) + 2 == len(COLUMNS)
    assert len(PROTOCOLS) == 4


def test_unseen_finds_exact_copies_alone() -> None:
    def split(*greys: int) -> Split:
        pixels = np.stack([np.full((48, 48), grey, np.uint8) for grey in greys])
        return Split([f"{grey}.png" for grey in greys], pixels, np.ones((len(greys), 10), np.float32))

    test, train, valid = split(1, 2, 3, 4, 4), split(2, 9), split(4, 7)
    train.pixels[1] = 3
    train.pixels[1, 0, 0] = 2  # one pixel off: no copy
    assert unseen(test, [train, valid]).tolist() == [True, False, True, False, False]
    assert unseen(test, [train]).tolist() == [True, False, True, True, True]
    assert unseen(test, []).all()


@pytest.fixture(scope="module")
def real() -> dict[str, Split]:
    """FERPlus from its tar files, in memory: unpacking 35,710 files takes longer than reading them."""
    if not (REAL / "fer2013new.csv").is_file():
        pytest.skip(f"no FERPlus in {REAL}; FER_FAST_SHARED names the folder that holds data/ferplus")
    return {split: read_archive(split) for split in SPLITS}


def read_archive(split: str) -> Split:
    folder, usage = SPLITS[split]
    votes = _read_votes(REAL / "fer2013new.csv", usage)
    faces = {}
    with tarfile.open(REAL / f"{folder}.tar") as archive:
        for member in archive:
            name = Path(member.name).name
            if member.isfile() and name in votes:
                faces[name] = np.asarray(Image.open(archive.extractfile(member)))
    names = sorted(faces)
    return Split(names, np.stack([faces[name] for name in names]), np.array([votes[name] for name in names]))


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
    assert [len(real[split].selection(protocol)[0]) for split in SPLITS] == counts


def test_official_counts_without_leakage(real: dict[str, Split]) -> None:
    fresh = unseen(real["test"], [real["train"], real["valid"]])
    kept = {protocol: int(fresh[real["test"].selection(protocol)[0]].sum()) for protocol in ("argmax10", "paper6")}
    assert kept == {"argmax10": 3_232, "paper6": 3_190}
    assert int((~unseen(real["test"], [real["train"]])).sum()) == 288

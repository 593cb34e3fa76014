"""Boxes: tables of labelled ones, average precision by size worked by hand, a finder's evaluation from the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_fast.cli import run
from fer_fast.datasets.labelled_boxes import LabelledPhoto, load_boxes
from fer_fast.evaluation import finder as finder_evaluation
from fer_fast.evaluation.boxes import SIZES, Size, intersections_over_unions, judge, size_scores
from fer_fast.types import Face

LARGE = Size(20, np.inf)


def photo(*boxes: tuple[float, ...], invalid: int = -1) -> LabelledPhoto:
    valid = np.array([place != invalid for place in range(len(boxes))], bool)
    return LabelledPhoto(Path("a.png"), np.array(boxes, np.float64).reshape(-1, 4), valid)


def found(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 5)


def test_average_precision_by_hand() -> None:
    # Two photos, three faces; by falling score right, wrong, right: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
    photos = [photo((0, 0, 40, 40), (100, 0, 40, 40)), photo((0, 0, 30, 30))]
    boxes = [found((0, 0, 40, 40, 0.9), (200, 0, 40, 40, 0.8)), found((1, 0, 30, 30, 0.7))]
    judged = judge(boxes, photos, LARGE)
    assert judged.average_precision() == pytest.approx((1 + 2 / 3) / 3)
    assert judged.at(0.75) == {"recall": pytest.approx(1 / 3), "wrong": 1}
    assert judged.at(0.7) == {"recall": pytest.approx(2 / 3), "wrong": 1}


def test_precision_is_the_best_at_its_recall_or_a_higher_one() -> None:
    boxes = [found((200, 0, 30, 30, 0.9), (0, 0, 30, 30, 0.8), (50, 0, 30, 30, 0.7))]
    judged = judge(boxes, [photo((0, 0, 30, 30), (50, 0, 30, 30))], LARGE)  # 0, 1/2, 2/3
    assert judged.average_precision() == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("boxes", "right", "why"),
    [
        ([(0, 0, 40, 40, 0.9), (2, 0, 40, 40, 0.8)], [True, False], "a face that is found twice is wrong once"),
        ([(0, 0, 40, 20, 0.9)], [True], "half of it, to the bit"),
        ([(0, 0, 40, 19.9, 0.9)], [], "less than half of it, and of another size"),
        ([(60, 0, 40, 40, 0.9), (61, 0, 40, 40, 0.8)], [], "what is not valid, however often"),
        ([(120, 0, 12, 12, 0.9)], [], "a face of another size"),
        ([(300, 0, 12, 12, 0.9)], [], "no face, of another size"),
        ([(300, 0, 20, 20, 0.9)], [False], "no face"),
    ],
)
def test_what_counts(boxes: list[tuple[float, ...]], right: list[bool], why: str) -> None:
    labelled = photo((0, 0, 40, 40), (60, 0, 40, 40), (120, 0, 12, 12), invalid=1)
    judged = judge([found(*boxes)], [labelled], LARGE)
    assert (judged.right.tolist(), judged.faces) == (right, 1), why


def test_the_order_of_photos_changes_nothing() -> None:
    # Four found faces of one score, two of them right: no threshold tells them apart, so that precision is 1/2.
    photos = [photo((0, 0, 40, 40)), photo((0, 0, 40, 40)), photo()]
    right, wrong = found((0, 0, 40, 40, 0.9)), found((90, 0, 40, 40, 0.9), (200, 0, 40, 40, 0.9))
    for order in ((0, 1, 2), (2, 0, 1), (0, 2, 1)):
        judged = judge([[right, right, wrong][place] for place in order], [photos[place] for place in order], LARGE)
        assert judged.average_precision() == pytest.approx(0.5)


def test_a_face_goes_to_the_box_with_the_highest_score() -> None:
    judged = judge([found((4, 0, 40, 40, 0.5), (8, 0, 40, 40, 0.9))], [photo((0, 0, 40, 40))], LARGE)
    assert judged.scores.tolist() == [0.9, 0.5] and judged.right.tolist() == [True, False]


def test_sizes_part_the_faces() -> None:
    labelled = photo((0, 0, 90, 8), (0, 50, 64, 64), (100, 0, 21, 30), (200, 0, 7.9, 9))
    rows = size_scores([found((100, 0, 21, 30, 0.5))], [labelled], 0.6)
    assert [row["faces"] for row in rows] == [2, 1, 0, 0, 0, 1, 0, 0, 1]
    assert rows[0] == {
        "least": 20,
        "below": None,
        "faces": 2,
        "average_precision": 0.5,
        "recall": 0.0,
        "wrong": 0,
    }
    assert rows[2]["average_precision"] is rows[2]["recall"] is None
    assert len(rows) == len(SIZES)


def test_nothing_found_and_nothing_labelled() -> None:
    assert judge([found(), found()], [photo((0, 0, 40, 40)), photo()], LARGE).average_precision() == 0
    assert intersections_over_unions(found(), np.zeros((3, 4))).shape == (0, 3)


# ------------------------------------------------------------------------------------------------------------- tables


def write(folder: Path, text: str) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 48)).save(folder / name)
    table = folder / "boxes.csv"
    table.write_text(text)
    return table


def test_a_table_of_boxes(tmp_path: Path) -> None:
    rows = "file,x,y,width,height,blur,invalid\nb.png,1,2,30,40,0,0\na.png,5,5,0,9,0,\nb.png,1.5,2,8,9,2,1\n"
    first, second = load_boxes(tmp_path, write(tmp_path, rows))
    assert (first.path, second.path) == (tmp_path / "b.png", tmp_path / "a.png")
    assert first.boxes.tolist() == [[1, 2, 30, 40], [1.5, 2, 8, 9]] and first.valid.tolist() == [True, False]
    assert second.valid.tolist() == [False]


def test_a_table_names_files_in_folders_each_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", "")
    table = tmp_path / "boxes.csv"
    table.write_text(HEADER + "sub/a.png,1,2,3,4\n./sub/a.png,5,6,7,8\n", encoding="utf-8-sig")
    [only] = load_boxes(tmp_path, table)
    assert only.path == tmp_path / "sub" / "a.png" and len(only.boxes) == 2


HEADER = "file,x,y,width,height\n"
WRONG = {
    "no column": ("file,x,y,width\n", "'height' is not there"),
    "no rows": (HEADER, "has no rows"),
    "no photo": (HEADER + "c.png,1,2,3,4\n", "'c.png' is not in"),
    "no number": (HEADER + "a.png,1,2,3,four\n", "line 2 of .*: could not convert"),
    "too few": (HEADER + "a.png,1,2,3,4\na.png,1,2\n", "line 3 of"),
    "negative": (HEADER + "a.png,1,2,-3,4\n", "width and height 0 or more; line 2"),
    "infinite": (HEADER + "a.png,1,inf,3,4\n", "must be finite"),
    "no name": (HEADER + ",1,2,3,4\n", "file must name a photo; line 2"),
    "decimal commas": (HEADER + "a.png,1,5,2,5,3,5,4,5\n", "no more cells than the header; line 2"),
    "twice": (HEADER + "a.png,1,2,3,4\n./a.png,1,2,3,4\n", "one row; line 3 of"),
    "invalid by another word": ("file,x,y,width,height,invalid\na.png,1,2,3,4,nan\n", "invalid must be 0 or 1; line 2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_table_is_told(case: str, tmp_path: Path) -> None:
    text, sentence = WRONG[case]
    with pytest.raises(ValueError, match=sentence):
        load_boxes(tmp_path, write(tmp_path, text))


# ------------------------------------------------------------------------------------------------------------ command


class OneFace:
    """Stands in for `FaceFinder`: the same face in every photo."""

    streams = 1

    def __init__(self, finder: str, **options: Any) -> None:
        assert options.pop("min_face") == 0 and options.pop("score") <= 0.02
        self.options = options

    def __enter__(self) -> OneFace:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return self.options

    def find(self, images: list[Path]) -> list[list[Face]]:
        return [[Face(2, 2, 30, 30, ((0, 0),) * 5, 0.7)] for _ in images]  # type: ignore[arg-type]


def test_the_command_scores_a_finder(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write(tmp_path, HEADER + "a.png,1,1,30,30\nb.png,1,1,30,30\nb.png,40,1,30,30\n")
    monkeypatch.setattr(finder_evaluation, "FaceFinder", OneFace)
    out = tmp_path / "out.json"
    options = ["--boxes", str(table), "--find-size", "320", "--face-score", "0.8", "--json", str(out), "-q"]
    assert run(["evaluate", str(tmp_path), *options]) == 0
    report = json.loads(out.read_text())
    assert report["ran"]["find_size"] == 320 and report["score"] == 0.8
    assert report["sizes"][0] | {"recall": 0.0} == report["sizes"][0]  # none of 0.8
    assert report["sizes"][0]["average_precision"] == pytest.approx(2 / 3)
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("2 photos, 3 faces") and said[3].split() == ["20", "or", "more", "3", "0.667", "0.0", "0"]


REFUSED = {
    "a model beside boxes": (["fast", "PHOTOS", "--boxes", "TABLE"], "MODEL must not be given with --boxes"),
    "a split beside boxes": (["PHOTOS", "--boxes", "TABLE", "--split", "test"], "--split must not be given with"),
    "a finder without boxes": (
        ["fast", "PHOTOS", "--finder", "finder"],
        "--finder must be given with --faces or --boxes",
    ),
    "faces beside boxes": (["PHOTOS", "--faces", "all", "--boxes", "TABLE"], "--faces must not be given with --boxes"),
    "no model": (["PHOTOS"], "MODEL and DATA must both be given"),
    "no photos": (["nowhere", "--boxes", "TABLE"], "photos must be a folder; there is no 'nowhere'"),
    "no table": (["PHOTOS", "--boxes", "nothing.csv"], "boxes must be a .csv file; there is no 'nothing.csv'"),
    "no finder": (["PHOTOS", "--boxes", "TABLE", "--finder", "nobody"], "there is no file 'nobody'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_command_refuses(case: str, tmp_path: Path, capsys: Any) -> None:
    arguments, sentence = REFUSED[case]
    places = {"PHOTOS": str(tmp_path), "TABLE": str(write(tmp_path, HEADER + "a.png,1,1,30,30\n"))}
    assert run(["evaluate", *(places.get(argument, argument) for argument in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("fer-fast: ") and err.count("\n") == 1 and sentence in err

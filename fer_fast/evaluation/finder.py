"""A face finder scored on photos with labelled boxes: a report, ready for JSON, and its lines for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast.datasets.labelled_boxes import LabelledPhoto, load_boxes
from fer_fast.evaluation.boxes import OVERLAP, Boxes, size_scores
from fer_fast.evaluation.lines import aligned, number, percent
from fer_fast.faces.finder import FaceFinder
from fer_fast.types import counted

#: Raise the number when a reader of old reports would be misled.
SCHEMA = "fer_fast.evaluation.finder 1"
#: Faces are found down to this score, since average precision asks what is right among the doubtful ones.
LOWEST_SCORE = 0.02


def evaluate_finder(
    finder: str | Path,
    photos: str | Path,
    boxes: str | Path,
    *,
    find_size: int = 640,
    score: float = 0.6,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    tell: Callable[[str], None] = lambda doing: None,
) -> dict[str, Any]:
    """Scores a finder on the photos that a table of boxes names.

    Args:
        finder, find_size, score, engine, precision, device: as for `FaceFinder`; recall is told at the score.
        photos: a folder of photos.
        boxes: a .csv, see `datasets.labelled_boxes.load_boxes`.
        tell: hears what is done now.

    Returns:
        finder, ran (what `FaceFinder.describe` says), data, score and `sizes`: see `evaluation.boxes.size_scores`.

    Raises:
        ValueError: if photos or boxes are wrong, or an option is.
        CheckpointError: if the finder is missing or damaged.
        DecodeError: if a photo cannot be read.
    """
    labelled = load_boxes(Path(photos), Path(boxes))
    if not 0 <= score <= 1:
        raise ValueError(f"score must be a number from 0 to 1, not {score!r}")
    lowest = min(score, LOWEST_SCORE)
    options: dict[str, Any] = {"engine": engine, "precision": precision, "device": device, "find_size": find_size}
    with FaceFinder(finder, score=lowest, min_face=0, **options) as opened:
        ran = opened.describe()
        found = find_all(opened, labelled, tell)
    valid = [photo.valid for photo in labelled]
    return {
        "schema": SCHEMA,
        "finder": str(finder),
        "ran": {name: value for name, value in ran.items() if isinstance(value, (str, int, float))},
        "data": {
            "name": Path(photos).resolve().name,
            "photos": len(labelled),
            "faces": int(sum(each.sum() for each in valid)),
            "invalid": int(sum((~each).sum() for each in valid)),
        },
        "overlap": OVERLAP,
        "score": score,
        "sizes": size_scores(found, labelled, score),
    }


def find_all(
    finder: FaceFinder, photos: Sequence[LabelledPhoto], tell: Callable[[str], None] = lambda doing: None
) -> list[Boxes]:
    """Of each photo what is found in it: float64 [faces, 5], x, y, width, height, score."""

    def find(photo: LabelledPhoto) -> Boxes:
        [faces] = finder.find([photo.path])
        rows = [(face.x, face.y, face.width, face.height, face.score) for face in faces]
        return np.array(rows, np.float64).reshape(-1, 5)

    found = []
    with ThreadPoolExecutor(finder.streams) as pool:
        for each in pool.map(find, photos):
            found.append(each)
            tell(f"{len(found)} of {len(photos)} photos")
    return found


def finder_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What was scored, and a line a size."""
    data, score = report["data"], report["score"]
    invalid = f", {data['invalid']:,} more not valid" if data["invalid"] else ""
    photos, faces = counted(data["photos"], "photo", "photos"), counted(data["faces"], "face", "faces")
    yield f"{report['finder']} on {data['name']}: {photos}, {faces}{invalid}"
    yield f"average precision (boxes that overlap by {report['overlap']}); recall and wrong faces at score {score}"
    rows = [["shorter side, px", "faces", "average precision", "recall, %", "wrong"]]
    for size in report["sizes"]:
        shares = number(size["average_precision"]), percent(size["recall"], 1)
        rows.append([size_name(size), f"{size['faces']:,}", *shares, f"{size['wrong']:,}"])
    yield from aligned(rows, left=1)


def size_name(size: Mapping[str, Any]) -> str:
    """Of one of a report's sizes."""
    return f"{size['least']:g} or more" if size["below"] is None else f"{size['least']:g} to {size['below']:g}"

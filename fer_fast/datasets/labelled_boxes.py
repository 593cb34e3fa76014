"""Photos whose faces are labelled with boxes: a table of boxes comes in, the boxes of each photo go out."""

from __future__ import annotations

import csv
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_fast.machine.disk import check_file, check_readable_folder

_NUMBERS = ("x", "y", "width", "height")


@dataclass(frozen=True, eq=False)
class LabelledPhoto:
    """One photo.

    Attributes:
        path: the file.
        boxes: float64 [faces, 4]: x, y, width, height, in pixels of the upright photo.
        valid: bool [faces]; the others are neither missed nor wrong when they are found.
    """

    path: Path
    boxes: npt.NDArray[np.float64]
    valid: npt.NDArray[np.bool_]


def load_boxes(photos: Path, table: Path) -> list[LabelledPhoto]:
    """Reads a table of boxes, a row a face.

    Args:
        photos: the folder that the files of the table are in.
        table: a .csv with the columns file (its path in that folder), x, y, width, height, in pixels of the upright
            photo, and perhaps invalid, 1 for what nobody has to find; so is a box without width or height. Other
            columns are not read.

    Returns:
        The photos that the table names, in its order.

    Raises:
        ValueError: if there is no such folder or table, a column is missing, a row breaks its rule or stands twice, or
            a photo that the table names is not there.
    """
    check_readable_folder("photos", photos)
    check_file("boxes", table, ".csv")
    rows = _boxes_of(table)
    if not rows:
        raise ValueError(f"boxes must hold a face; {str(table)!r} has no rows")
    if absent := [name for name in rows if not (photos / name).is_file()]:
        raise ValueError(f"photos must hold every file of the boxes; {absent[0]!r} is not in {str(photos)!r}")
    return [
        LabelledPhoto(photos / name, np.array([box for box, _ in found]), np.array([valid for _, valid in found]))
        for name, found in rows.items()
    ]


def _boxes_of(table: Path) -> dict[str, list[tuple[list[float], bool]]]:
    """Of each file that a table names the boxes, and whether they count."""
    rows: dict[str, list[tuple[list[float], bool]]] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in ("file", *_NUMBERS) if name not in (reader.fieldnames or ())]:
                raise ValueError(
                    f"boxes {str(table)!r} must have the columns file, x, y, width, height; {missing[0]!r} is not there"
                )
            for row in reader:
                place = f"line {reader.line_num} of {str(table)!r}"
                box = _box(row, place)
                boxes = rows.setdefault(os.path.normpath(row["file"]), [])
                if box[1] and box in boxes:
                    raise ValueError(f"a face must have one row; {place} says again what an earlier one says")
                boxes.append(box)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"boxes {str(table)!r} cannot be read as csv: {error}") from error
    return rows


def _box(row: dict[Any, Any], place: str) -> tuple[list[float], bool]:
    """A row's box, and whether it counts."""
    if None in row:  # such as the halves of numbers with a decimal comma
        raise ValueError(f"a row must have no more cells than the header; {place} has {len(row[None])} more")
    if not row["file"]:
        raise ValueError(f"file must name a photo; {place} names none")
    try:
        box = [float(row[name] or "") for name in _NUMBERS]
        invalid = float(row.get("invalid") or 0)
    except ValueError as error:
        raise ValueError(f"a box must be numbers; {place}: {error}") from error
    if invalid not in (0, 1):
        raise ValueError(f"invalid must be 0 or 1; {place} has {row['invalid']!r}")
    if not all(map(math.isfinite, box)) or min(box[2:]) < 0:
        raise ValueError(f"a box must be finite, its width and height 0 or more; {place} has {box}")
    return box, not invalid and min(box[2:]) > 0

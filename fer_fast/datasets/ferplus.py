"""FERPlus on disk: Microsoft's vote table, and the faces as PNG files or in Kaggle's csv."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast.datasets.split import FERPLUS_COLUMNS, Split
from fer_fast.decode.faults import os_fault
from fer_fast.types import FerFastError

#: Split -> its folder in the official layout and its value in the tables' Usage columns.
SPLIT_PLACES: dict[str, tuple[str, str]] = {
    "train": ("FER2013Train", "Training"),
    "valid": ("FER2013Valid", "PublicTest"),
    "test": ("FER2013Test", "PrivateTest"),
}
#: Microsoft's votes.
TABLE = "fer2013new.csv"
#: The pixels as Kaggle published them, under either of the names that are in use.
KAGGLE = ("fer2013.csv", "icml_face_data.csv")
#: Pixels along a side of a face.
SIDE = 48

Votes = tuple[int, ...]


def is_ferplus(data: Path) -> bool:
    """Whether a folder looks like FERPlus, complete or not."""
    return any((data / name).exists() for name in (TABLE, *KAGGLE, *(folder for folder, _ in SPLIT_PLACES.values())))


def has_ferplus_split(data: Path, split: str) -> bool:
    """Whether FERPlus' folder has the faces of one split; Kaggle's table has those of all."""
    return (data / SPLIT_PLACES[split][0]).is_dir() or any((data / name).is_file() for name in KAGGLE)


def load_ferplus(data: Path, split: str) -> Split:
    """Reads one split.

    Args:
        data: a folder with fer2013new.csv and either FER2013Train/, FER2013Valid/ and FER2013Test/ (the layout of the
            official script) or fer2013.csv (Kaggle's; the script takes its rows for the vote table's).
        split: train, valid or test.

    Returns:
        Its images, joined to their votes. A name that occurs twice with different votes is dropped; an image that
        cannot be read, or is not 48 x 48, is left out and told of in `unread`.

    Raises:
        ValueError: if `data` does not have the layout, the tables do not match, or no image is left.
    """
    if split not in SPLIT_PLACES:
        raise ValueError(f"split must be one of {', '.join(SPLIT_PLACES)} of FERPlus, not {split!r}")
    folder, usage = SPLIT_PLACES[split]
    table = data / TABLE
    kaggle = next((data / name for name in KAGGLE if (data / name).is_file()), None)
    if not table.is_file():
        raise ValueError(f"data {str(data)!r} must hold the votes, {TABLE}")
    if not (data / folder).is_dir() and kaggle is None:
        raise ValueError(f"data {str(data)!r} must hold the faces, in {folder}/ or in {KAGGLE[0]}")
    rows = list(_read_votes(table))
    votes = _agreed(rows, usage)
    unread: list[tuple[str, str]] = []
    faces: dict[str, npt.NDArray[np.uint8]] = {}
    found = _from_folder(data / folder, votes) if (data / folder).is_dir() else _from_kaggle(kaggle, rows, usage)
    for name, face in found:
        if isinstance(face, str):
            unread.append((name, face))
        elif name in votes:
            faces.setdefault(name, face)
    if not faces:
        reason = f", and the first of {len(unread)} that cannot be read is {unread[0][0]}" if unread else ""
        raise ValueError(f"data {str(data)!r} must hold images of {folder} that {TABLE} names; it holds none{reason}")
    names = sorted(faces)
    pixels = np.stack([faces[name] for name in names])
    return Split(names, pixels, np.array([votes[name] for name in names], np.float32), unread=unread)


def _from_folder(folder: Path, names: dict[str, Votes]) -> Iterator[tuple[str, npt.NDArray[np.uint8] | str]]:
    """Each name that has a file, with its face, or why there is none."""
    for name in sorted(names):
        path = folder / name
        yield name, _read_face(path) if path.is_file() else "there is no such file"


def _read_face(path: Path) -> npt.NDArray[np.uint8] | str:
    try:
        with Image.open(path) as image:
            face = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # whatever Pillow says of damage
        if isinstance(error, OSError) and error.errno is not None and os_fault(error).again:
            # A data set that lacks images by chance would train and score something else.
            raise FerFastError(f"{str(path)!r} cannot be read now: {error.strerror}") from error
        return f"it cannot be read: {error}"
    return (
        face
        if face.shape == (SIDE, SIDE)
        else f"it must be {SIDE} x {SIDE} pixels, not {face.shape[1]} x {face.shape[0]}"
    )


def _from_kaggle(
    path: Path | None, rows: list[tuple[str, str, Votes]], usage: str
) -> Iterator[tuple[str, npt.NDArray[np.uint8] | str]]:
    """The same from Kaggle's csv, whose rows are the vote table's."""
    assert path is not None
    csv.field_size_limit(sys.maxsize)
    with path.open(newline="", encoding="utf-8") as file:
        # The copy called icml_face_data.csv has spaces in its header.
        reader = csv.DictReader(file, skipinitialspace=True)
        if missing := {"pixels", "Usage"} - {name.strip() for name in reader.fieldnames or ()}:
            raise ValueError(f"table {str(path)!r} must have the column {min(missing)!r}")
        for count, (record, row) in enumerate(zip_longest(reader, rows), 1):
            if record is None or row is None or record["Usage"] != row[0]:
                raise ValueError(
                    f"{path.name} and {TABLE} must have the same rows in the same order; they part at row {count}"
                )
            if row[1] and row[0] == usage:
                yield row[1], _parse_face(record["pixels"] or "")


def _parse_face(text: str) -> npt.NDArray[np.uint8] | str:
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        return f"its pixels must be numbers: {error}"
    if values.size != SIDE * SIDE:
        return f"it must be {SIDE * SIDE} pixels, not {values.size}"
    if values.min() < 0 or values.max() > 255:
        return f"its pixels must be from 0 to 255, not {values.min()} to {values.max()}"
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _read_votes(table: Path) -> Iterator[tuple[str, str, Votes]]:
    """Usage, name (empty where there is no image) and votes of each row."""
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := {"Usage", "Image name", *FERPLUS_COLUMNS} - set(reader.fieldnames or ()):
            raise ValueError(f"table {str(table)!r} must have the column {min(missing)!r}")
        for row in reader:
            yield row["Usage"], row["Image name"], _votes(row, table) if row["Image name"] else ()


def _agreed(rows: list[tuple[str, str, Votes]], usage: str) -> dict[str, Votes]:
    """The votes by name; a name with two opinions is dropped."""
    found: dict[str, set[Votes]] = {}
    for where, name, votes in rows:
        if where == usage and name:
            found.setdefault(name, set()).add(votes)
    return {name: next(iter(votes)) for name, votes in found.items() if len(votes) == 1}


def _votes(row: dict[str, str], table: Path) -> Votes:
    try:
        return tuple(int(row[column]) for column in FERPLUS_COLUMNS)
    except (TypeError, ValueError) as error:
        raise ValueError(f"table {str(table)!r} must have ten votes for {row['Image name']!r}: {error}") from error

"""FERPlus on disk to arrays: PNG folders and Microsoft's vote table come in, pixels, votes and labels go out."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fer_fast.types import EMOTIONS

#: Split -> its folder in the official layout and its value in the table's Usage column.
SPLITS: dict[str, tuple[str, str]] = {
    "train": ("FER2013Train", "Training"),
    "valid": ("FER2013Valid", "PublicTest"),
    "test": ("FER2013Test", "PrivateTest"),
}
TABLE = "fer2013new.csv"
#: Pixels along a side of a face.
SIDE = 48
#: The table's ten vote columns; the first eight are `EMOTIONS`.
COLUMNS: tuple[str, ...] = (*EMOTIONS, "unknown", "NF")
PROTOCOLS: tuple[str, ...] = ("argmax10", "argmax8", "majority", "paper6")


@dataclass(frozen=True)
class Split:
    """One split of FERPlus, in the order of its file names.

    Attributes:
        names: file names.
        pixels: uint8 [images, 48, 48], grey.
        votes: float32 [images, 10], the votes in the order of `COLUMNS`.
    """

    names: list[str]
    pixels: np.ndarray
    votes: np.ndarray

    def selection(self, protocol: str) -> tuple[np.ndarray, np.ndarray]:
        """Which images a protocol keeps, and their classes.

        Args:
            protocol: `argmax10` (plurality of all ten columns, images that are mostly unknown or NF dropped),
                `argmax8` (plurality of the emotions), `majority` (the official script: single votes dropped, then
                more than half of what is left for one emotion), `paper6` (`argmax10` without disgust and contempt;
                Oh & Yoo 2023).

        Returns:
            indices [kept] into the split and class numbers [kept] into `EMOTIONS`.

        Raises:
            ValueError: on another protocol.
        """
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {protocol!r}")
        votes = self.votes
        if protocol == "argmax8":
            votes = votes[:, :8]
        if protocol == "majority":
            votes = np.where(votes <= 1, 0, votes)
        labels = votes.argmax(axis=1)
        keep = (labels < len(EMOTIONS)) & (votes.max(axis=1) > 0)
        if protocol == "majority":
            keep &= votes.max(axis=1) > 0.5 * votes.sum(axis=1)
        if protocol == "paper6":
            keep &= (labels != EMOTIONS.index("disgust")) & (labels != EMOTIONS.index("contempt"))
        indices = np.flatnonzero(keep)
        return indices, labels[indices]

    def digests(self) -> list[bytes]:
        """One digest of the pixels an image: equal where two images are exact duplicates."""
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self.pixels]


def load_split(data: Path, split: str) -> Split:
    """Reads one split.

    Args:
        data: the folder that holds FER2013Train, FER2013Valid, FER2013Test and fer2013new.csv.
        split: train, valid or test.

    Returns:
        Its images, joined to their votes by name. A name that occurs twice with different votes is dropped.

    Raises:
        ValueError: on an unknown split, or if `data` does not have the layout, or an image is broken or not 48 x 48.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    folder, usage = SPLITS[split]
    table = data / TABLE
    if not table.is_file() or not (data / folder).is_dir():
        raise ValueError(f"data must be a folder with {folder}/ and {TABLE}, not {str(data)!r}")
    votes = _read_votes(table, usage)
    names = sorted(name for name in votes if (data / folder / name).is_file())
    if not names:
        raise ValueError(f"data must hold images in {folder}/ that {TABLE} names; {str(data)!r} holds none")
    pixels = np.stack([_read_face(data / folder / name) for name in names])
    return Split(names, pixels, np.array([votes[name] for name in names], dtype=np.float32))


def unseen(split: Split, others: list[Split]) -> np.ndarray:
    """Which images have pixels that occur in no other split: bool [images].

    FERPlus leaks: 8 % of the test images are exact copies of training images.
    """
    seen = {digest for other in others for digest in other.digests()}
    return np.array([digest not in seen for digest in split.digests()])


def _read_face(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"image {str(path)!r} cannot be read: {error}") from error
    if pixels.shape != (SIDE, SIDE):
        raise ValueError(f"image {str(path)!r} must be {SIDE} x {SIDE} pixels, not {image.width} x {image.height}")
    return pixels


def _read_votes(table: Path, usage: str) -> dict[str, tuple[int, ...]]:
    rows: dict[str, set[tuple[int, ...]]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := {"Usage", "Image name", *COLUMNS} - set(reader.fieldnames or ()):
            raise ValueError(f"table {str(table)!r} must have the column {min(missing)!r}")
        for row in reader:
            if row["Usage"] == usage and row["Image name"]:
                rows.setdefault(row["Image name"], set()).add(_votes(row, table))
    return {name: next(iter(votes)) for name, votes in rows.items() if len(votes) == 1}


def _votes(row: dict[str, str], table: Path) -> tuple[int, ...]:
    try:
        return tuple(int(row[column]) for column in COLUMNS)
    except (TypeError, ValueError) as error:
        raise ValueError(f"table {str(table)!r} must have ten votes for {row['Image name']!r}: {error}") from error

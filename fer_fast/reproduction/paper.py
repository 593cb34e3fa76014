"""The study of Oh & Yoo 2023: which of the image and FM1..FM4 a Vision Transformer is given, and what they report."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from fer_fast.models.fusion.config import SOURCES

TAPS: tuple[str, ...] = SOURCES[1:]
#: What the paper leaves open, how a map enters the Vision Transformer: by name, `reduce_mean`.
READINGS: dict[str, bool] = {"mean": True, "channels": False}
#: What its Tables 1 to 3 report.
PUBLISHED = Path(__file__).with_name("published.csv")


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper's Tables 1 to 3."""

    table: int
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        """The sources as the paper writes them, image + FM2 for example."""
        return " + ".join(self.sources)


def paper_rows() -> list[PaperRow]:
    """All 31 rows: single sources (Table 1), two or more maps (Table 2), the image with maps (Table 3)."""
    several = [names for count in (2, 3, 4) for names in combinations(TAPS, count)]
    beside = [("image", *names) for count in (1, 2, 3, 4) for names in combinations(TAPS, count)]
    tables: dict[int, list[tuple[str, ...]]] = {1: [(name,) for name in SOURCES], 2: [*several], 3: [*beside]}
    return [PaperRow(table, sources) for table, rows in tables.items() for sources in rows]


def named_rows(names: Sequence[str] | None = None, reading: str | None = None) -> list[tuple[str, PaperRow]]:
    """Rows of the paper, each in a reading or in both, in the paper's order.

    Args:
        names: as `PaperRow.name`, with or without spaces, in any order; None for all.
        reading: of `READINGS`; None for both.

    Raises:
        ValueError: if a name is no row's.
    """
    known = {row.name.replace(" ", ""): row for row in paper_rows()}
    wanted = known.keys() if names is None else {name.replace(" ", "") for name in names}
    for name in sorted(wanted - known.keys()):
        raise ValueError(f"rows must be the paper's, such as image, FM2 or image+FM2+FM3+FM4, not {name!r}")
    readings = READINGS if reading is None else [reading]
    # The image alone has no map: both readings are the same row.
    return [
        (each, row)
        for name, row in known.items()
        if name in wanted
        for each in (readings if name != "image" else ["channels"])
    ]


def read_published(path: Path = PUBLISHED) -> dict[str, dict[str, float]]:
    """What the paper reports.

    Args:
        path: a csv with the columns sources (as `PaperRow.name`), train and test (per cent; empty if unknown).

    Returns:
        Name of the row to "train" and "test", where known, in per cent.

    Raises:
        ValueError: if a column is missing, a row is none of the paper's or a value is not a number.
    """
    names = {row.name for row in paper_rows()}
    published = {}
    with path.open(newline="", encoding="utf-8") as file:
        for record in csv.DictReader(file):
            if record.get("sources") not in names:
                raise ValueError(f"{str(path)!r} must hold rows of the paper, not {record.get('sources')!r}")
            try:
                values = {split: float(record[split]) for split in ("train", "test") if record[split]}
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{str(path)!r} must have numbers in train and test: {error}") from error
            published[record["sources"]] = values
    return published

"""A table of many films' faces comes in; the faces of one film go out, track by track."""

# ruff: noqa: PTH119 (a Path cannot hold every str)
from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.films.stretch import WHOLE, Stretch
from fer_fast.table.reading import Cells, read_rows
from fer_fast.table.records import path_of
from fer_fast.types import one_line

if TYPE_CHECKING:
    import numpy.typing as npt

#: What a table of films has, and what is taken of it.
_BOX = ("x", "y", "width", "height")
_FILMS = ("frame", "time", "track")
_COLUMNS = ("path", "status", "error", "label", *_FILMS, *_BOX)
#: Films that a message names.
_NAMED = 5


@dataclass
class Track:
    """A face over time; a row of each array a look at it, by rising time.

    Attributes:
        number: its own.
        frames: of the film.
        times: seconds.
        boxes: x, y, width and height of each, in pixels of the upright frame.
        shares: its probabilities of each class.
        unsure: whether it was called nothing.
    """

    number: int
    frames: array[int] = field(default_factory=lambda: array("q"))
    times: array[float] = field(default_factory=lambda: array("d"))
    boxes: array[float] = field(default_factory=lambda: array("f"))
    shares: array[float] = field(default_factory=lambda: array("f"))
    unsure: array[int] = field(default_factory=lambda: array("b"))

    def box(self, look: int) -> tuple[float, float, float, float]:
        """Of one look."""
        left, top, width, height = self.boxes[4 * look : 4 * look + 4]
        return left, top, width, height

    def probabilities(self) -> npt.NDArray[np.float32]:
        """Of all looks, [looks, classes]."""
        return np.asarray(self.shares).reshape(len(self.times), -1)


@dataclass
class SeenFilm:
    """Who is in a film, as a table has it.

    Attributes:
        cell: what the table calls it.
        classes: of the probabilities.
        smoothed: whether these are averages over the track.
        tracks: by number.
        nameless: how many faces have no track.
        faults: what the table says is wrong with the film.
    """

    cell: str
    classes: tuple[str, ...]
    smoothed: bool
    tracks: dict[int, Track] = field(default_factory=dict)
    nameless: int = 0
    faults: list[str] = field(default_factory=list)


def seen_in(table: str, film: str, part: Stretch = WHOLE) -> SeenFilm:
    """Reads a film's rows.

    The table's paths are taken as from the current folder. If none leads to the film, the only one of its name is
    taken: the table may have been made elsewhere.

    Args:
        table: csv, jsonl or parquet, as `classify` makes it of films.
        film: its path.
        part: of the film; what is seen outside is left out.

    Raises:
        ValueError: the table is none of films, is damaged, or does not have this one, or no face with a track in it or
            the part.
        MissingExtraError: a parquet table, and pyarrow is not installed.
    """
    names, rows = read_rows(table)
    lacking = [name for name in _COLUMNS if name not in names]
    if lacking:
        which = "is none of films' faces" if {*lacking} & {*_FILMS} else "is no table of faces"
        raise ValueError(f"the table {table!r} {which}: it lacks the columns {', '.join(lacking)}")
    classes = tuple(name[2:] for name in names if name.startswith("p_"))
    if not classes:
        raise ValueError(f"the table {table!r} is no table of faces: it lacks the columns p_<class>")
    smoothed = bool(classes) and all(f"smooth_{name}" in names for name in classes)
    found, others = _found(rows, os.path.basename(film), classes, smoothed, part)
    seen = _chosen(found, film)
    if seen is None:
        raise ValueError(f"the table {table!r} {_named(found, film, others)}")
    if not seen.tracks:
        where = "" if part == WHOLE else " in the part that is asked for"
        why = "; ".join(seen.faults) or f"no face of a track{where}"
        raise ValueError(f"the table {table!r} has no face in {film!r}: {why}")
    return seen


def _found(
    rows: Iterator[Cells], name: str, classes: tuple[str, ...], smoothed: bool, part: Stretch
) -> tuple[dict[str, SeenFilm], dict[str, None]]:
    """Films of a name by their paths; and the paths of some others."""
    found: dict[str, SeenFilm] = {}
    others: dict[str, None] = {}
    shares = [("smooth_" if smoothed else "p_") + each for each in classes]
    for row in rows:
        cell = row["path"] or ""
        if os.path.basename(path_of(cell)) != name:
            if row["frame"] is not None and len(others) <= _NAMED:
                others[cell] = None
            continue
        try:
            seen = found.setdefault(cell, SeenFilm(cell, classes, smoothed))
            if row["time"] is None or part.holds(round(1000 * float(row["time"]))):
                _add(seen, row, shares)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"a row of {cell!r} in the table is damaged: {one_line(error)}") from error
    return found, others


def _add(seen: SeenFilm, row: Cells, shares: list[str]) -> None:
    if row["status"] not in ("ok", "abstained"):
        if row["status"] != "no_face":
            seen.faults.append(f"{row['status']}: {row['error']}")
        return
    if row["track"] is None or row["time"] is None:
        seen.nameless += 1
        return
    if row["label"] and row["label"] not in seen.classes:
        raise ValueError(f"the label {row['label']!r} has no column p_{row['label']}")
    number = int(row["track"])
    track = seen.tracks.setdefault(number, Track(number))
    time = float(row["time"])
    if track.times and time < track.times[-1]:
        raise ValueError(f"the times of track {number} must not go back, from {track.times[-1]} to {time}")
    track.frames.append(int(row["frame"]))
    track.times.append(time)
    track.boxes.extend(_number(row, name, -math.inf, math.inf) for name in _BOX)
    plain = [name.replace("smooth_", "p_", 1) for name in shares]
    track.shares.extend(
        _number(row, other if row[name] is None else name, 0.0, 1.0) for name, other in zip(shares, plain, strict=True)
    )
    track.unsure.append(not row["label"])


def _number(row: Cells, name: str, least: float, most: float) -> float:
    """A cell's number; of no other is anything drawn."""
    cell = row[name]
    number = math.nan if cell is None else float(cell)
    if not (math.isfinite(number) and least <= number <= most):
        rule = "finite" if math.isinf(most) else f"from {least:g} to {most:g}"
        raise ValueError(f"{name} must be a number, {rule}, not {cell!r}")
    return number


def _chosen(found: dict[str, SeenFilm], film: str) -> SeenFilm | None:
    place = os.path.realpath(film)
    same = [seen for cell, seen in found.items() if os.path.realpath(path_of(cell)) == place]
    return same[0] if same else next(iter(found.values())) if len(found) == 1 else None


def _named(found: dict[str, SeenFilm], film: str, others: dict[str, None]) -> str:
    """What is said of a film that is not there."""
    if found:
        return f"has several films of the name of {film!r}, and none at its place: {', '.join(map(repr, found))}"
    if not others:
        return f"has no film, and so not {film!r}"
    more = ", ..." if len(others) > _NAMED else ""
    return f"does not have {film!r}, but {', '.join(map(repr, [*others][:_NAMED]))}{more}"

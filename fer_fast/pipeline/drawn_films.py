"""A run's finished table comes in; each of its films goes out again, with what the table says of it drawn in.

The table is what is drawn, not what passed by while it was made: so a film that several runs went through is drawn as
one, and a drawing that was broken off is made by whoever goes on. The head of a drawing says of which rows it is.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, wait
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.films.canvas import label_of
from fer_fast.films.classify import FrameFaces, TrackedFace
from fer_fast.films.drawing import comment_of, draw_film
from fer_fast.films.film import Film
from fer_fast.films.writing import CONTAINERS
from fer_fast.inputs import key_of
from fer_fast.inputs.films import is_film
from fer_fast.machine.begun import begun
from fer_fast.machine.stall import Pulse, wait_for
from fer_fast.reports.saved import SavedPictures, picture_stem
from fer_fast.table.file_rows import FileRows, rows_by_files
from fer_fast.table.kept import stamp_of
from fer_fast.table.manifest import Run
from fer_fast.table.reading import Cells
from fer_fast.table.records import path_of
from fer_fast.types import DecodeError, Face, ItemRows, Prediction, Status

if TYPE_CHECKING:
    from fer_fast.pipeline.films import FilmOptions

    #: Told of a film's name and the seconds of it that are drawn, on another thread than the caller's, who waits.
    Tell = Callable[[str, float], None]

#: A table has no landmarks, and none are drawn.
_NOWHERE = ((0.0, 0.0),) * 5
#: How long who is interrupted waits for a drawing to be taken away.
_LAST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _RowFace(TrackedFace):
    """A face of a table; whether the table has a label of it."""

    is_sure: bool = True


class DrawnFilms:
    """The films of a run as they are drawn; a drawing that stands is of the rows that the table has.

    Args:
        folder: where they go, made once there is one.
        options: how films were looked at.

    Attributes:
        films: what became of them.
    """

    def __init__(self, folder: Path, options: FilmOptions) -> None:
        self.films = SavedPictures(folder)
        self._options = options

    def see(self, found: Sequence[ItemRows]) -> None:
        """Takes what became of parts of films: a drawing of rows that the table had before is taken away."""
        for each in found:
            if each.film is not None:
                self._place(each.item.path, key_of(each.item.path)).unlink(missing_ok=True)

    def draw(self, table: str, tell: Tell) -> None:
        """Draws each film of a table that has no drawing of its rows, one after the other; memory does not grow.

        Raises:
            OutputError: a film cannot be written; those that are drawn stay, and none has its name that is not whole.
            ValueError, OSError: the table cannot be read.
        """
        run, names, files = rows_by_files(table, ("path", "status", "frame", "time", "track"))
        classes = tuple(name[2:] for name in names if name.startswith("p_"))
        for file in files:
            first = next(file.rows, None)
            name = path_of(first["path"]) if first is not None else ""
            if first is None or not is_film(name) or (first["frame"] is None and first["status"] != Status.NO_FACE):
                continue
            rows = _RowsOf(first, file.rows, classes)
            try:
                self.films.saved += _apart(partial(self._draw, run, name, file, rows, tell))
            except (DecodeError, ValueError) as error:  # it is gone, or another one, since it was looked at
                self.films.fail(name, error)

    def _draw(self, run: Run, name: str, file: FileRows, rows: _RowsOf, tell: Tell, stop: threading.Event) -> bool:
        """Draws a film; False if its drawing stands."""
        place, comment = self._place(name, file.key), _comment(run, file)
        if place.exists() and comment_of(place) == comment:
            return False
        path = _path(run, name, file)
        place.parent.mkdir(parents=True, exist_ok=True)
        with closing(_looks(path, self._options, rows, tell, stop)) as looks:
            draw_film(path, place, looks, classes=rows.classes, label=_label, comment=comment)
        return True

    def _place(self, path: str, key: int) -> Path:
        suffix = Path(path).suffix.lower()
        return self.films.folder / f"{picture_stem(path, key)}{suffix if suffix in CONTAINERS else '.mp4'}"


def _apart(draw: Callable[[threading.Event], bool]) -> bool:
    """Draws on a thread of its own: in FFmpeg's calls of Python a Ctrl-C would be lost, and look like damage."""
    stop = threading.Event()
    drawing = begun(lambda: draw(stop), "fer-fast-draw-film")
    try:
        return wait_for(drawing, 0, Pulse(), "the drawing")
    except BaseException:
        stop.set()
        wait([drawing], _LAST_SECONDS)
        raise


def _path(run: Run, name: str, file: FileRows) -> str:
    """Where the film is of which a table has rows.

    Raises:
        ValueError: it is not to be found from here, or has changed.
    """
    path = next((each for each in run.places(name) if key_of(each) == file.key), None)
    if path is None:
        raise ValueError("the film is not to be found from this folder")
    now = stamp_of(path)
    if now is not None and now != file.stamp:
        raise ValueError("the film has changed since it was looked at")
    return path


def _comment(run: Run, file: FileRows) -> str:
    """What rows are made of: the same for no others of a film. Which share it was in is nothing to them."""
    settings = {name: value for name, value in run.settings.items() if name != "shard"}
    about = json.dumps([run.version, settings, file.key, file.stamp, file.row_count], sort_keys=True)
    return f"fer-fast {hashlib.blake2b(about.encode(), digest_size=16).hexdigest()}"


class _RowsOf:
    """The rows of one film, by frames; each is taken once.

    Args:
        first, others: all of them.
        classes: of their probabilities.
    """

    def __init__(self, first: Cells, others: Iterator[Cells], classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._frames = groupby(_with_frames(first, others), lambda row: int(row["frame"]))
        self._next = next(self._frames, None)

    def of(self, frame: float) -> tuple[TrackedFace, ...]:
        """The faces of a frame; of infinity, behind the last, none.

        Raises:
            ValueError: those of an earlier one were not taken: the film has no such frame any more.
        """
        if self._next is None or self._next[0] > frame:
            return ()
        number, rows = self._next
        if number < frame:
            raise ValueError(f"the table has faces in frame {number}, which the film does not have: it has changed")
        faces = tuple(self._face(row) for row in rows if row["x"] is not None)
        self._next = next(self._frames, None)
        return faces

    def _face(self, row: Cells) -> TrackedFace:
        x, y, width, height, score = (float(row[name]) for name in ("x", "y", "width", "height", "score"))
        face = Face(x, y, width, height, _NOWHERE, score, self._prediction(row, "p_"))
        track = None if row["track"] is None else int(row["track"])
        has_average = row.get(f"smooth_{self.classes[0]}") is not None
        average = self._prediction(row, "smooth_") if has_average else None
        return _RowFace(face, track, average, row["label"] is not None)

    def _prediction(self, row: Cells, prefix: str) -> Prediction:
        shares = [float(row[f"{prefix}{name}"]) for name in self.classes]
        return Prediction(self.classes, np.array(shares, np.float32))


def _with_frames(first: Cells, others: Iterator[Cells]) -> Iterator[Cells]:
    """Without the last row of a film that is damaged, say."""
    if first["frame"] is not None:
        yield first
    yield from (row for row in others if row["frame"] is not None)


def _looks(
    path: str, options: FilmOptions, rows: _RowsOf, tell: Tell, stop: threading.Event
) -> Generator[FrameFaces, None, None]:
    """All that was looked at: of a frame without a face a table has no row, and it is looked for once more."""
    part = {"start": options.start, "end": options.end, "every": options.every}
    with Film(path, **part) as film, closing(film.frames()) as frames:  # type: ignore[arg-type]
        for frame in frames:
            if stop.is_set():
                raise CancelledError
            tell(path, frame.time)
            yield FrameFaces(frame.number, frame.time, rows.of(frame.number))
        if film.fault is not None and film.fault.again:  # the disk's: what is drawn would be short
            raise film.fault
    rows.of(math.inf)


def _label(face: TrackedFace) -> str:
    return label_of(face) if isinstance(face, _RowFace) and face.is_sure else ""

"""The faces of a live frame come in; the rows of a table go out, a line of JSON each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fer_fast.faces.decoder import NO_FACE, FaceDecoder
from fer_fast.pipeline.faces import SMALLEST
from fer_fast.table.records import JsonRecords
from fer_fast.table.schema import Schema
from fer_fast.types import Column, Row, Status

if TYPE_CHECKING:
    from fer_fast.films.classify import TrackedFace
    from fer_fast.live.watch import LiveFaces

_LIVE = (Column("frame", "integer"), Column("time", "number"), Column("track", "integer"), Column("at", "text"))


class LiveRows:
    """Rows as `classify` has them of photos' faces, and behind those columns frame, time, track, at.

    Args:
        source: what rows have as their path.
        classes: of the classifier.
        smooth: whether there are averages: columns smooth_<class>.
        abstain: no label below this confidence, 0 to 1.
        empty: whether a frame without a face has a row.
    """

    def __init__(self, source: str, classes: tuple[str, ...], smooth: bool, abstain: float, empty: bool) -> None:
        averages = tuple(Column(f"smooth_{name}", "number") for name in classes) if smooth else ()
        self._records = JsonRecords(Schema(classes, (*FaceDecoder.columns, *_LIVE, *averages)))
        self._source, self._abstain, self._empty = source, abstain, empty
        self._no_average = (None,) * len(averages)

    def lines(self, seen: LiveFaces) -> bytes:
        """Those of a frame, each with its end; empty where there are none."""
        return b"".join(map(self._records.encode, self._rows(seen)))

    def _rows(self, seen: LiveFaces) -> Iterator[Row]:
        at = seen.at.isoformat(timespec="milliseconds")
        for place, each in enumerate(seen.faces):
            face = each.face
            box = (place, face.x, face.y, face.width, face.height, face.score)
            cells = (*box, seen.frame, seen.time, each.track, at, *self._averages(each))
            row = Row(self._source, Status.OK, "", face.prediction, cells)
            is_too_small = max(face.width, face.height) < SMALLEST
            yield row.abstaining(2.0 if is_too_small else self._abstain)  # above all confidences
        if not seen.faces and self._empty:
            cells = (*(None,) * len(FaceDecoder.columns), seen.frame, seen.time, None, at, *self._no_average)
            yield Row(self._source, Status.NO_FACE, NO_FACE, None, cells)

    def _averages(self, each: TrackedFace) -> tuple[float | None, ...]:
        if not self._no_average or each.smoothed is None:
            return self._no_average
        return tuple(each.smoothed.probabilities.tolist())

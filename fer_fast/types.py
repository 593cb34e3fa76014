"""The nouns of the package: class names, statuses, predictions, rows and errors."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

#: The eight FERPlus emotions, in the column order of Microsoft's vote table (Barsoum et al. 2016).
EMOTIONS: tuple[str, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
)


class FerFastError(RuntimeError):
    """A machine's or a file's fault, as opposed to the caller's (ValueError, TypeError)."""


class CheckpointError(FerFastError):
    """A checkpoint that is missing, damaged or of another shape than its configuration says."""


class MissingExtraError(FerFastError):
    """Something that was asked for needs a package that is not installed, or cannot be imported; it has pip's line."""


class OutputError(FerFastError):
    """An output that cannot be written: no room, no permission, not resumable."""


class StalledError(FerFastError):
    """Nothing has come through for too long: a thread, a library or a disk does not answer."""


class OutputRefusedError(OutputError, ValueError):
    """An output that the caller must choose otherwise; refused before the run begins."""


class Status(enum.StrEnum):
    """What became of one input file; the `status` column.

    `OK` and `ABSTAINED` have a prediction: an abstained one is not sure enough for a label. The others have none.
    `NO_FACE` is a photo that could be read and in which no face was found.
    `FAILED` is no verdict on the file: the machine was at fault (no memory, no descriptor left, a disk or a network
    that failed), and a resumed run tries again.
    """

    OK = "ok"
    ABSTAINED = "abstained"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    EMPTY = "empty"
    FAILED = "failed"
    NO_FACE = "no_face"


#: What tells that a file is still the one that was read: its size in bytes, and when it was last modified, ns.
Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a stage of its own adds to a table.

    Attributes:
        name: as the table's head has it.
        kind: what its cells hold; a cell may be None in any of them.
    """

    name: str
    kind: Literal["text", "integer", "number"]


class DecodeError(FerFastError):
    """One image that gives no pixels.

    Attributes:
        status: why, as the `status` column says it; never one that has a prediction.
        stamp: of the file, if it could be opened.
        again: whether another try may end otherwise though the file is the same: the machine was at fault, or lacked a
            codec.
    """

    def __init__(self, status: Status, reason: str, stamp: Stamp | None = None, again: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.stamp = stamp
        self.again = again or status is Status.FAILED


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The probabilities of one image; equal to another with the same classes and the same probabilities.

    Attributes:
        classes: class names, in the order of `probabilities`.
        probabilities: float32 [classes], sums to 1.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Prediction) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def _values(self) -> tuple[Any, ...]:
        return (self.classes, *self.probabilities.tolist())

    @property
    def label(self) -> str:
        """The class of the largest probability; the first of them on a tie."""
        return self.classes[int(self.probabilities.argmax())]

    @property
    def confidence(self) -> float:
        """The largest probability, 0 to 1."""
        return float(self.probabilities.max())


#: A point of an image in pixels: x from the left, y from the top; the first pixel's centre is at 0.5, 0.5.
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Face:
    """A face in an image, in pixels of the upright image; parts of it may lie outside.

    Attributes:
        x, y: of the box's left upper corner.
        width, height: of the box.
        landmarks: two eyes, the tip of the nose, two corners of the mouth; of each two the left in the image first.
        score: the finder's, 0 to 1.
        prediction: its expression; None where it was not asked for.
    """

    x: float
    y: float
    width: float
    height: float
    landmarks: tuple[Point, Point, Point, Point, Point]
    score: float
    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the output table; an input has none, one or many of them.

    Attributes:
        path: the file, as it was found (undecodable bytes as surrogate escapes).
        status: `Status.OK` or `Status.ABSTAINED` if and only if `prediction` is present.
        error: the reason, in one line; empty when there is a prediction.
        prediction: None unless the status is ok or abstained; an abstained row's is as good as any, but not sure.
        cells: of the columns that stages add, in their order; those for which it has no more are empty.
    """

    path: str
    status: Status
    error: str = ""
    prediction: Prediction | None = None
    cells: tuple[Any, ...] = ()

    @property
    def label(self) -> str:
        """The prediction's label; empty unless the status is ok."""
        return self.prediction.label if self.prediction is not None and self.status is Status.OK else ""

    def abstaining(self, below: float) -> Row:
        """This row, abstained if its confidence is smaller than `below`, 0 to 1; what it predicts stays.

        The confidence counts with the six decimals that tables show, so that a table never contradicts itself.
        """
        if self.prediction is None or round(self.prediction.confidence, 6) >= below:
            return self
        return replace(self, status=Status.ABSTAINED)


@dataclass(frozen=True, slots=True)
class Item:
    """One of the things that the inputs name: a file; or a section of a film, or its end.

    Attributes:
        path: how it is opened (undecodable bytes as surrogate escapes).
        name: what the table calls it; another than `path` only where a run goes on that began with other words for the
            same inputs.
        key: 64 bits of where it really lies, however it was named: its folder's resolved path and its own name, or its
            URL; and of which part of a film it is.
        stamp: of what lies in a store, where its listing told it.
    """

    path: str
    name: str
    key: int
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class FilmPart:
    """What the rows of a film's section, or of its end, are besides.

    Attributes:
        frames: that were looked at.
        time: seconds of the film that are done.
        state: what the next section goes on from, JSON; the end has none.
        is_end: whether the film is done.
    """

    frames: int = 0
    time: float = 0.0
    state: str = ""
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class ItemRows:
    """What became of one item: all of its rows, or none of them are in a table.

    Attributes:
        stamp: of the file that was read; None where none was.
        again: whether a resumed run tries the item again though its file is the same.
        film: of an item that is a part of one; None of a file.
    """

    item: Item
    rows: tuple[Row, ...]
    stamp: Stamp | None
    again: bool = False
    film: FilmPart | None = None


def counted(count: int, one: str, many: str) -> str:
    """A number and what it is of: "1 row is", "24 rows are"."""
    return f"{count} {one if count == 1 else many}"


def one_line(error: BaseException) -> str:
    """What an exception says, on one line and not longer than a table's cell should be."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]

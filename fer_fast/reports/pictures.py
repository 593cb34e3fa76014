"""Where the parts of three pictures stand: confusion, reliability, coverage; templates/pictures.html draws them.

Places and sizes are in pixels, y downwards; a narrow page shrinks a picture. Colours are the page's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LETTER, _CELL_WIDTH, _CELL_HEIGHT = 7.4, 62, 46
_SIDE, _STRIP, _GAP = 360, 72, 14
_CURVE_WIDTH, _CURVE_HEIGHT, _INSET = 580, 150, 24


@dataclass(frozen=True)
class Cell:
    """How often one class was answered as another.

    Attributes:
        x: of its left side.
        count, share: as text; no share where there is nothing.
        said: both in a sentence.
        shade: its share of the true class, 0 to 1.
        kind: by which the style sheet chooses the text's colour on that shade.
        right: whether the answer is the true class.
    """

    x: float
    count: str
    share: str
    said: str
    shade: float
    kind: str
    right: bool


@dataclass(frozen=True)
class ConfusionPicture:
    """The confusion matrix: a row a true class, a column an answer.

    Attributes:
        names: of the classes.
        rows: the cells of each true class.
        left, top: where the first cell stands.
        wide, tall: a cell's size.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    left: float
    top: float
    wide: float
    tall: float = _CELL_HEIGHT

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture."""
        return self.left + self.wide * len(self.names), self.top + self.tall * len(self.names)


def confusion_picture(names: Sequence[str], counts: Sequence[Sequence[int]]) -> ConfusionPicture:
    """Lays a confusion matrix out.

    Args:
        names: of the classes.
        counts: [true class][answer].
    """
    longest = max(map(len, names)) * _LETTER
    left, wide = longest + 34, max(_CELL_WIDTH, longest + 6)
    rows = []
    for true, row in zip(names, counts, strict=True):
        total = sum(row)
        cells = (
            _cell(true, answer, count, total, left + wide * column)
            for column, (answer, count) in enumerate(zip(names, row, strict=True))
        )
        rows.append([*cells])
    return ConfusionPicture(names, rows, left, 46, wide)


def _cell(true: str, answer: str, count: int, total: int, x: float) -> Cell:
    share = count / total if total else 0.0
    said = f"{true} answered as {answer}: {count:,} of {total:,} ({share:.1%})"
    kind = "full" if share > 0.5 else "half" if share > 0.15 else "" if count else "none"
    percent = f"{share:.0%}" if share >= 0.005 else "<1%"
    return Cell(x, f"{count:,}", percent if count else "", said, share, kind, true == answer)


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies between two numbers.

    Attributes:
        x: of the bar's left side.
        tall: height of the bar, the accuracy.
        line: y of the mean confidence.
        many: height of the bar in the strip, the count.
        said: all of it in a sentence.
    """

    x: float
    tall: float
    line: float
    many: float
    said: str


@dataclass(frozen=True)
class ReliabilityPicture:
    """The reliability diagram (Guo et al. 2017, Figure 1), and in a strip beneath it how many images each bin has.

    Attributes:
        bins: those that have images.
        wide: a bar's width.
        most: the largest count, as text.
    """

    bins: Sequence[Bin]
    wide: float
    most: str
    left: float = 52
    top: float = 12
    side: float = _SIDE
    strip: float = _STRIP

    @property
    def foot(self) -> float:
        """Where the strip ends."""
        return self.top + self.side + _GAP + self.strip


def reliability_picture(
    counts: Sequence[int], confidences: Sequence[float | None], accuracies: Sequence[float | None]
) -> ReliabilityPicture:
    """Lays a reliability diagram out.

    Args:
        counts: images of each bin; the bins divide 0 to 1 evenly.
        confidences, accuracies: their means, 0 to 1; None where there are no images.
    """
    most, number = max(counts) or 1, len(counts)
    picture = ReliabilityPicture([], _SIDE / number, f"{most:,}")
    bins = []
    for place, (count, sure, true) in enumerate(zip(counts, confidences, accuracies, strict=True)):
        if not count or sure is None or true is None:
            continue
        ends = f"{place / number:.0%} to {(place + 1) / number:.0%}"
        said = f"confidence {ends}: {count:,} images, mean confidence {sure:.1%}, accuracy {true:.1%}"
        line = picture.top + _SIDE * (1 - sure)
        bins.append(Bin(picture.left + place * picture.wide, true * _SIDE, line, count / most * _STRIP, said))
    return ReliabilityPicture(bins, picture.wide, picture.most)


@dataclass(frozen=True)
class Point:
    """What is left where the least sure are left out.

    Attributes:
        x, y: its place.
        value: the accuracy in percent.
        said: all of it in a sentence.
    """

    x: float
    y: float
    value: str
    said: str


@dataclass(frozen=True)
class CoveragePicture:
    """Accuracy by the share of the images that is answered (El-Yaniv & Wiener 2010).

    Attributes:
        points: from all images to the fewest.
        floor: the accuracy at the foot, in whole tens of percent.
    """

    points: Sequence[Point]
    floor: int
    least: int = 50
    left: float = 52
    top: float = 24
    wide: float = _CURVE_WIDTH
    tall: float = _CURVE_HEIGHT

    def x(self, percent: float) -> float:
        """The place of a share of the images, in percent."""
        return self.left + _INSET + (self.wide - 2 * _INSET) * (percent - self.least) / (100 - self.least)

    def y(self, percent: float) -> float:
        """The place of an accuracy, in percent."""
        return self.top + self.tall * (100 - percent) / (100 - self.floor)


def coverage_picture(
    kept: Sequence[float | None], confidences: Sequence[float | None], accuracies: Sequence[float | None]
) -> CoveragePicture:
    """Lays the curve out.

    Args:
        kept: shares of the images that are answered, 0 to 1, from all to the fewest; of a half or more.
        confidences: the least of those images.
        accuracies: theirs, 0 to 1.
    """
    rows = [
        (share, sure, true)
        for share, sure, true in zip(kept, confidences, accuracies, strict=True)
        if share is not None and sure is not None and true is not None
    ]
    lowest = min((true for _, _, true in rows), default=0.0)
    picture = CoveragePicture([], min(10 * int(10 * lowest), 90))
    points = []
    for share, sure, true in rows:
        said = f"{share:.1%} answered, confidence {sure:.6f} or more: accuracy {true:.1%}"
        points.append(Point(picture.x(100 * share), picture.y(100 * true), f"{100 * true:.1f}", said))
    return CoveragePicture(points, picture.floor)

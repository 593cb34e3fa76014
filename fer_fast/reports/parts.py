"""What pages are made of: bars on one scale, and tables. All texts are plain; a template escapes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bar:
    """One bar with its number beside it.

    Attributes:
        name, detail: what it is of.
        share: its length, 1 is the whole scale; more ends in a point, None draws no bar at all.
        value: the number.
        note: what else is to be said.
        kind: classes of the style sheet.
        spread: both ends of a line on the bar; none where they are 0.
    """

    name: str
    detail: str
    share: float | None
    value: str
    note: str
    kind: str = ""
    spread: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class BarChart:
    """Bars on one scale; nothing where there are none.

    Attributes:
        title, about: stand above it.
        bars: from top to bottom.
        ticks: of the axis, from 0 to the end of the scale, evenly.
        lines: stand below it.
    """

    title: str
    about: str
    bars: Sequence[Bar]
    ticks: Sequence[str]
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        cells: texts; the first is the row's header.
        kind: a class of the style sheet.
        note: small, in the first cell.
        reason: in place of the columns between `cells` and `tail`: why there is nothing to show.
        tail: the last cells, behind a reason.
    """

    cells: Sequence[str]
    kind: str = ""
    note: str = ""
    reason: str = ""
    tail: Sequence[str] = ()


@dataclass(frozen=True)
class Group:
    """Rows of a table that belong together, under a title if they have one."""

    rows: Sequence[Row]
    title: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Table:
    """A table in a box of its own, so that a phone scrolls it and not the page; nothing where it has no rows.

    Attributes:
        name: what it is, for who cannot see it.
        header: a name a column.
        left: how many columns are words, the others are numbers.
        groups: the rows.
        over: titles above the header and how many columns each spans; without a title it is one column.
        captioned: whether the name is shown above it, too.
    """

    name: str
    header: Sequence[str]
    left: int
    groups: Sequence[Group]
    over: Sequence[tuple[str, int]] = field(default=())
    captioned: bool = False

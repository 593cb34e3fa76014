"""The columns of a table: what every row has, what stages add, and a probability for each class."""

from __future__ import annotations

from dataclasses import dataclass

from fer_fast.types import Column

_WHAT = (Column("path", "text"), Column("status", "text"), Column("error", "text"))
_ANSWER = (Column("label", "text"), Column("confidence", "number"))


@dataclass(frozen=True)
class Schema:
    """The columns, in their order: path, status, error, those of `own`, label, confidence, p_<class> for each class.

    Attributes:
        classes: the names of the probabilities.
        own: columns that stages add; `Row.cells` has their values.
    """

    classes: tuple[str, ...]
    own: tuple[Column, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """All of them."""
        return (*_WHAT, *self.own, *_ANSWER, *(Column(f"p_{name}", "number") for name in self.classes))

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [column.name for column in self.columns]

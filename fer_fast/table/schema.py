"""The columns of a table: what every row has, what stages add, and a probability for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


def schema_of(names: Sequence[str], kinds: Sequence[Any]) -> Schema:
    """The columns of a table by what its manifest says of them.

    Args:
        names: of all columns, in their order.
        kinds: of those that stages added.

    Raises:
        ValueError: there is not a kind for each of these, or the names are no table's.
    """
    answer = [column.name for column in _ANSWER]
    first = next((place for place in range(len(names)) if [*names[place : place + 2]] == answer), 0)
    own, classes = names[len(_WHAT) : first], names[first + 2 :]
    if len(own) != len(kinds):
        raise ValueError(f"its manifest tells of {len(kinds)} of {len(own)} columns what they hold")
    schema = Schema(tuple(name.removeprefix("p_") for name in classes), tuple(map(Column, own, kinds)))
    if schema.names != [*names]:
        raise ValueError(f"its columns are {', '.join(names)}, as no table's")
    return schema

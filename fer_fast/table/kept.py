"""The items of an earlier run: which of them still hold, and in which order they stand in the table to come."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fer_fast.machine.inside import inside_of
from fer_fast.machine.urls import is_url
from fer_fast.remote import stores
from fer_fast.table.parts import ITEM, Index, Source
from fer_fast.types import Item, Stamp

#: Parts whose index is held while a table is made: items may come in an order that goes to and fro between them.
_OPEN_SOURCES = 64

#: What became of a kept item: not asked for yet, in the table, or done again since its file changed or its row failed.
_UNLISTED, _USED, _REPLACED = 0, 1, 2


class Kept:
    """Items that have their rows; about 50 bytes an item, and 80 where they come in an order of their own.

    Items have numbers: those of the sources in their order, and behind them those that are new.

    Args:
        sources: where their records lie; of an item that several hold the last one counts.
        failed_alone: hold to an item whose file has changed, and do again what failed alone.

    Attributes:
        rows: those that are kept so far.
        items, films: files that they are of, and of them films, which are items of their own.
        changed: files that are others than the ones that were read.
    """

    def __init__(self, sources: Sequence[Source], failed_alone: bool = False) -> None:
        self.sources = list(sources)
        self._failed_alone = failed_alone
        self._items = np.concatenate([np.empty(0, ITEM), *(source.index().items for source in sources)])
        keys = self._items["key"]
        order = np.argsort(keys, kind="stable")
        self._order, self._keys = order, keys[order]
        self._state = np.zeros(len(keys), np.uint8)
        # Of two rows of one item the earlier one was done again.
        self._state[order[:-1][self._keys[:-1] == self._keys[1:]]] = _REPLACED
        self.rows = self.items = self.films = self.changed = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def unlisted_rows(self) -> int:
        """Rows of items that nobody asked for."""
        return int(self._items["rows"][self._state == _UNLISTED].sum())

    def number_of(self, item: Item) -> int | None:
        """Which one an item is, if it is here and holds; None if it is to be classified. Asked once an item."""
        if not self.knows(item):
            return None
        if not self.holds(item):
            self.changed += self.has_changed(item)
            self.drop(item)
            return None
        self.items += 1
        return self.use(item)

    def holds(self, item: Item) -> bool:
        """Whether an item has rows that are still true."""
        number = self._find(item.key)
        if number is None or self._state[number] == _REPLACED or self._items[number]["again"]:
            return False
        return self._failed_alone or _is_of(_held_stamp(self._items[number]), item)

    def has_changed(self, item: Item) -> bool:
        """Whether an item is here and its file another; of what could not be opened nothing is known."""
        number = self._find(item.key)
        stamp = None if number is None else _held_stamp(self._items[number])
        return stamp is not None and not self._failed_alone and not _is_of(stamp, item)

    def use(self, item: Item) -> int:
        """Keeps an item that holds; its number."""
        number = self._find(item.key)
        assert number is not None
        self._state[number] = _USED
        self.rows += int(self._items[number]["rows"])
        return number

    def use_film(self, item: Item) -> int:
        """The same of a film's end."""
        self.films += 1
        return self.use(item)

    def drop(self, item: Item) -> None:
        """Keeps no row of an item, if it has any."""
        self.drop_key(item.key)

    def drop_key(self, key: int) -> None:
        """The same of an item of which nothing else is known."""
        number = self._find(key)
        if number is not None:
            self._state[number] = _REPLACED

    def knows(self, item: Item) -> bool:
        """Whether an item has rows, still true or not."""
        return self._find(item.key) is not None

    def _find(self, key: int) -> int | None:
        place = int(np.searchsorted(self._keys, np.uint64(key), "right")) - 1
        return int(self._order[place]) if place >= 0 and int(self._keys[place]) == key else None

    def unlisted_items(self) -> npt.NDArray[np.void]:
        """What is known of items that nobody asked for: `ITEM` [items]."""
        items: npt.NDArray[np.void] = self._items[self._state == _UNLISTED]
        return items

    def unlisted_numbers(self) -> npt.NDArray[np.int64]:
        """The numbers of the same."""
        return np.flatnonzero(self._state == _UNLISTED)

    def unlisted(self) -> Runs:
        """The numbers of items that nobody asked for: they are not among the inputs now."""
        runs = Runs()
        for number in self.unlisted_numbers().tolist():
            runs.add(number)
        return runs


class Runs:
    """Numbers in an order, of which most follow the one before: kept as runs, 16 bytes each."""

    def __init__(self) -> None:
        self._first, self._last = array("Q"), array("Q")

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Each run: from, to before."""
        return zip(self._first, self._last, strict=True)

    def add(self, number: int) -> None:
        """The next number."""
        if self._last and self._last[-1] == number:
            self._last[-1] = number + 1
        else:
            self._first.append(number)
            self._last.append(number + 1)


def records_of(runs: Iterable[tuple[int, int]], sources: Sequence[Source]) -> Iterator[tuple[Index, bytes]]:
    """The records of items in an order, in pieces of whole items.

    Args:
        runs: the items' numbers, from and to before.
        sources: where they lie, in the order of the numbers.
    """
    starts = [0]
    for source in sources:
        starts.append(starts[-1] + len(source.index().items))
    stretch = lru_cache(_OPEN_SOURCES)(lambda place: sources[place].records())
    for first, last in runs:
        while first < last:
            place = bisect_right(starts, first) - 1
            until = min(last, starts[place + 1])
            yield from stretch(place).slices(first - starts[place], until - starts[place])
            first = until


def stamp_of(path: str) -> Stamp | None:
    """Of a file on a disk as it is now, of a member of a tar that of the tar; None where there is none."""
    member = inside_of(path)
    try:
        status = os.stat(path if member is None else member.file)  # noqa: PTH116 (a Path cannot hold every str)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _is_of(held: Stamp | None, item: Item) -> bool:
    """Whether a stamp is that of an item now; where a store does not answer nothing is known against it."""
    if not is_url(item.path):
        return stamp_of(item.path) == held
    now = item.stamp or stores.stamp_of(item.path)
    return now in (stores.UNKNOWN, held or stores.NOWHERE)


def _held_stamp(held: np.void) -> Stamp | None:
    size = int(held["size"])
    return (size, int(held["modified"])) if size >= 0 else None

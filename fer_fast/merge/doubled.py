"""The keys of any number of items come in; those that come more than once go out: memory does not grow with them."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from fer_fast.merge.given import Given
from fer_fast.table.parts import Index, starts_of
from fer_fast.types import counted

#: Keys are sorted apart by their first byte: of a thousand million 32 MB are looked at together.
_BUCKETS = 256
#: Of which the rows are looked for.
_MOST = 100


def refuse_doubled(tables: Sequence[Given], scratch: Path) -> None:
    """Refuses tables that hold the same file.

    Args:
        tables: that are to be merged.
        scratch: a folder for files of the moment: 8 bytes a file.

    Raises:
        ValueError: names some files, and their tables.
        OSError: the disk is full or fails.
    """
    for table in tables:
        for items in table.items():
            _sort_apart(items["key"][~items["section"]], scratch)
    doubled = np.concatenate([_twice(_bucket(scratch, number)) for number in range(_BUCKETS)])
    if not len(doubled):
        return
    places: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for table in tables:
        for key, path in _paths(table, doubled[:_MOST], scratch):
            places[key].append((path, table.name))
    # Of thousands of millions of keys some are the same by chance: files of other names are not the same.
    by_chance = [each for each in places.values() if len({PurePosixPath(path).name for path, _ in each}) > 1]
    if len(by_chance) == len(doubled):
        return
    same = [each for each in places.values() if each not in by_chance]
    named = [f"{ascii(each[0][0])[1:-1]} in {' and '.join(dict.fromkeys(name for _, name in each))}" for each in same]
    many = counted(len(doubled) - len(by_chance), "file is there twice", "files are there twice")
    raise ValueError(f"{many}: {'; '.join(named[:3]) or 'without a row'}" + ("; ..." if len(named) > 3 else ""))


def _bucket(scratch: Path, number: int) -> Path:
    return scratch / f"keys-{number:02x}"


def _sort_apart(keys: npt.NDArray[np.uint64], scratch: Path) -> None:
    keys = np.sort(keys)
    ends = np.searchsorted(keys >> np.uint64(56), np.arange(_BUCKETS + 1))
    for number in np.flatnonzero(np.diff(ends)).tolist():
        with _bucket(scratch, number).open("ab") as file:
            file.write(keys[ends[number] : ends[number + 1]].tobytes())


def _twice(bucket: Path) -> npt.NDArray[np.uint64]:
    if not bucket.exists():
        return np.empty(0, np.uint64)
    keys = np.sort(np.fromfile(bucket, np.uint64))
    return np.unique(keys[1:][keys[1:] == keys[:-1]])


def _paths(table: Given, keys: npt.NDArray[np.uint64], scratch: Path) -> Iterator[tuple[int, str]]:
    """The paths of items that have rows, by their keys; a film's end without any has those of its sections."""
    before, behind_section = "", False
    for index, records in table.pieces(scratch):
        row_starts = starts_of(index.items["rows"])
        for item in np.flatnonzero(np.isin(index.items["key"], keys) & ~index.items["section"]).tolist():
            row, is_end = int(row_starts[item]), index.items["section"][item - 1] if item else behind_section
            if index.items["rows"][item]:
                record = _record(index, records, row)
            elif is_end:
                record = _record(index, records, row - 1) if row else before
            else:
                continue
            yield int(index.items["key"][item]), _path(record, table.run.format)
        if len(index.rows):
            before = _record(index, records, len(index.rows) - 1)
        if len(index.items):
            behind_section = bool(index.items["section"][-1])


def _record(index: Index, records: bytes, row: int) -> str:
    begins = starts_of(index.rows["length"])
    return records[begins[row] : begins[row + 1]].decode()


def _path(record: str, form: str) -> str:
    if form == "csv":
        return next(csv.reader(io.StringIO(record, newline="")))[0]
    return str(json.loads(record)["path"])

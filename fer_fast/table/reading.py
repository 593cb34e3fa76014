"""A finished table of any format comes in, its rows go out, one after the other."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from fer_fast.machine.extras import need
from fer_fast.table.formats import SUFFIXES
from fer_fast.types import one_line

_ROWS_AT_ONCE = 1 << 14

#: A row's cells by their columns: None where there is none; of csv all are text.
Cells = dict[str, Any]


def read_rows(path: str, columns: Iterable[str] = ()) -> tuple[list[str], Iterator[Cells]]:
    """Opens a table; memory does not grow with it.

    Args:
        path: of the table; its suffix says its format.
        columns: those that it must have.

    Returns:
        The names of its columns, in their order; and its rows.

    Raises:
        ValueError: it is not there, of another suffix, lacks a column, or is damaged; of rows while iterating.
        MissingExtraError: a parquet table, and pyarrow is not installed.
        OSError: it cannot be read.
    """
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 (a Path cannot hold every str)
    if suffix not in SUFFIXES:
        raise ValueError(f"the table {path!r} must end in {', '.join(SUFFIXES)}")
    if not os.path.isfile(path):  # noqa: PTH113
        raise ValueError(f"there is no table {path!r}")
    if suffix == ".parquet":
        need("parquet", "parquet")
    rows = _told(path, {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[suffix](path))
    names: list[str] = next(rows, [])
    if lacking := [name for name in columns if name not in names]:
        raise ValueError(f"the table {path!r} lacks the columns {', '.join(lacking)}")
    return names, rows


def _told(path: str, rows: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from rows
    except (ValueError, RecursionError, csv.Error) as error:  # UnicodeDecodeError and pyarrow's are ValueErrors
        raise ValueError(f"the table {path!r} is damaged: {one_line(error)}") from error


def _csv(path: str) -> Iterator[Any]:
    """The names of the columns, then each row; a spreadsheet that saved it may have put a mark before the first."""
    with open(path, newline="", encoding="utf-8-sig") as file:  # noqa: PTH123
        lines = csv.reader(file, strict=True)
        names = next(lines, [])
        yield names
        for cells in lines:
            if len(cells) != len(names):
                raise ValueError(f"line {lines.line_num} has {len(cells)} cells, not {len(names)}")
            yield {name: cell or None for name, cell in zip(names, cells, strict=True)}


def _jsonl(path: str) -> Iterator[Any]:
    with open(path, encoding="utf-8", newline="\n") as file:  # noqa: PTH123
        names: list[str] | None = None
        for line in file:
            row = json.loads(line)
            if not isinstance(row, dict) or names not in (None, [*row]):
                raise ValueError(f"a line must be an object with the keys of the first, not {line[:60]!r}")
            if names is None:
                yield (names := [*row])
            yield row


def _parquet(path: str) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield file.schema_arrow.names
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            yield from batch.to_pylist()

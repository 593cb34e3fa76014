"""One row of a table as bytes: a csv record or a line of JSON. Parquet tables are made of lines of JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from fer_fast.table.schema import Schema
from fer_fast.types import Row

_NEEDS_QUOTES = frozenset(',"\r\n')


def printable(path: str) -> str:
    r"""A path in valid Unicode: a byte that is not UTF-8 becomes a backslash escape, such as \xff."""
    try:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that no operating system gave
        return path.encode("utf-8", "backslashreplace").decode("utf-8")


class CsvRecords:
    """One record a row, RFC 4180 with newlines as line ends; numbers with six decimals at most."""

    def __init__(self, schema: Schema) -> None:
        self.header = (",".join(map(_quoted, schema.names)) + "\n").encode()
        self._own, self._classes = len(schema.own), len(schema.classes)

    def encode(self, row: Row) -> bytes:
        """One row, with its line end."""
        cells = [_quoted(printable(row.path)), row.status.value, _quoted(printable(row.error))]
        cells += [_cell(value) for value in row.cells] or [""] * self._own
        if row.prediction is None:
            cells += [""] * (2 + self._classes)
        else:
            cells += [_quoted(row.label), f"{row.prediction.confidence:.6f}"]
            cells += [f"{value:.6f}" for value in row.prediction.probabilities.tolist()]
        return (",".join(cells) + "\n").encode()


class JsonRecords:
    """One JSON object a line, its keys the columns; what a row lacks is null."""

    header = b""

    def __init__(self, schema: Schema) -> None:
        self._names = schema.names
        self._own, self._classes = len(schema.own), len(schema.classes)

    def encode(self, row: Row) -> bytes:
        """One row, with its line end."""
        cells: list[Any] = [printable(row.path), row.status.value, printable(row.error) or None]
        cells += [_plain(value) for value in row.cells] or [None] * self._own
        if row.prediction is None:
            cells += [None] * (2 + self._classes)
        else:
            cells += [row.label or None, round(row.prediction.confidence, 6)]
            cells += [round(value, 6) for value in row.prediction.probabilities.tolist()]
        return self.line(cells)

    def line(self, cells: list[Any]) -> bytes:
        """A row whose cells are known, such as one that was read from a parquet table."""
        return (json.dumps(dict(zip(self._names, cells, strict=True)), ensure_ascii=False) + "\n").encode()


Records = CsvRecords | JsonRecords


def _plain(value: Any) -> Any:
    """A cell of a stage's own column as JSON has it."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return printable(value) if isinstance(value, str) else value


def _cell(value: Any) -> str:
    plain = _plain(value)
    return "" if plain is None else _quoted(str(plain))


def _quoted(cell: str) -> str:
    if _NEEDS_QUOTES.isdisjoint(cell):
        return cell
    return '"' + cell.replace('"', '""') + '"'

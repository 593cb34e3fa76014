"""One row of a table as bytes: a csv record or a line of JSON. Parquet tables are made of lines of JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from fer_fast.table.schema import Schema
from fer_fast.types import Row

_NEEDS_QUOTES = frozenset(',"\r\n')
#: Behind its backslash: a byte that is not UTF-8, which is never ASCII, or a surrogate that no operating system gave.
_CODE = "x[89a-f][0-9a-f]|ud[89a-f][0-9a-f]{2}"
_ESCAPE = re.compile(rf"(\\+)({_CODE})")
#: Backslashes in a path that would be taken for the beginning of an escape.
_MISLEADING = re.compile(rf"\\+(?={_CODE}|[\ud800-\udfff])")


def printable(text: str) -> str:
    r"""Text in valid Unicode: a byte that is not UTF-8 becomes a backslash escape, such as \xff."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that no operating system gave
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def path_cell(path: str) -> str:
    r"""A path as a table has it, no two alike: `printable`, and backslashes before what looks like an escape doubled.

    So the byte ff is \xff, a name with these four characters is \\xff, and other backslashes stay as they are.
    """
    return printable(_MISLEADING.sub(r"\g<0>\g<0>", path) if "\\" in path else path)


def path_of(cell: str) -> str:
    """The path that a table's cell means, as Python opens it: undecodable bytes as surrogate escapes."""
    return _ESCAPE.sub(_meant, cell)


def _meant(escape: re.Match[str]) -> str:
    backslashes, code = escape.groups()
    kept = "\\" * (len(backslashes) // 2)
    if len(backslashes) % 2 == 0:
        return kept + code
    return kept + chr(int(code[1:], 16) + (0xDC00 if code[0] == "x" else 0))


class CsvRecords:
    """One record a row, RFC 4180 with newlines as line ends; numbers with six decimals at most."""

    def __init__(self, schema: Schema) -> None:
        self.header = (",".join(map(_quoted, schema.names)) + "\n").encode()
        self._own, self._classes = len(schema.own), len(schema.classes)

    def encode(self, row: Row) -> bytes:
        """One row, with its line end."""
        cells = [_quoted(path_cell(row.path)), row.status.value, _quoted(printable(row.error))]
        cells += [_cell(value) for value in row.cells] + [""] * (self._own - len(row.cells))
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
        return self.line(self.cells(row))

    def cells(self, row: Row) -> list[Any]:
        """What a row has in each column; None where it has nothing."""
        cells: list[Any] = [path_cell(row.path), row.status.value, printable(row.error) or None]
        cells += [_plain(value) for value in row.cells] + [None] * (self._own - len(row.cells))
        if row.prediction is None:
            cells += [None] * (2 + self._classes)
        else:
            cells += [row.label or None, round(row.prediction.confidence, 6)]
            cells += [round(value, 6) for value in row.prediction.probabilities.tolist()]
        return cells

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
    if isinstance(plain, float) and "e" in str(plain):  # small ones
        return f"{plain:.6f}"
    return "" if plain is None else _quoted(str(plain))


def _quoted(cell: str) -> str:
    if _NEEDS_QUOTES.isdisjoint(cell):
        return cell
    return '"' + cell.replace('"', '""') + '"'

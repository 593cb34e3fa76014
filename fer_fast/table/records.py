"""A row comes in and one record of a csv or jsonl table goes out, and back again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from fer_fast.types import Row, Status

_FIXED = ("path", "status", "error", "label", "confidence")
_NEEDS_QUOTES = frozenset(',"\r\n')


def columns_of(classes: Sequence[str]) -> list[str]:
    """The columns of every table: path, status, error, label, confidence and p_<class> for each class."""
    return [*_FIXED, *(f"p_{name}" for name in classes)]


def printable(path: str) -> str:
    r"""A path in valid Unicode: a byte that is not UTF-8 becomes a backslash escape, such as \xff."""
    try:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that no operating system gave
        return path.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Written:
    """What a journal holds of one row."""

    path: str  # as `printable` wrote it
    status: Status
    label: str


class CsvRecords:
    """One record a row, RFC 4180 with newlines as line ends; probabilities with six decimals."""

    suffix = ".csv"

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self.header = (",".join(map(_quoted, columns)) + "\n").encode()

    def encode(self, row: Row) -> bytes:
        """One row, with its line end."""
        cells = [_quoted(printable(row.path)), row.status.value, _quoted(printable(row.error))]
        if row.prediction is None:
            cells += [""] * (len(self._columns) - 3)
        else:
            cells += [_quoted(row.label), f"{row.prediction.confidence:.6f}"]
            cells += [f"{value:.6f}" for value in row.prediction.probabilities.tolist()]
        return (",".join(cells) + "\n").encode()

    def split(self, stream: BinaryIO) -> Iterator[bytes]:
        """The complete records: a newline ends one only outside quotes."""
        record = b""
        for line in stream:
            record += line
            if line.endswith(b"\n") and record.count(b'"') % 2 == 0:
                yield record
                record = b""

    def decode(self, record: bytes) -> Written | None:
        """What a record says; None if it is none of ours."""
        try:
            (cells,) = csv.reader(io.StringIO(record.decode(), newline=""), strict=True)
            return Written(cells[0], Status(cells[1]), cells[3]) if len(cells) == len(self._columns) else None
        except (ValueError, csv.Error):
            return None


class JsonRecords:
    """One JSON object a line, its keys the columns; what a row lacks is null."""

    suffix = ".jsonl"
    header = b""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)

    def encode(self, row: Row) -> bytes:
        """One row, with its line end."""
        cells: list[Any] = [printable(row.path), row.status.value, printable(row.error) or None]
        if row.prediction is None:
            cells += [None] * (len(self._columns) - 3)
        else:
            cells += [row.label or None, round(row.prediction.confidence, 6)]
            cells += [round(value, 6) for value in row.prediction.probabilities.tolist()]
        return (json.dumps(dict(zip(self._columns, cells, strict=True)), ensure_ascii=False) + "\n").encode()

    def split(self, stream: BinaryIO) -> Iterator[bytes]:
        """The complete records."""
        return (line for line in stream if line.endswith(b"\n"))

    def decode(self, record: bytes) -> Written | None:
        """What a record says; None if it is none of ours."""
        try:
            cells = json.loads(record)
            if not isinstance(cells, dict) or list(cells) != self._columns or not isinstance(cells["path"], str):
                return None
            return Written(cells["path"], Status(cells["status"]), cells["label"] or "")
        except ValueError:
            return None


Records = CsvRecords | JsonRecords


def _quoted(cell: str) -> str:
    if _NEEDS_QUOTES.isdisjoint(cell):
        return cell
    return '"' + cell.replace('"', '""') + '"'

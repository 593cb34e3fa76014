"""A table's file in its format: records that follow each other, or what pyarrow makes of them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from fer_fast.table.records import CsvRecords, JsonRecords, Records
from fer_fast.table.schema import Schema
from fer_fast.types import Column

_ROWS_A_GROUP = 1 << 16

SUFFIXES = (".csv", ".jsonl", ".parquet")


class Writer(Protocol):
    """Takes the records of whole items."""

    def write(self, records: bytes, /) -> Any:
        """The next records of the table."""


def records_for(suffix: str, schema: Schema) -> Records:
    """How rows become bytes in a table of this suffix: of parquet, lines of JSON."""
    return CsvRecords(schema) if suffix == ".csv" else JsonRecords(schema)


@contextmanager
def new_table(path: Path, suffix: str, schema: Schema) -> Iterator[Writer]:
    """A table that is made; at the end it is whole and on the disk.

    Raises:
        OSError: the disk is full or fails.
    """
    with path.open("wb") as file:
        if suffix == ".parquet":
            with _Parquet(file, schema) as writer:
                yield writer
        else:
            file.write(records_for(suffix, schema).header)
            yield file
        file.flush()
        os.fsync(file.fileno())


class _Parquet:
    """Lines of JSON to row groups, whose size does not depend on how the lines come."""

    def __init__(self, file: io.BufferedWriter, schema: Schema) -> None:
        import pyarrow.parquet as pq

        self._schema = arrow_schema(schema)
        self._writer = pq.ParquetWriter(file, self._schema)
        self._lines: list[bytes] = []

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None and self._lines:
            self._write_group(len(self._lines))
        self._writer.close()

    def write(self, records: bytes) -> None:
        """See `Writer.write`."""
        self._lines += records.splitlines(keepends=True)  # JSON has no other line ends
        while len(self._lines) >= _ROWS_A_GROUP:
            self._write_group(_ROWS_A_GROUP)

    def _write_group(self, rows: int) -> None:
        from pyarrow import json as arrow_json

        options = arrow_json.ParseOptions(explicit_schema=self._schema)
        lines = io.BytesIO(b"".join(self._lines[:rows]))
        self._writer.write_table(arrow_json.read_json(lines, parse_options=options), row_group_size=rows)
        del self._lines[:rows]


def arrow_schema(schema: Schema) -> Any:
    """The columns as pyarrow knows them."""
    import pyarrow as pa

    own = {column.name for column in schema.own}
    return pa.schema([(column.name, _type(column, column.name in own)) for column in schema.columns])


def _type(column: Column, own: bool) -> Any:
    import pyarrow as pa

    # Probabilities have six decimals; a film's seconds need more than float32 holds.
    numbers = {"integer": pa.int64(), "number": pa.float64() if own else pa.float32()}
    return numbers.get(column.kind, pa.string())

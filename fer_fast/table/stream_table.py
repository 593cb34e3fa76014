"""A table on a stream, such as standard output: csv, written as it comes; it cannot be resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import BinaryIO

from fer_fast.machine.disk import write_all
from fer_fast.machine.stall import Pulse
from fer_fast.table.film_places import FilmPlaces
from fer_fast.table.records import CsvRecords
from fer_fast.table.schema import Schema
from fer_fast.types import Item, ItemRows, OutputError


class StreamTable:
    """Writes csv to a stream; the interface is that of `FileTable`.

    Args:
        stream: any binary stream, unbuffered ones and pipes that do not block, too.
        schema: the columns.
        pulse: is told while the stream's reader is waited for.

    Raises:
        BrokenPipeError: nobody reads any more.
        OutputError: the stream fails otherwise.
    """

    kept_rows = kept_items = kept_films = changed = unlisted = 0

    def __init__(self, stream: BinaryIO, schema: Schema, pulse: Pulse | None = None) -> None:
        self._stream, self._pulse = stream, pulse or Pulse()
        self._records = CsvRecords(schema)
        self.statuses: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self._write(self._records.header)

    def place(self, item: Item) -> bool:
        """Every item is to be classified."""
        return True

    def film(self, item: Item) -> FilmPlaces:
        """Everything of a film is to be classified."""
        return FilmPlaces(item)

    def write(self, results: Sequence[ItemRows]) -> None:
        """Writes rows at once.

        Raises:
            BrokenPipeError: nobody reads any more.
            OutputError: the stream fails otherwise.
        """
        rows = [row for result in results for row in result.rows]
        self._write(b"".join(map(self._records.encode, rows)))
        self.statuses.update(row.status.value for row in rows)
        self.labels.update(row.label for row in rows if row.label)

    def _write(self, data: bytes) -> None:
        try:
            with self._pulse.outside():
                write_all(self._stream, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"the output cannot be written: {error.strerror or error}") from error

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Nothing is held."""

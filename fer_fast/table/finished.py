"""A finished table and OUT.manifest beside it: what run made it, its digest, and of each row whose it is."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast.table.manifest import Run, parse_manifest
from fer_fast.table.parts import ITEM, ROW, ROWS_AT_ONCE, Index, starts_of
from fer_fast.table.records import JsonRecords
from fer_fast.types import OutputRefusedError

_FACTS = "manifest.json"


def manifest_of(out: Path) -> Path:
    """Where the manifest of a finished table lies."""
    return out.with_name(out.name + ".manifest")


class ManifestWriter:
    """Writes a manifest while its table is made: memory does not grow with the table.

    Args:
        path: where it goes.
    """

    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._waiting: list[Index] = []
        self._number = 0

    def add(self, index: Index) -> None:
        """The next items of the table."""
        self._waiting.append(index)
        if sum(len(each.rows) for each in self._waiting) >= ROWS_AT_ONCE:
            self._write()

    def finish(self, facts: str) -> None:
        """Writes the rest."""
        self._write()
        self._file.writestr(_FACTS, facts)

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def _write(self) -> None:
        for name, kind in (("items", ITEM), ("rows", ROW)):
            arrays = [getattr(each, name) for each in self._waiting]
            with self._file.open(f"{self._number:08}.{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.concatenate([np.empty(0, kind), *arrays]))
        self._waiting.clear()
        self._number += 1


@dataclass(frozen=True)
class Manifest:
    """What OUT.manifest says.

    Attributes:
        run: what made the table.
        facts: the table's bytes and blake2b digest, and how many rows it has.
        path: where it lies.
    """

    run: Run
    facts: dict[str, Any]
    path: Path

    def index(self) -> Index:
        """Of all items of the table, in its order."""
        with zipfile.ZipFile(self.path) as file:
            names = sorted(file.namelist())
            arrays = {name: np.load(io.BytesIO(file.read(name))) for name in names if name.endswith(".npy")}
        items = [array for name, array in arrays.items() if name.endswith(".items.npy")]
        rows = [array for name, array in arrays.items() if name.endswith(".rows.npy")]
        return Index(np.concatenate([np.empty(0, ITEM), *items]), np.concatenate([np.empty(0, ROW), *rows]))

    def check_table(self, out: Path) -> None:
        """Refuses a table that is not the one that was written.

        Raises:
            OutputRefusedError: its bytes are others.
            OSError: it cannot be read.
        """
        if out.stat().st_size != self.facts["bytes"] or digest_of(out) != self.facts["digest"]:
            reason = "it was changed since it was written"
            raise OutputRefusedError(f"{str(out)!r} cannot be resumed: {reason}; a run without --resume replaces it")


def read_manifest(out: Path) -> Manifest:
    """The manifest of a finished table.

    Raises:
        OutputRefusedError: there is none, or it is damaged.
    """
    path = manifest_of(out)
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                raise zipfile.BadZipFile("damaged")
            run, facts = parse_manifest(file.read(_FACTS))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        reason = f"there is no whole {path.name!r} beside it to tell what it holds"
        raise OutputRefusedError(
            f"{str(out)!r} cannot be resumed: {reason}; a run without --resume replaces it"
        ) from None
    return Manifest(run, facts, path)


class FinishedTable:
    """The records of a finished csv or jsonl table, or of the jsonl form of a parquet table; a `Source`.

    Args:
        path: the table.
        header: bytes before the first record.
        index: of its items; the lengths of its rows' records are those in `path`.
    """

    def __init__(self, path: Path, header: int, index: Index) -> None:
        self._path, self._index = path, index
        self._row_starts = starts_of(index.items["rows"])
        self._starts = header + starts_of(index.rows["length"])

    def index(self) -> Index:
        """See `Source.index`."""
        return self._index

    def slices(self, first: int, last: int) -> Iterator[tuple[Index, bytes]]:
        """See `Source.slices`."""
        with self._path.open("rb") as file:
            file.seek(int(self._starts[self._row_starts[first]]))
            while first < last:
                # As many whole items as have so many rows, but one at least.
                most = int(self._row_starts[first]) + ROWS_AT_ONCE
                until = int(np.searchsorted(self._row_starts, most, "right")) - 1
                until = min(max(until, first + 1), last)
                begin, end = int(self._row_starts[first]), int(self._row_starts[until])
                records = file.read(int(self._starts[end] - self._starts[begin]))
                yield Index(self._index.items[first:until], self._index.rows[begin:end]), records
                first = until


def spill_parquet(out: Path, spill: Path, records: JsonRecords, index: Index) -> FinishedTable:
    """A parquet table as lines of JSON, so that its rows can be taken one by one.

    Raises:
        OSError: the disk is full or fails.
    """
    import pyarrow.parquet as pq

    lengths = []
    with spill.open("wb") as file:
        for batch in pq.ParquetFile(out).iter_batches(ROWS_AT_ONCE):
            for cells in batch.to_pylist():
                line = records.line([_as_json(value) for value in cells.values()])
                lengths.append(len(line))
                file.write(line)
    rows = index.rows.copy()
    rows["length"] = lengths
    return FinishedTable(spill, 0, Index(index.items, rows))


def _as_json(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def digest_of(path: Path) -> str:
    """blake2b of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def facts_json(run: Run, out: Path, statuses: dict[str, int], labels: dict[str, int], items: int) -> str:
    """The text of a finished table's manifest; `out` is the table, wherever it lies now."""
    return run.as_json(
        items=items,
        rows=sum(statuses.values()),
        statuses=statuses,
        labels=labels,
        bytes=out.stat().st_size,
        digest=digest_of(out),
    )

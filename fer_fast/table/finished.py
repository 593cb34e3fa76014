"""A finished table and OUT.manifest beside it: what run made it, its digest, and of each row whose it is."""

from __future__ import annotations

import hashlib
import io
import zipfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_fast.machine.disk import sync_file
from fer_fast.table.manifest import Run, parse_manifest
from fer_fast.table.parts import ITEM, ROW, ROWS_AT_ONCE, Index, Stretch
from fer_fast.table.records import JsonRecords
from fer_fast.types import OutputRefusedError

_FACTS = "manifest.json"
_ITEMS, _ROWS = ".items.npy", ".rows.npy"


def manifest_of(out: Path) -> Path:
    """Where the manifest of a finished table lies."""
    return out.with_name(out.name + ".manifest")


class ManifestWriter:
    """Writes a manifest while its table is made: memory does not grow with the table.

    Args:
        path: where it goes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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
        sync_file(self._path)

    def _write(self) -> None:
        items, rows = [each.items for each in self._waiting], [each.rows for each in self._waiting]
        for name, kind, arrays in ((_ITEMS, ITEM, items), (_ROWS, ROW, rows)):
            with self._file.open(f"{self._number:08}{name}", "w", force_zip64=True) as member:
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
        pieces = list(self.indexes())
        items = np.concatenate([np.empty(0, ITEM), *(each.items for each in pieces)])
        return Index(items, np.concatenate([np.empty(0, ROW), *(each.rows for each in pieces)]))

    def indexes(self) -> Iterator[Index]:
        """The same, some items at a time."""
        with zipfile.ZipFile(self.path) as file:
            for name in sorted(name for name in file.namelist() if name.endswith(_ITEMS)):
                items, rows = (file.read(each) for each in (name, name.replace(_ITEMS, _ROWS)))
                yield Index(np.load(io.BytesIO(items)), np.load(io.BytesIO(rows)))

    def is_of(self, out: Path) -> bool:
        """Whether a table is the one that was written.

        Raises:
            OSError: it cannot be read.
        """
        size, digest = self.facts["bytes"], self.facts["digest"]
        return bool(out.stat().st_size == size and digest_of(out) == digest)


def read_manifest(out: Path) -> Manifest:
    """The manifest of a finished table.

    Raises:
        OutputRefusedError: there is none, or it is damaged.
    """
    path = manifest_of(out)
    manifest = whole_manifest(path)
    if manifest is None:
        reason = f"there is no whole {path.name!r} beside it to tell what it holds"
        raise OutputRefusedError(f"{str(out)!r} cannot be resumed: {reason}; a run without --resume replaces it")
    return manifest


def whole_manifest(path: Path) -> Manifest | None:
    """A manifest; None if it is not there, or damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                return None
            return Manifest(*parse_manifest(file.read(_FACTS)), path)
    except Exception:  # damaged bytes make zipfile and JSON raise almost anything
        return None


class FinishedTable:
    """The records of a finished csv or jsonl table, or of the jsonl form of a parquet table; a `Source`.

    Args:
        path: the table.
        header: bytes before the first record.
        manifest: of the table.
        lengths: of the records in `path`; None if they are as the manifest says.
    """

    def __init__(
        self, path: Path, header: int, manifest: Manifest, lengths: npt.NDArray[np.uint32] | None = None
    ) -> None:
        self._path, self._header, self._manifest, self._lengths = path, header, manifest, lengths

    def index(self) -> Index:
        """See `Source.index`."""
        index = self._manifest.index()
        if self._lengths is not None:
            index.rows["length"] = self._lengths
        return index

    def records(self) -> Stretch:
        """See `Source.records`."""
        return Stretch(self._path, self._header, self.index())


def spill_parquet(out: Path, spill: Path, records: JsonRecords, manifest: Manifest) -> FinishedTable:
    """A parquet table as lines of JSON, so that its rows can be taken one by one.

    Raises:
        OSError: the disk is full or fails.
    """
    lengths = array("I")
    with spill.open("wb") as file:
        for line in parquet_lines(out, records):
            lengths.append(len(line))
            file.write(line)
    return FinishedTable(spill, 0, manifest, np.array(lengths, np.uint32))


def parquet_lines(path: Path, records: JsonRecords) -> Iterator[bytes]:
    """The rows of a parquet table as lines of JSON."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            for cells in batch.to_pylist():
                yield records.line([_as_json(value) for value in cells.values()])


def _as_json(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def digest_of(path: Path) -> str:
    """blake2b of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def facts_json(run: Run, out: Path, statuses: dict[str, int], labels: dict[str, int], items: int, **more: Any) -> str:
    """The text of a finished table's manifest; `out` is the table, wherever it lies now."""
    return run.as_json(
        **more,
        items=items,
        rows=sum(statuses.values()),
        statuses=statuses,
        labels=labels,
        bytes=out.stat().st_size,
        digest=digest_of(out),
    )

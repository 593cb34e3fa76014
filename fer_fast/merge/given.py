"""A table's name comes in; its items with their records, whether it is finished or not, go out."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_fast.inputs import Shard
from fer_fast.machine.extras import need
from fer_fast.table.film_places import drop_unfinished, unlisted_together
from fer_fast.table.finished import FinishedTable, Manifest, manifest_of, parquet_lines, spill_parquet, whole_manifest
from fer_fast.table.formats import SUFFIXES, records_for
from fer_fast.table.kept import Kept, records_of
from fer_fast.table.left import base_of, standing
from fer_fast.table.manifest import Run
from fer_fast.table.parts import Index, part_files
from fer_fast.table.records import JsonRecords
from fer_fast.table.schema import Schema, schema_of
from fer_fast.table.workplace import is_held, partial_of, unfinished_run

Pieces = Iterator[tuple[Index, bytes]]


class Given(ABC):
    """A table that is to be merged.

    Args:
        path: of the table, links resolved; of an unfinished one it may not be there.
        run: what made it.

    Attributes:
        is_finished: whether it is whole.
        found: see `Shard.found`; None of what is not finished, or no share.
        shard: which share it is; None of a run of all files.
        schema: its columns.

    Raises:
        ValueError: its manifest does not tell what its columns hold.
    """

    is_finished: bool
    found: dict[str, Any] | None = None

    def __init__(self, path: Path, run: Run) -> None:
        self.path, self.run = path, run
        self.shard = Shard(run.settings["shard"]) if "shard" in run.settings else None
        try:
            self.schema: Schema = schema_of(run.columns, run.kinds)
        except ValueError as error:
            raise ValueError(f"{self.name} cannot be merged: {error}") from error

    @property
    def name(self) -> str:
        """What messages call it."""
        return repr(str(self.path))

    @property
    def header(self) -> int:
        """Bytes before its first record."""
        return len(records_for(self.path.suffix.lower(), self.schema).header)

    @abstractmethod
    def items(self) -> Iterator[npt.NDArray[np.void]]:
        """What is known of its items, `ITEM` [items], some at a time."""

    @abstractmethod
    def pieces(self, scratch: Path) -> Pieces:
        """Its items with their records, in its order.

        Args:
            scratch: a folder for files of the moment.

        Raises:
            OSError: it cannot be read.
        """


class Finished(Given):
    """One that stands in its place.

    Args:
        path: see `Given`.
        manifest: of the table.
        seen: what `_seen` said of it before it was looked at.
    """

    is_finished = True

    def __init__(self, path: Path, manifest: Manifest, seen: tuple[int, ...]) -> None:
        super().__init__(path, manifest.run)
        self._manifest, self._as_seen = manifest, seen
        self.found = manifest.facts.get("found")

    def items(self) -> Iterator[npt.NDArray[np.void]]:
        """See `Given.items`."""
        return (index.items for index in self._manifest.indexes())

    def pieces(self, scratch: Path) -> Pieces:
        """See `Given.pieces`."""
        yield from self._of_parquet() if self.run.format == "parquet" else self._of_lines()
        if _seen(self.path) != self._as_seen:
            raise OSError(errno.ESTALE, "it was written again meanwhile", str(self.path))

    def _of_lines(self) -> Pieces:
        with self.path.open("rb") as file:
            file.seek(self.header)
            for index in self._manifest.indexes():
                records = file.read(int(index.rows["length"].sum()))
                yield index, self._all(records, index)

    def _of_parquet(self) -> Pieces:
        lines = parquet_lines(self.path, JsonRecords(self.schema))
        for index in self._manifest.indexes():
            some = [*islice(lines, len(index.rows))]
            index.rows["length"][: len(some)] = [*map(len, some)]
            yield index, self._all(b"".join(some), index)

    def _all(self, records: bytes, index: Index) -> bytes:
        if len(records) != int(index.rows["length"].sum()):
            raise OSError(errno.EIO, "it became shorter", str(self.path))
        return records


class Unfinished(Given):
    """Parts of a run that was broken off, and what is still true of a finished table that it went on from.

    Half a film is left out: it would look like a whole one.

    Args:
        path, run: see `Given`.
        base: of the finished table; None where there is none.
    """

    is_finished = False

    def __init__(self, path: Path, run: Run, base: Manifest | None) -> None:
        super().__init__(path, run)
        self._base = base

    def items(self) -> Iterator[npt.NDArray[np.void]]:
        """See `Given.items`."""
        yield self._kept(FinishedTable).unlisted_items()

    def pieces(self, scratch: Path) -> Pieces:
        """See `Given.pieces`."""

        def spilt(path: Path, _: int, manifest: Manifest) -> FinishedTable:
            return spill_parquet(path, scratch / "base.jsonl", JsonRecords(self.schema), manifest)

        kept = self._kept(spilt if self.run.format == "parquet" else FinishedTable)
        return records_of(unlisted_together(kept), kept.sources)

    def _kept(self, opened: Callable[[Path, int, Manifest], FinishedTable]) -> Kept:
        base = [opened(self.path, self.header, self._base)] if self._base is not None else []
        kept = Kept([*base, *part_files(partial_of(self.path))])
        drop_unfinished(kept)
        return kept


def given(name: str | os.PathLike[str]) -> Given:
    """Opens a table.

    Args:
        name: of the table, or of the folder .partial in which it is being made.

    Raises:
        ValueError: there is none, a run is writing it, or nothing tells what made it.
        MissingExtraError: it is parquet, and pyarrow is not installed.
        OSError: it cannot be read.
    """
    path = Path(os.path.realpath(os.fspath(name).rstrip("/").removesuffix(".partial")))
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"the table {os.fspath(name)!r} must end in {', '.join(SUFFIXES)}")
    if path.suffix.lower() == ".parquet":
        need("parquet", "parquet")
    if is_held(path):
        raise ValueError(f"{str(path)!r} cannot be merged: a run is writing it")
    seen = _seen(path)
    unfinished = unfinished_run(path)
    manifest = standing(path)
    if unfinished is not None and manifest is None:
        run, base = unfinished
        return Unfinished(path, run, base_of(path, base))
    if not path.exists():
        raise ValueError(f"there is no table {str(path)!r}, finished or not")
    manifest = manifest or whole_manifest(manifest_of(path))
    if manifest is None:
        told = f"there is no whole {manifest_of(path).name!r} beside it to tell what it holds"
        raise ValueError(f"{str(path)!r} cannot be merged: {told}")
    if not manifest.is_of(path):
        raise ValueError(f"{str(path)!r} cannot be merged: it was changed since it was written")
    return Finished(path, manifest, seen)


def _seen(path: Path) -> tuple[int, ...]:
    """What is another of a table that was put in its place; nothing where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns

"""A table in a file: whole when it is finished, resumable before, never half."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from fer_fast.machine.disk import sync_folder
from fer_fast.machine.stall import Pulse
from fer_fast.table.finished import (
    FinishedTable,
    Manifest,
    ManifestWriter,
    facts_json,
    manifest_of,
    read_manifest,
    spill_parquet,
    whole_manifest,
)
from fer_fast.table.formats import new_table, records_for
from fer_fast.table.kept import Kept, Runs, records_of
from fer_fast.table.manifest import Run
from fer_fast.table.parts import STATUSES, Index, PartWriter, Source, part_files, part_paths
from fer_fast.table.records import JsonRecords
from fer_fast.table.schema import Schema
from fer_fast.table.workplace import Workplace, check_out, partial_of, unfinished_run
from fer_fast.types import Item, ItemRows, OutputError, OutputRefusedError, counted

_log = logging.getLogger(__name__)

#: Of the table that is put together in OUT.partial.
_MANIFEST = "table.manifest"


class FileTable:
    """Makes a table of parts in OUT.partial and moves it to its place when it is complete; of one thread.

    First every item is given to `place`, in the order of the table; those that it asks for come to `write` in the same
    order. After a crash at any moment a new `FileTable` with `resume=True` keeps the rows of all items whose parts were
    written. A finished table is resumed, too: rows of files that are new, have changed or failed are made.

    Args:
        out: ends in .csv, .jsonl or .parquet.
        schema: its columns.
        run: what its rows depend on; another run's are refused.
        resume: keep the rows that are there and still true.
        failed_alone: of a finished table only the failed rows are made again.
        pulse: beats while the table is put together.

    Attributes:
        folder: where the parts lie.
        statuses, labels: rows of the finished table by status and by label.
        unlisted: of them, rows of an earlier run whose file is not among the inputs now; they stand at the end.

    Raises:
        OutputRefusedError: see `check_out`; or another run writes here, or what is there is of another run.
        OutputError: the disk is full or fails.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        schema: Schema,
        run: Run,
        resume: bool = False,
        failed_alone: bool = False,
        pulse: Pulse | None = None,
    ) -> None:
        self.out = check_out(out, resume or failed_alone)
        self.folder = partial_of(self.out)
        self._schema, self._run, self._failed_alone = schema, run, failed_alone
        self._pulse = pulse or Pulse()
        self._suffix = self.out.suffix.lower()
        self._records = records_for(self._suffix, schema)
        self.statuses: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.unlisted = 0
        try:
            self._workplace: Workplace | None = Workplace(self.out)
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._parts = PartWriter(self.folder, self._records, schema)
            self._kept = Kept(self._earlier(self._workplace, resume or failed_alone), failed_alone)
        except OutputError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise self._failed(error) from error
        self._order = Runs()
        self._next = len(self._kept)

    @property
    def kept_rows(self) -> int:
        """Rows of an earlier run that hold, as far as items were placed."""
        return self._kept.rows

    @property
    def kept_items(self) -> int:
        """Items that these rows are of."""
        return self._kept.items

    @property
    def changed(self) -> int:
        """Items, as far as they were placed, whose file is another than the one of which there was a row."""
        return self._kept.changed

    def place(self, item: Item) -> bool:
        """Gives an item its place in the table; whether it is to be classified and given to `write`."""
        if self._failed_alone and not self._kept.knows(item):
            return False
        number = self._kept.number_of(item)
        if number is not None:
            self._order.add(number)
            return False
        self._order.add(self._next)
        self._next += 1
        return True

    def write(self, results: Sequence[ItemRows]) -> None:
        """Takes the rows of items.

        Raises:
            OutputError: the disk is full or fails; what was kept can be resumed.
        """
        try:
            self._parts.add(results)
        except OSError as error:
            raise self._failed(error) from error

    def finish(self) -> None:
        """Puts the complete table in its place.

        Raises:
            OutputError: the disk is full or fails; all rows are kept and can be resumed.
        """
        assert self._workplace is not None
        self.unlisted = self._kept.unlisted_rows
        try:
            self._parts.write()
            order = chain(self._order, self._kept.unlisted())
            if self._complete and list(islice(order, 2)) == [(0, len(self._kept))]:  # all of it is still true
                self._count(self._kept.sources[0].index())
            else:
                self._assemble(chain(self._order, self._kept.unlisted()))
            self._workplace.remove()
        except OSError as error:
            raise self._failed(error) from error
        self._workplace = None

    def close(self) -> None:
        """Writes what has come and gives the folder up; an unfinished table stays resumable, one without rows goes."""
        if self._workplace is None:
            return
        try:
            self._parts.write()
            if not part_paths(self.folder):
                self._workplace.remove()
        except OSError as error:
            _log.warning("the last rows are not kept: %s", error.strerror or error)
        self._workplace.leave()
        self._workplace = None

    def _earlier(self, workplace: Workplace, resume: bool) -> list[Source]:
        """What an earlier run left, finished or not; makes the folder this run's."""
        self._complete = False
        unfinished = unfinished_run(self.out)
        if unfinished is not None:
            if not resume:  # begun since `check_out`
                raise OutputRefusedError(f"another run has just left an unfinished table in {str(self.folder)!r}")
            run, base = unfinished
            self._run.check_same(run, str(self.folder))
            if not self._stands():
                return self._broken_off(base)
        elif not resume or not self.out.exists():
            if self._failed_alone:
                raise OutputRefusedError(f"{str(self.out)!r} does not exist: there is nothing to try again")
            self._tell_of_replacing()
            workplace.begin(self._run)
            return []
        manifest = read_manifest(self.out)
        self._run.check_same(manifest.run, str(self.out))
        if not manifest.is_of(self.out):
            reason = "it was changed since it was written"
            raise OutputRefusedError(
                f"{str(self.out)!r} cannot be resumed: {reason}; a run without --resume replaces it"
            )
        workplace.begin(self._run, manifest.facts["digest"])
        self._complete = True
        return [self._source(manifest)]

    def _tell_of_replacing(self) -> None:
        """A table that is made again is replaced without a word; anything else may be there by mistake."""
        if not self.out.exists():
            return
        manifest = whole_manifest(manifest_of(self.out))
        difference = self._run.difference(manifest.run) if manifest else ""
        if manifest is None:
            _log.warning("%s is there, and nothing tells what made it: this run will replace it", self.out)
        elif difference:
            _log.warning("%s is of a run with %s: this run will replace it", self.out, difference)

    def _stands(self) -> bool:
        """Whether a run was broken off when its table was in its place but its manifest was not; mends that."""
        manifest = whole_manifest(self.folder / _MANIFEST)
        if manifest is None or not self.out.exists() or not manifest.is_of(self.out):
            return False
        manifest.path.replace(manifest_of(self.out))
        return True

    def _broken_off(self, base: str) -> list[Source]:
        """What an unfinished run has: its parts, and the finished table that it went on from, if that is as it was."""
        manifest = whole_manifest(manifest_of(self.out)) if base and self.out.exists() else None
        stands = manifest is not None and manifest.facts["digest"] == base and manifest.is_of(self.out)
        if self._failed_alone and not stands:
            raise OutputRefusedError(f"{str(self.out)!r} is not finished: go on with --resume")
        if base and not stands:
            _log.warning("%s is not the table that the run went on from: its rows are made again", self.out)
        return [*([self._source(manifest)] if stands and manifest else []), *part_files(self.folder)]

    def _source(self, manifest: Manifest) -> Source:
        if self._suffix == ".parquet":
            return spill_parquet(self.out, self.folder / "base.jsonl", JsonRecords(self._schema), manifest)
        return FinishedTable(self.out, len(self._records.header), manifest)

    def _assemble(self, order: Iterable[tuple[int, int]]) -> None:
        sources: list[Source] = [*self._kept.sources, *self._parts.written]
        table, manifest = self.folder / "table", self.folder / _MANIFEST
        items = 0
        with ManifestWriter(manifest) as facts:
            with new_table(table, self._suffix, self._schema) as file:
                for index, records in records_of(order, sources):
                    file.write(records)
                    facts.add(index)
                    self._count(index)
                    items += len(index.items)
                    self._pulse.beat()
            facts.finish(facts_json(self._run, table, self.statuses, self.labels, items))
        sync_folder(self.folder)
        table.replace(self.out)
        manifest.replace(manifest_of(self.out))  # killed before it, the next run does it
        sync_folder(self.out.parent)

    def _count(self, index: Index) -> None:
        for code, count in enumerate(np.bincount(index.rows["status"]).tolist()):
            if count:
                self.statuses[STATUSES[code].value] += count
        for label, count in enumerate(np.bincount(index.rows["label"] + 1).tolist()):
            if label and count:
                self.labels[self._schema.classes[label - 1]] += count

    def _failed(self, error: OSError) -> OutputError:
        rows = rows_on_disk(self.out)
        many = counted(rows, "row is", "rows are")
        kept = f"; {many} kept in {self.folder.name!r}: go on with --resume" if rows else ""
        return OutputError(f"{str(self.out)!r} cannot be written: {error.strerror or error}{kept}")


def rows_on_disk(out: str | os.PathLike[str]) -> int:
    """Rows that an unfinished run has in parts, beside those of a finished table that it went on from."""
    folder = partial_of(Path(os.path.realpath(out)))
    return sum(len(part.index().rows) for part in part_files(folder))

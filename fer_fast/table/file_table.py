"""A table in a file: whole when it is finished, resumable before, never half."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from fer_fast.inputs import Shard, key_of
from fer_fast.machine.inside import inside_of
from fer_fast.machine.stall import Pulse
from fer_fast.table.assembling import Counts, assemble
from fer_fast.table.film_places import FilmPlaces, drop_unfinished, unlisted_together
from fer_fast.table.finished import (
    FinishedTable,
    Manifest,
    manifest_of,
    read_manifest,
    spill_parquet,
)
from fer_fast.table.formats import records_for
from fer_fast.table.kept import Kept, Runs, records_of
from fer_fast.table.left import base_of, standing, tell_of_replacing
from fer_fast.table.manifest import Run
from fer_fast.table.parts import PartWriter, Source, part_files, part_paths
from fer_fast.table.records import JsonRecords
from fer_fast.table.schema import Schema
from fer_fast.table.stored import StoredTable
from fer_fast.table.workplace import Workplace, check_out, partial_of, unfinished_run
from fer_fast.types import Item, ItemRows, OutputError, OutputRefusedError, counted

_log = logging.getLogger(__name__)


class FileTable:
    """Makes a table of parts in OUT.partial and moves it to its place when it is complete; of one thread.

    First every item is given to `place`, or of a film's parts to what `film` gives, in the order of the table; those
    that they ask for come to `write` in the same order. After a crash at any moment a new `FileTable` with
    `resume=True` keeps the rows of all items whose parts were written. A finished table is resumed, too: rows of files
    that are new, have changed or failed are made.

    Args:
        out: ends in .csv, .jsonl or .parquet; a `StoredTable` is sent what is finished.
        schema: its columns.
        run: what its rows depend on; another run's are refused.
        resume: keep the rows that are there and still true.
        failed_alone: of a finished table only the failed rows are made again.
        pulse: beats while the table is put together.
        shard: what `Shard.found` of it says when the table is finished stands in its manifest.

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
        shard: Shard | None = None,
    ) -> None:
        self.out = check_out(out, resume or failed_alone)
        self.folder = partial_of(self.out)
        self._stored = out if isinstance(out, StoredTable) else None
        self._schema, self._run, self._failed_alone = schema, run, failed_alone
        self._pulse, self._shard = pulse or Pulse(), shard
        self._suffix = self.out.suffix.lower()
        self._records = records_for(self._suffix, schema)
        self.statuses: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.unlisted = 0
        self._states: list[str] = []
        try:
            self._workplace: Workplace | None = Workplace(self.out)
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._parts = PartWriter(self.folder, self._records, schema)
            self._kept = Kept(self._earlier(self._workplace, resume or failed_alone), failed_alone)
            if self._stored is not None:
                self._stored.begin(self._pulse)
        except OutputError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise self._failed(error) from error
        self._order = Runs()
        self._tar = ""  # whose members came last
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
    def kept_films(self) -> int:
        """Films that these rows are of besides, wholly."""
        return self._kept.films

    @property
    def changed(self) -> int:
        """Files, as far as they were placed, whose file is another than the one of which there was a row."""
        return self._kept.changed

    def place(self, item: Item) -> bool:
        """Gives an item its place in the table; whether it is to be classified and given to `write`."""
        if self._failed_alone and not self._kept.knows(item):
            return False
        self._forget_tar_of(item)
        number = self._kept.number_of(item)
        self._add(number)
        return number is None

    def film(self, item: Item) -> FilmPlaces:
        """Gives the parts of a film their places, as they come."""
        return FilmPlaces(item, self._kept, self._add, self._states, self._failed_alone)

    def write(self, results: Sequence[ItemRows]) -> None:
        """Takes the rows of items.

        Raises:
            OutputError: the disk is full or fails, or the store; what was kept can be resumed.
        """
        try:
            self._parts.add(results)
            if self._stored is not None:
                self._stored.send(self._parts.written)
        except OSError as error:
            raise self._failed(error) from error

    def finish(self) -> None:
        """Puts the complete table in its place.

        Raises:
            OutputError: the disk is full or fails, or the store; all rows are kept and can be resumed.
        """
        assert self._workplace is not None
        if halves := drop_unfinished(self._kept):
            rows = counted(halves, "kept row is", "kept rows are")
            _log.warning("%s left out: of a film that is not among the inputs now, and of which not all is there", rows)
        self.unlisted = self._kept.unlisted_rows
        try:
            self._parts.write()
            if self._stored is not None:
                self._stored.send(self._parts.written)
            counts = self._assembled()
            self.statuses, self.labels = counts.statuses, counts.labels
            if self._stored is not None:
                self._stored.finish()
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
            is_empty = not part_paths(self.folder)
            if is_empty:
                self._workplace.remove()
            if self._stored is not None:
                self._stored.end(self._parts.written, is_empty)
        except OSError as error:
            _log.warning("the last rows are not kept: %s", error.strerror or error)
        except OutputError as error:
            _log.warning("%s", error)
        self._workplace.leave()
        self._workplace = None

    def _assembled(self) -> Counts:
        """Puts the table in its place, if it is not there: of a finished one all may still be true."""
        unlisted = unlisted_together(self._kept)
        order = [*islice(chain(self._order, unlisted), 2)]
        found = self._found()
        if self._is_complete and order == [(0, len(self._kept))] and found.items() <= self._base.items():
            counts = Counts(self._schema.classes)
            counts.add(self._kept.sources[0].index())
            return counts
        pieces = records_of(chain(self._order, unlisted), [*self._kept.sources, *self._parts.written])
        return assemble(pieces, self.folder, self.out, self._schema, self._run, self._pulse, **found)

    def _found(self) -> dict[str, Any]:
        """What the manifest says of the files that a share is of; who tries failed rows again takes no other file."""
        if self._failed_alone:
            return {name: value for name, value in self._base.items() if name == "found"}
        return {"found": self._shard.found} if self._shard is not None else {}

    def _forget_tar_of(self, item: Item) -> None:
        """A row of a tar itself tells that it could not be read: where its members come it was."""
        member = inside_of(item.path)
        if member is not None and member.file != self._tar:
            self._tar = member.file
            self._kept.drop_key(key_of(member.file))

    def _add(self, number: int | None) -> None:
        """The next item of the table: one that is kept, or a new one."""
        if number is None:
            number = self._next
            self._next += 1
        self._order.add(number)

    def _earlier(self, workplace: Workplace, resume: bool) -> list[Source]:
        """What an earlier run left, finished or not; makes the folder this run's."""
        self._base: dict[str, Any] = {}  # what the manifest of a finished table says that this goes on from
        self._is_complete = False  # whether that is all that there is
        unfinished, whole = unfinished_run(self.out), standing(self.out)
        if unfinished is not None:
            if not resume:  # begun since `check_out`
                raise OutputRefusedError(f"another run has just left an unfinished table in {str(self.folder)!r}")
            run, base = unfinished
            self._run.check_same(run, str(self.folder))
            if whole is None:
                return self._broken_off(base)
        elif not resume or not self.out.exists():
            if self._failed_alone:
                raise OutputRefusedError(f"{str(self.out)!r} does not exist: there is nothing to try again")
            tell_of_replacing(self.out, self._run)
            workplace.begin(self._run)
            return []
        if whole is not None:
            whole.path.replace(manifest_of(self.out))
        manifest = read_manifest(self.out)
        self._run.check_same(manifest.run, str(self.out))
        if not manifest.is_of(self.out):
            reason = "it was changed since it was written"
            raise OutputRefusedError(
                f"{str(self.out)!r} cannot be resumed: {reason}; a run without --resume replaces it"
            )
        workplace.begin(self._run, manifest.facts["digest"])
        self._is_complete = True
        return [self._source(manifest)]

    def _broken_off(self, base: str) -> list[Source]:
        """What an unfinished run has: its parts, and the finished table that it went on from, if that is as it was."""
        manifest = base_of(self.out, base)
        if self._failed_alone and manifest is None:
            raise OutputRefusedError(f"{str(self.out)!r} is not finished: go on with --resume")
        parts = part_files(self.folder)
        self._states = [state for part in reversed(parts) if (state := part.state)]
        return [*([self._source(manifest)] if manifest else []), *parts]

    def _source(self, manifest: Manifest) -> Source:
        self._base = manifest.facts
        if self._suffix == ".parquet":
            return spill_parquet(self.out, self.folder / "base.jsonl", JsonRecords(self._schema), manifest)
        return FinishedTable(self.out, len(self._records.header), manifest)

    def _failed(self, error: OSError) -> OutputError:
        rows = rows_on_disk(self.out)
        many = counted(rows, "row is", "rows are")
        kept = f"; {many} kept in {self.folder.name!r}: go on with --resume" if rows else ""
        return OutputError(f"{str(self.out)!r} cannot be written: {error.strerror or error}{kept}")


def rows_on_disk(out: str | os.PathLike[str]) -> int:
    """Rows that an unfinished run has in parts, beside those of a finished table that it went on from."""
    folder = partial_of(Path(os.path.realpath(out)))
    return sum(len(part.index().rows) for part in part_files(folder))

"""Tables become one: they are looked at first, then put together aside, and at the end it stands in its place."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fer_fast.machine.stall import Pulse
from fer_fast.machine.urls import is_url
from fer_fast.merge.agreement import common_run, in_order, lacking
from fer_fast.merge.doubled import refuse_doubled
from fer_fast.merge.given import Given, Pieces, given
from fer_fast.table.assembling import Counts, assemble
from fer_fast.table.copies import at_hand, copied, name_of
from fer_fast.table.left import standing, tell_of_replacing
from fer_fast.table.manifest import Run
from fer_fast.table.stored import StoredTable
from fer_fast.table.workplace import Workplace, check_out
from fer_fast.types import OutputError, OutputRefusedError

#: Called with the rows that are in the table so far, and how many of them came since the last call.
Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Merged:
    """What a merged table is.

    Attributes:
        out: the table.
        tables: how many it was made of.
        statuses, labels: its rows by status and by label.
        lacking: what there was not of a whole, in sentences.
    """

    out: str
    tables: int
    statuses: Counter[str]
    labels: Counter[str]
    lacking: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Of the table."""
        return self.statuses.total()


def merge_tables(
    tables: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    incomplete: bool = False,
    progress: Progress | None = None,
) -> Merged:
    """Joins tables that `classify_folder` made of one model by the same options, such as those of all shards.

    Rows stand by the numbers of their shards, and of other tables as these are named; in each in its order. The table
    appears when it is whole; a merge that was broken off at any moment is begun again. It goes on as the table of a run
    of all files: `classify_folder` with `resume` makes what is lacking. Memory does not grow with finished tables, but
    by some 50 bytes for each file of an unfinished one, one after the other; on the disk of `out` it takes the room of
    the table, and 8 bytes a file besides. Tables in object stores, named by their URLs, are copied to this disk first.

    Args:
        tables: finished ones, and unfinished ones by the same name or by that of their folder .partial.
        out: where the table goes; of the same format.
        incomplete: join what is there, though a shard is missing or a table is not finished.
        progress: see `Progress`.

    Returns:
        What is in the table.

    Raises:
        ValueError: a table is not there, is being written, was changed, or is of another model, package or option;
            a shard or a file is there twice; something is lacking and `incomplete` was not asked for.
        OutputRefusedError: see `check_out`; or `out` is a table that is to be merged, or of another format.
        OutputError: the disk is full or fails.
        MissingExtraError: the tables are parquet, and pyarrow is not installed.
    """
    names = [name_of(name) for name in tables]
    if name_of(out) in names:
        raise OutputRefusedError(f"the output {name_of(out)!r} is a table that is to be merged: choose another")
    for name in names:
        if is_url(name) and names.count(name) > 1:  # it would be held against itself
            raise ValueError(f"the table {name!r} is named twice")
    with ExitStack() as stack:
        copies = [stack.enter_context(copied(name)) for name in tables]
        place = stack.enter_context(at_hand(out, keep=False))
        return _merged(copies, place, incomplete, progress)


def _merged(
    tables: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    incomplete: bool,
    progress: Progress | None,
) -> Merged:
    target = check_out(out)
    opened = in_order([given(name) for name in tables])
    if not opened:
        raise ValueError("no table: name those that are to be merged")
    run = common_run(opened)
    if any(table.path == target for table in opened):
        raise OutputRefusedError(f"the output {name_of(out)!r} is a table that is to be merged: choose another")
    if target.suffix.lower() != f".{run.format}":
        raise OutputRefusedError(f"the output {name_of(out)!r} must end in .{run.format}, as the tables do")
    missing = lacking(opened)
    if missing and not incomplete:
        raise ValueError(f"{'; '.join(missing)} (--incomplete merges what is there)")
    for sentence in missing:
        _log.warning("%s", sentence)
    tell_of_replacing(target, run)
    try:
        counts = _put_together(opened, target, run, progress or (lambda done, new: None))
    except OSError as error:
        which = f" ({error.filename})" if error.filename else ""
        raise OutputError(f"{str(target)!r} cannot be put together: {error.strerror or error}{which}") from error
    if isinstance(out, StoredTable):
        out.finish()
    return Merged(name_of(out), len(opened), counts.statuses, counts.labels, tuple(missing))


def _put_together(tables: Sequence[Given], target: Path, run: Run, progress: Progress) -> Counts:
    workplace = Workplace(target)
    try:
        workplace.clear()
        refuse_doubled(tables, workplace.folder)
        pieces = _told(tables, workplace.folder, progress)
        return assemble(pieces, workplace.folder, target, tables[0].schema, run, Pulse())
    finally:
        if standing(target) is None:
            workplace.remove()
        else:  # its manifest does not stand yet: what goes on with the table puts it there
            workplace.leave()


def _told(tables: Sequence[Given], scratch: Path, progress: Progress) -> Pieces:
    done = 0
    for table in tables:
        for index, records in table.pieces(scratch):
            yield index, records
            done += len(index.rows)
            progress(done, len(index.rows))

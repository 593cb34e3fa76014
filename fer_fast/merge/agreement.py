"""Tables come in; the run that all of them are of goes out, and what is missing of it, or what contradicts it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice, pairwise

from fer_fast.inputs import Shard
from fer_fast.merge.given import Given
from fer_fast.table.manifest import Run

#: Shares that a message names.
_MOST = 10


def in_order(tables: Sequence[Given]) -> list[Given]:
    """Shares by their numbers, whatever order they are named in; other tables as they are.

    Raises:
        ValueError: a table is there twice, or a share; or they are shares of other wholes.
    """
    paths = [table.path for table in tables]
    if again := next((path for number, path in enumerate(paths) if path in paths[:number]), None):
        raise ValueError(f"the table {str(again)!r} is named twice")
    shares = sorted(_shares(tables), key=lambda each: each[0].number)
    if not shares:
        return [*tables]
    if whole := next((table for table in tables if table.shard is None), None):
        raise ValueError(f"{shares[0][1].name} is shard {shares[0][0]}, and {whole.name} is none")
    for (first, one), (second, other) in pairwise(shares):
        if first.count != second.count:
            raise ValueError(f"{one.name} is shard {first}, and {other.name} shard {second}: of other wholes")
        if first.number == second.number:
            raise ValueError(f"shard {first} is there twice: {one.name} and {other.name}")
    return [table for _, table in shares]


def common_run(tables: Sequence[Given]) -> Run:
    """The run of all files that tables are of: --resume goes on with their table as if one machine had made it.

    Their inputs may be called otherwise on each machine; a table of several is resumed by no one's.

    Raises:
        ValueError: they are not of one package, format, model or of the same options.
    """
    first = tables[0]
    whole = _without_place(first.run)
    for table in tables[1:]:
        if difference := whole.difference(_without_place(table.run)):
            raise ValueError(f"{table.name} is of a run with {difference} as {first.name}")
    inputs, called = first.run.inputs, first.run.called
    if any(table.run.inputs != inputs for table in tables):
        names: dict[str, str] = {}
        for table in tables:
            for entry, name in zip(table.run.inputs, table.run.called, strict=True):
                names.setdefault(entry, name)
        inputs, called = [*names], [*names.values()]
    folder = os.pathsep.join(dict.fromkeys(table.run.folder for table in tables))
    return replace(whole, inputs=inputs, called=called, folder=folder)


def lacking(tables: Sequence[Given]) -> list[str]:
    """What there is not of a whole, in sentences; tables in the order of `in_order`."""
    shares = _shares(tables)
    told = []
    if shares:
        count, there = shares[0][0].count, {shard.number for shard, _ in shares}
        if lost := count - len(there):
            first = [*islice((number for number in range(1, count + 1) if number not in there), _MOST)]
            more = f" and {lost - _MOST} more" if lost > _MOST else ""
            one = "shard {} of {} is missing" if lost == 1 else "shards {} of {} are missing"
            told.append(one.format(", ".join(map(str, first)) + more, count))
    told += [f"{table.name} is not finished" for table in tables if not table.is_finished]
    return [*told, *_other_files(shares)]


def _other_files(shares: Iterable[tuple[Shard, Given]]) -> list[str]:
    """Whether shares were taken of other files: what was added meanwhile, or inputs that are not the same."""
    seen = [(shard, table.found) for shard, table in shares if table.found is not None]
    for shard, found in seen[1:]:
        first, of_first = seen[0]
        if found != of_first and found and of_first:
            counts = f"shard {first} is of {of_first['files']} files, and shard {shard} of {found['files']}"
            others = " others" if found["files"] == of_first["files"] else ""
            return [f"{counts}{others}: --resume of each looks again, if their inputs are the same"]
    return []


def _shares(tables: Iterable[Given]) -> list[tuple[Shard, Given]]:
    return [(table.shard, table) for table in tables if table.shard is not None]


def _without_place(run: Run) -> Run:
    """A run without what may differ between machines."""
    settings = {name: value for name, value in run.settings.items() if name != "shard"}
    return replace(run, settings=settings, inputs=[], folder="", called=[])

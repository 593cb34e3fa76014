"""Items with their records come in, in their order; a table and its manifest stand in their places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast.machine.disk import sync_folder
from fer_fast.machine.stall import Pulse
from fer_fast.table.finished import ManifestWriter, facts_json, manifest_of
from fer_fast.table.formats import new_table
from fer_fast.table.manifest import Run
from fer_fast.table.parts import STATUSES, Index
from fer_fast.table.schema import Schema

#: Of the table that is put together in OUT.partial.
MANIFEST = "table.manifest"


class Counts:
    """What is in a table.

    Args:
        classes: the names of its labels.

    Attributes:
        statuses, labels: rows by status and by label.
        items: that the rows are of.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.statuses: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.items = 0
        self._classes = classes

    def add(self, index: Index) -> None:
        """The next items."""
        self.items += len(index.items)
        for code, count in enumerate(np.bincount(index.rows["status"]).tolist()):
            if count:
                self.statuses[STATUSES[code].value] += count
        for label, count in enumerate(np.bincount(index.rows["label"] + 1).tolist()):
            if label and count:
                self.labels[self._classes[label - 1]] += count


def assemble(
    pieces: Iterable[tuple[Index, bytes]],
    folder: Path,
    out: Path,
    schema: Schema,
    run: Run,
    pulse: Pulse,
    **more: Any,
) -> Counts:
    """Puts a table together, and then in its place: killed before, nothing is there, and after it all.

    Args:
        pieces: whole items, in the order of the table.
        folder: where it is put together, on the disk of `out`.
        out: its place; the suffix says its format.
        schema: its columns.
        run: what made it.
        pulse: beats with each piece.
        **more: what else its manifest says.

    Raises:
        OSError: the disk is full or fails.
    """
    table, manifest = folder / "table", folder / MANIFEST
    counts = Counts(schema.classes)
    with ManifestWriter(manifest) as facts:
        with new_table(table, out.suffix.lower(), schema) as file:
            for index, records in pieces:
                file.write(records)
                facts.add(index)
                counts.add(index)
                pulse.beat()
        facts.finish(facts_json(run, table, counts.statuses, counts.labels, counts.items, **more))
    sync_folder(folder)
    table.replace(out)
    manifest.replace(manifest_of(out))  # killed before it, the next run does it
    sync_folder(out.parent)
    return counts

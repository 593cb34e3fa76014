"""A finished table comes in; its files go out, each with its rows, and by what a run knows it again."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from fer_fast.table.finished import Manifest, read_manifest
from fer_fast.table.manifest import Run
from fer_fast.table.reading import Cells, read_rows
from fer_fast.types import Stamp


class FileRows(NamedTuple):
    """A file of a table.

    Attributes:
        key: see `Item`.
        stamp: of the file that was read; of size -1 where none could be opened.
        row_count: how many rows it has; a film those of its sections and of its end.
        rows: they, to be taken before the next file is.
    """

    key: int
    stamp: Stamp
    row_count: int
    rows: Iterator[Cells]


def rows_by_files(table: str, columns: Iterable[str] = ()) -> tuple[Run, list[str], Iterator[FileRows]]:
    """Opens a table that a run has finished; memory does not grow with it.

    Args:
        table, columns: see `read_rows`.

    Returns:
        The run that made it, the names of its columns, and its files in its order.

    Raises:
        OutputRefusedError: see `read_manifest`.
        ValueError, MissingExtraError, OSError: see `read_rows`.
    """
    names, rows = read_rows(table, columns)
    manifest = read_manifest(Path(os.path.realpath(table)))
    return manifest.run, names, _by_files(manifest, rows)


def _by_files(manifest: Manifest, rows: Iterator[Cells]) -> Iterator[FileRows]:
    count = 0
    for index in manifest.indexes():
        for key, size, modified, of_item, _, is_section in index.items.tolist():
            count += of_item
            if not is_section:
                its = islice(rows, count)
                yield FileRows(key, (size, modified), count, its)
                deque(its, maxlen=0)  # those that nobody has taken
                count = 0

"""Items come in, lazily; they lie in a Parquet file in batches, and are read there for workers and for the table."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from fer_fast.types import Item

if TYPE_CHECKING:
    import pyarrow as pa

#: Items of a batch, which one worker does in one go: what is lost with a worker, and does not fill the model's batches.
SIZE = 256
#: Batches of a row group.
_GROUP = 64


def write_batches(items: Iterable[Item], path: Path) -> int:
    """Writes items in batches, numbered from 0; returns the number of batches.

    Raises:
        OSError: the disk is full or fails.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("batch", pa.int64()), ("items", pa.binary())])
    items, written = iter(items), 0
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        while group := [pickle.dumps(batch) for _ in range(_GROUP) if (batch := [*islice(items, SIZE)])]:
            numbers = [*range(written, written + len(group))]
            writer.write_table(pa.table([pa.array(numbers, pa.int64()), pa.array(group, pa.binary())], schema=schema))
            written += len(group)
    return written


def read_batches(path: Path) -> Iterator[list[Item]]:
    """The batches of a file, in order; one row group is in memory."""
    for table in _tables(path):
        yield pickle.loads(table["items"][0].as_py())


def _tables(path: Path) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1):
            yield pa.Table.from_batches([batch])


class Batches(Datasource):  # type: ignore[misc]
    """The batches of a file as Ray Data reads them: one task that streams them, a block each.

    Ray's own reader of Parquet takes a file, or a row group, for a block: one worker would get all of it.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._path = path

    def estimate_inmemory_data_size(self) -> int:
        """See `Datasource`."""
        return self._path.stat().st_size

    def get_read_tasks(self, parallelism: int, *more: Any, **others: Any) -> list[ReadTask]:
        """See `Datasource`."""
        path = self._path
        about = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(lambda: _tables(path), about)]

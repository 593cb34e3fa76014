"""Items come in, lazily; they lie in a Parquet file in batches, and are read there for workers and for the table."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from fer_fast.types import Item

#: Items of a batch, which one worker does in one go: what is lost with a worker, and does not fill the model's batches.
SIZE = 256
#: Batches of a row group.
_GROUP = 64


def write_batches(items: Iterable[Item], path: Path) -> int:
    """Writes items in batches; returns the number of batches.

    Raises:
        OSError: the disk is full or fails.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("items", pa.binary())])
    items, written = iter(items), 0
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        while group := [pickle.dumps(batch) for _ in range(_GROUP) if (batch := [*islice(items, SIZE)])]:
            writer.write_table(pa.table([pa.array(group, pa.binary())], schema=schema))
            written += len(group)
    return written


def read_batches(path: Path) -> Iterator[bytes]:
    """The batches of a file, in order, each pickled; one row group is in memory."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1):
            yield batch["items"][0].as_py()

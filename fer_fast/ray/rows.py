"""Items come in, their rows go out in the same order; Ray's workers make them, and may be lost."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray

from fer_fast.machine.begun import begun
from fer_fast.machine.stall import Pulse, wait_for
from fer_fast.pipeline import elsewhere
from fer_fast.ray.batches import read_batches, write_batches
from fer_fast.ray.pool import Pool
from fer_fast.ray.tries import TRIES
from fer_fast.ray.worker import TableWorker, Trouble, from_anywhere
from fer_fast.types import FerFastError, Item, ItemRows, OutputError, Row, Status

if TYPE_CHECKING:
    from fer_fast.ray.cluster import Workers
    from fer_fast.table.file_table import FileTable

#: In the table's folder; an earlier run's is written over, and it goes with the folder.
_FILE = "batches.parquet"


class RayRows(elsewhere.Rows):
    """See `Elsewhere.rows`.

    A batch that comes back has its rows; one that took its worker with it each time has `failed` rows.
    """

    def __init__(
        self, workers: Workers, items: Iterable[Item], table: FileTable, stall_timeout: float, pulse: Pulse
    ) -> None:
        self._stall_timeout, self._pulse = stall_timeout, pulse
        path = table.folder / _FILE
        try:
            count = write_batches(self._wanted(items, table), path)
        except OSError as error:
            raise OutputError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error
        self._batches = read_batches(path)
        self._pool = _pool(workers, read_batches(path), count, pulse)
        self._work: Future[bytes | None] | None = None

    def __next__(self) -> list[ItemRows]:
        items = pickle.loads(next(self._batches))
        answer = self._next_answer()
        if answer is None:
            return [_lost(item) for item in items]
        found = pickle.loads(answer)
        if isinstance(found, Trouble):
            raise found.raised()
        if [result.item.key for result in found] != [item.key for item in items]:
            raise FerFastError("the cluster answered another batch")
        return list(found)

    def finished(self) -> list[ItemRows]:
        """None: a batch comes whole, and is written then."""
        return []

    def close(self, seconds: float | None = None) -> None:
        """Lets the workers go; those of a Ray that was begun here end with it."""
        ended = begun(self._pool.close, "fer-fast-cluster")
        # Ray may be left next: whoever then asks it for something begins another one.
        under_way: list[Future[Any]] = [ended] if self._work is None else [ended, self._work]
        wait(under_way, seconds)

    def _wanted(self, items: Iterable[Item], table: FileTable) -> Iterator[Item]:
        for item in items:
            self._pulse.beat()
            if table.place(item):
                yield replace(item, path=from_anywhere(item.path))

    def _next_answer(self) -> bytes | None:
        self._work = begun(self._pool.answer, "fer-fast-cluster")
        return wait_for(self._work, self._stall_timeout, self._pulse, "the next batch of the cluster")


def _pool(workers: Workers, batches: Iterator[bytes], count: int, pulse: Pulse) -> Pool:
    kind = ray.remote(num_cpus=workers.cpus, num_gpus=workers.gpus, scheduling_strategy="SPREAD")(TableWorker)
    given = workers.opening, workers.cpus, workers.about
    return Pool(lambda: kind.remote(*given), min(workers.count, count), batches, pulse.beat)


def _lost(item: Item) -> ItemRows:
    told = f"its batch was lost with {TRIES + 1} workers"
    return ItemRows(item, (Row(item.name, Status.FAILED, told),), None, True)

"""Items come in, their rows go out in the same order; Ray Data's workers make them, and may be lost."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fer_fast.machine.begun import begun
from fer_fast.machine.stall import Pulse, wait_for
from fer_fast.pipeline import elsewhere
from fer_fast.ray.batches import Batches, read_batches, write_batches
from fer_fast.ray.worker import TableWorker, Trouble, from_anywhere
from fer_fast.types import FerFastError, Item, ItemRows, OutputError, Row, Status, one_line

if TYPE_CHECKING:
    from fer_fast.ray.cluster import Workers
    from fer_fast.table.file_table import FileTable

#: In the table's folder; an earlier run's is written over, and it goes with the folder.
_FILE = "batches.parquet"
#: How often a batch is tried again on which a worker was lost.
TRIES = 2
#: Batches that may be given up; then it is not the batch.
_MOST_LOST = 16


class RayRows(elsewhere.Rows):
    """See `Elsewhere.rows`.

    A batch that comes back has its rows; one that took its worker with it each time has `failed` rows. That a batch
    comes once, and in its place, is Ray Data's promise, and checked here.
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
        self._batches = enumerate(read_batches(path))
        self._answers = answers(workers, Batches(path)) if count else iter(())
        self._answer: tuple[int, bytes] | None = None
        self._has_begun = False

    def __next__(self) -> list[ItemRows]:
        number, items = next(self._batches)
        if not self._has_begun or (self._answer is not None and self._answer[0] < number):
            self._has_begun = True
            self._answer = self._next_answer()
        if self._answer is None or self._answer[0] > number:
            return [_lost(item) for item in items]
        found = pickle.loads(self._answer[1])
        if isinstance(found, Trouble):
            raise found.raised()
        if self._answer[0] != number or [result.item.key for result in found] != [item.key for item in items]:
            raise FerFastError(f"the cluster answered batch {self._answer[0]} in place of batch {number}")
        return list(found)

    def finished(self) -> list[ItemRows]:
        """None: a batch comes whole, and is written then."""
        return []

    def close(self, seconds: float | None = None) -> None:
        """Lets the workers go; those of a Ray that was begun here end with it."""
        if isinstance(self._answers, Answers):
            self._answers.close()

    def _wanted(self, items: Iterable[Item], table: FileTable) -> Iterator[Item]:
        for item in items:
            self._pulse.beat()
            if table.place(item):
                yield replace(item, path=from_anywhere(item.path))

    def _next_answer(self) -> tuple[int, bytes] | None:
        work = begun(lambda: next(self._answers, None), "fer-fast-cluster")
        answer = wait_for(work, self._stall_timeout, self._pulse, "the next batch of the cluster")
        self._pulse.beat()
        return answer


class Answers:
    """What Ray Data's workers make of batches: a batch's number and its pickled rows, in order.

    Args:
        dataset: of the columns batch and results.

    Raises:
        FerFastError: Ray gives up; while iterating.
    """

    def __init__(self, dataset: Any) -> None:
        self._blocks = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        self._rows = self._each()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self

    def __next__(self) -> tuple[int, bytes]:
        return next(self._rows)

    def close(self) -> None:
        """Ends the workers, if they are not ended; not from within."""
        with suppress(ValueError):  # a thread waits for the next one: it ends with Ray
            self._rows.close()

    def _each(self) -> Generator[tuple[int, bytes]]:
        try:
            for block in self._blocks:
                yield from zip(block["batch"].to_pylist(), block["results"].to_pylist(), strict=True)
        except Exception as error:
            raise FerFastError(f"the cluster gave up: {one_line(error)}") from error


def answers(workers: Workers, source: Batches) -> Answers:
    """Has workers do batches."""
    import ray.data

    context = ray.data.DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.target_max_block_size = 1  # a batch is a block
    context.max_errored_blocks = _MOST_LOST
    context.enable_progress_bars = False
    with ray.data.DataContext.current(context):
        # It takes no processor from the workers: with one of its own it would starve where they have all.
        dataset = ray.data.read_datasource(source, num_cpus=0, concurrency=1, override_num_blocks=1)
        return Answers(on(workers, dataset, TableWorker))


def on(workers: Workers, dataset: Any, kind: type, **more: Any) -> Any:
    """A dataset that workers of a kind make of another one."""
    import ray.data
    from ray.util.annotations import RayDeprecationWarning

    with warnings.catch_warnings():
        # By default it tries for ever, and 2.60 has no other way to say how often.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        return dataset.map_batches(
            kind,
            fn_constructor_args=(workers.opening, workers.cpus, workers.about),
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers.count, max_tasks_in_flight_per_actor=2),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
            max_restarts=-1,
            max_task_retries=TRIES,
            **more,
        )


def _lost(item: Item) -> ItemRows:
    told = f"its batch was lost with {TRIES + 1} workers"
    return ItemRows(item, (Row(item.name, Status.FAILED, told),), None, True)

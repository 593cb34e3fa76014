"""Paths, or a Ray Dataset of them, come in; a Ray Dataset of rows goes out, for pipelines of Ray's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any

from fer_fast.decode.limits import number
from fer_fast.machine.extras import need
from fer_fast.machine.inside import inside_of
from fer_fast.machine.stall import DEFAULT_STALL_TIMEOUT
from fer_fast.pipeline.checks import patience
from fer_fast.pipeline.elsewhere import Opening
from fer_fast.pipeline.faces import check_faces
from fer_fast.ray.cluster import Cluster, Workers
from fer_fast.ray.tries import TRIES, tries_here
from fer_fast.ray.worker import Worker, from_anywhere
from fer_fast.types import FerFastError, Item

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from fer_fast.pipeline.opening import About

_SIZE = 256  # files of a batch


def classify(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Dataset,
    *,
    cluster: Cluster | None = None,
    faces: str = "none",
    finder: Mapping[str, Any] | None = None,
    abstain: float = 0.0,
    stall_timeout: float = DEFAULT_STALL_TIMEOUT,
    **options: Any,
) -> Dataset:
    """Classifies like `classify_folder`, as a step of a Ray Data pipeline: nothing runs before the dataset is consumed.

    What is resumed, and in which order rows come, is Ray's affair here, and the table's own in
    `classify_folder(..., cluster=...)`.

    Args:
        paths: what `classify_folder` takes for inputs, looked through at once and held in the object store; or a
            Dataset with a column path, such as `ray.data.read_parquet` gives of a list of many millions. Its blocks
            are what workers share: `repartition` a few large ones.
        cluster: where, and how many workers; None is `Cluster()`.
        faces, finder, abstain, stall_timeout: see `classify_folder`; the finder's arguments.
        **options: of a `Classifier`.

    Returns:
        A row a file, or a face: the columns of `classify_folder`'s table, null where a row has none.

    Raises:
        ValueError: see `classify_folder` and `Cluster.open`; a dataset without a column path.
        MissingExtraError: Ray is not installed.
    """
    need("a dataset", "ray", modules=("ray.data",))  # Ray may be there without what its extra "data" brings
    check_faces(faces, finder, options)
    abstain = number("abstain", abstain, 1)
    workers = (cluster or Cluster()).open(Opening(options, faces, finder, patience(stall_timeout)))
    try:
        return _rows(workers, paths, abstain)
    except BaseException:
        workers.close()
        raise


def _rows(
    workers: Workers, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Dataset, abstain: float
) -> Dataset:
    from ray.data import Dataset

    if isinstance(paths, Dataset):
        if "path" not in paths.columns():
            raise ValueError(f"the dataset must have a column path, and has {', '.join(paths.columns())}")
        files = paths.select_columns(["path"])
    else:
        files = _found([paths] if isinstance(paths, (str, os.PathLike)) else paths)
    return _on(workers, files, abstain)


def _on(workers: Workers, files: Dataset, abstain: float) -> Dataset:
    import ray.data

    return files.map_batches(
        RowWorker,
        batch_size=_SIZE,
        batch_format="pyarrow",
        fn_constructor_args=(workers.opening, workers.cpus, workers.about, abstain, tries_here()),
        compute=ray.data.ActorPoolStrategy(size=workers.count, max_tasks_in_flight_per_actor=2),
        num_cpus=workers.cpus,
        num_gpus=workers.gpus,
    )


def _found(inputs: Iterable[str | os.PathLike[str]]) -> Dataset:
    import pyarrow as pa
    import ray.data

    from fer_fast.inputs import ImageFiles
    from fer_fast.table.records import path_cell

    files = (path_cell(from_anywhere(path)) for path in ImageFiles(inputs))
    tables: Iterator[pa.Table] = (pa.table({"path": batch}) for batch in iter(lambda: [*islice(files, _SIZE)], []))
    return ray.data.from_arrow([*tables])


class RowWorker(Worker):
    """For a dataset: paths as a table has them come in, rows go out.

    Args:
        opening, processors, about: see `Worker`.
        abstain: see `classify_folder`.
        tries: the actor `Tries`.
    """

    def __init__(self, opening: Any, processors: int, about: About, abstain: float, tries: Any) -> None:
        super().__init__(opening, processors, about)
        self._abstain, self._tries = abstain, tries

    def __call__(self, batch: pa.Table) -> pa.Table:
        """A column path becomes the columns of a table.

        Raises:
            FerFastError: the batch has taken too many workers with it; or see `results`.
        """
        import ray

        from fer_fast.table.records import path_of

        paths = [path_of(cell) for cell in batch["path"].to_pylist()]
        # Ray tries again on the same actor, which has one batch at a time; another one's may be of the same files.
        digest = blake2b("\0".join(paths).encode(errors="surrogateescape"), digest_size=8).hexdigest()
        name = f"{ray.get_runtime_context().get_actor_id()} {digest}"
        if ray.get(self._tries.begin.remote(name)) > TRIES + 1:
            raise FerFastError(f"the batch of {paths[0]!r} was lost with {TRIES + 1} workers")
        try:
            return self._rows(paths)
        finally:
            self._tries.end.remote(name)

    def _rows(self, paths: list[str]) -> pa.Table:
        import pyarrow as pa

        from fer_fast.inputs import key_of
        from fer_fast.pipeline.filling import judged_rows
        from fer_fast.table.formats import arrow_schema
        from fer_fast.table.records import JsonRecords
        from fer_fast.table.schema import Schema

        schema = Schema(self._about.classes, self._about.columns)
        records, are_faces = JsonRecords(schema), self._opening.faces != "none"
        results = self.results([Item(path, _shown(path), key_of(path)) for path in paths])
        judged = (judged_rows(result, self._abstain, are_faces) for result in results)
        rows = [records.cells(row) for result in judged for row in result.rows]
        columns = zip(*rows, strict=True) if rows else ([] for _ in schema.names)
        arrays = [pa.array(column, each.type) for column, each in zip(columns, arrow_schema(schema), strict=True)]
        return pa.table(arrays, schema=arrow_schema(schema))


def _shown(path: str) -> str:
    member = inside_of(path)
    return path if member is None else member.shown

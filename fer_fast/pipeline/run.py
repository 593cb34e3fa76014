"""Paths come in, rows go out in the same order; files are found, decoded, classified and written at the same time."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from numbers import Real
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from fer_fast.inputs.files import ImageFiles
from fer_fast.pipeline.summary import Stages, Summary
from fer_fast.table.sinks import FileSink, StreamSink, check_out
from fer_fast.types import FerFastError, Prediction, Row, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.decode import Decoded, Decoder, Pixels

Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

#: Called after each batch with the rows in the table so far, and how many of them are new since the last call.
Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)


class BatchClassifier(Protocol):
    """What this module asks of a `fer_fast.Classifier`."""

    classes: tuple[str, ...]
    batch_size: int
    streams: int
    identity: str
    decoder: Decoder

    def predict_batch(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """uint8 [batch, S, S, 3] to float32 [batch, classes]; from several threads at once."""

    def describe(self) -> dict[str, Any]:
        """What runs."""

    def close(self) -> None:
        """Gives everything back."""


def classify_folder(
    inputs: Inputs,
    out: str | os.PathLike[str] | BinaryIO,
    *,
    classifier: BatchClassifier | None = None,
    resume: bool = False,
    abstain: float = 0.0,
    progress: Progress | None = None,
    **options: Any,
) -> Summary:
    """Classifies every image of folders, files, globs and lists into a table with one row a file.

    A file without pixels is a row that says why; it never stops the run and never gets another file's prediction.
    Memory does not grow with the number of files. The table appears when it is complete; a run that was broken off
    at any moment is continued with `resume`.

    Args:
        inputs: one or several of what `ImageFiles` takes.
        out: where the table goes (.csv, .jsonl, .parquet), or a binary stream for csv.
        classifier: None opens `Classifier(**options)` and closes it at the end.
        resume: keep the rows of an unfinished run of the same model and `abstain`; if `out` is finished, do nothing.
        abstain: a confidence below it, to the six decimals of the table, gives the row no label and the status
            abstained; probabilities and confidence stay. 0 to 1; 0 never abstains.
        progress: see `Progress`.
        **options: as for `Classifier`.

    Raises:
        ValueError: an input that does not exist, no image at all, or a wrong option.
        TypeError: `abstain` is not a number, or options come with a classifier.
        OutputRefusedError: see `check_out` and `FileSink`.
        OutputError: the disk is full or fails; the rows so far are kept.
        CheckpointError: the model is missing or damaged.
        FerFastError: the model fails on a batch; the rows so far are kept.
    """
    if classifier is not None and options:
        raise TypeError(f"options {', '.join(options)} belong to a classifier that is opened here, not to a given one")
    abstain = _checked(abstain)
    path = os.fspath(out) if isinstance(out, (str, os.PathLike)) else None
    if path is None and resume:
        raise ValueError("only a file can be resumed, not a stream")
    if path is not None and check_out(path, resume):
        return Summary(path)
    files = ImageFiles([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)
    found = iter(files)
    first = next(found, None)
    if first is None:
        raise ValueError(_no_images(files))
    runner = classifier if classifier is not None else _open(options)
    try:
        sink: FileSink | StreamSink
        if isinstance(out, (str, os.PathLike)):
            threshold = f" abstain {abstain}" if abstain else ""
            sink = FileSink(out, runner.classes, runner.identity + threshold, resume)
        else:
            sink = StreamSink(out, runner.classes)
        summary = Summary(path, unlistable=files.unlistable, ran=runner.describe())
        try:
            _run(chain([first], found), runner, sink, summary, abstain, progress)
        finally:
            sink.close()
    finally:
        if classifier is None:
            runner.close()
    return summary


def classify_rows(inputs: Inputs, classifier: BatchClassifier, abstain: float = 0.0) -> Iterator[Row]:
    """Classifies like `classify_folder`, but hands each row to the caller, in order, and works some batches ahead.

    Raises:
        ValueError: an input that does not exist, or `abstain` is not from 0 to 1.
        TypeError: `abstain` is not a number.
        FerFastError: the model fails on a batch.
    """
    abstain = _checked(abstain)
    paths = ImageFiles([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)
    rows = chain.from_iterable(classify_batches(paths, classifier, Stages()))
    return (row.abstaining(abstain) for row in rows) if abstain else rows


def classify_batches(paths: Iterable[str], classifier: BatchClassifier, stages: Stages) -> Iterator[list[Row]]:
    """Classifies paths batch by batch, some batches ahead of the caller.

    Args:
        paths: taken lazily.
        classifier: its decoder and its model work at the same time.
        stages: gets the time that decoder and model take.

    Yields:
        Rows in the order of `paths`. A batch with files that give no pixels goes to the model with fewer images:
        they are too rare to be worth filling it up.

    Raises:
        FerFastError: the decoder or the model fails.
    """
    remaining = iter(paths)
    ahead = 2 * classifier.streams + 2  # one batch in each stream, one ready for it, two being decoded
    flight: deque[Future[list[Row]]] = deque()
    pool = ThreadPoolExecutor(classifier.streams, thread_name_prefix="fer-fast-model")
    try:
        while True:
            while len(flight) < ahead and (batch := list(islice(remaining, classifier.batch_size))):
                flight.append(_start(batch, classifier, stages, pool))
            if not flight:
                return
            yield flight.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # at most one batch a stream


def _start(
    paths: Sequence[str], classifier: BatchClassifier, stages: Stages, pool: ThreadPoolExecutor
) -> Future[list[Row]]:
    rows: Future[list[Row]] = Future()

    def decoded(future: Future[Decoded]) -> None:
        try:
            pool.submit(predict, future)
        except RuntimeError:  # the run has stopped
            rows.cancel()

    def predict(future: Future[Decoded]) -> None:
        try:
            rows.set_result(_rows(paths, future.result(), classifier, stages))
        except BaseException as error:
            rows.set_exception(error)

    classifier.decoder.submit(paths).add_done_callback(decoded)
    return rows


def _rows(paths: Sequence[str], decoded: Decoded, classifier: BatchClassifier, stages: Stages) -> list[Row]:
    begun = time.perf_counter()
    rows: list[Row | None] = [None] * len(paths)
    for index, error in decoded.failures:
        rows[index] = Row(paths[index], error.status, str(error))
    if decoded.indices:
        probabilities = _predict(decoded.pixels, classifier)
        for index, row in zip(decoded.indices, probabilities, strict=True):
            rows[index] = Row(paths[index], Status.OK, prediction=Prediction(classifier.classes, row))
    with stages.lock:
        stages.decode += decoded.seconds
        stages.model += time.perf_counter() - begun
    if None in rows:
        raise FerFastError("the decoder lost an image of a batch")
    return [row for row in rows if row is not None]


def _predict(pixels: Pixels, classifier: BatchClassifier) -> npt.NDArray[np.float32]:
    import numpy as np

    try:
        probabilities = classifier.predict_batch(pixels)  # [batch, classes]
    except Exception as error:
        raise FerFastError(f"the model failed on a batch of {len(pixels)} images: {error}") from error
    wanted = (len(pixels), len(classifier.classes))
    if probabilities.shape != wanted:
        raise FerFastError(f"the model gave probabilities {list(probabilities.shape)} instead of {list(wanted)}")
    if not np.isfinite(probabilities).all():
        raise FerFastError("the model gave a probability that is not a number; another precision may help")
    return probabilities


def _run(
    paths: Iterator[str],
    classifier: BatchClassifier,
    sink: FileSink | StreamSink,
    summary: Summary,
    abstain: float,
    progress: Progress | None,
) -> None:
    _log.info("classifying with %s", summary.ran)
    report: Progress = progress or (lambda done, new: None)
    begun = time.perf_counter()
    if isinstance(sink, FileSink) and sink.rows:
        summary.statuses, summary.labels = sink.kept.copy(), sink.kept_labels.copy()
        summary.kept = summary.unlisted = sink.rows
        report(summary.rows, 0)
        paths = _not_kept(paths, sink, summary)
    batches = classify_batches(paths, classifier, summary.stages)
    try:
        for found in batches:
            started = time.perf_counter()
            rows = [row.abstaining(abstain) for row in found] if abstain else found
            sink.write(rows)
            summary.stages.write += time.perf_counter() - started
            summary.statuses.update(row.status.value for row in rows)
            summary.labels.update(row.label for row in rows if row.status is Status.OK)
            report(summary.rows, len(rows))
    finally:
        batches.close()  # type: ignore[attr-defined]
    sink.finish()
    summary.seconds = time.perf_counter() - begun
    if summary.unlisted:
        _log.warning("%d kept rows are of files that were not found again", summary.unlisted)


def _not_kept(paths: Iterator[str], sink: FileSink, summary: Summary) -> Iterator[str]:
    holds = sink.holds()
    for path in paths:
        if holds(path):
            summary.unlisted -= 1
        else:
            yield path


def _no_images(files: ImageFiles) -> str:
    names = ", ".join(map(repr, files.inputs[:3])) + (", ..." if len(files.inputs) > 3 else "")
    if files.unlistable:
        return f"no image can be found in {names}: {files.unlistable[0]!r} cannot be read"
    return f"no image in {names}"


def _checked(abstain: float) -> float:
    if isinstance(abstain, bool) or not isinstance(abstain, Real):
        raise TypeError(f"abstain must be a number from 0 to 1, not {abstain!r}")
    if not 0 <= abstain <= 1:
        raise ValueError(f"abstain must be a number from 0 to 1, not {abstain!r}")
    return float(abstain)


def _open(options: dict[str, Any]) -> BatchClassifier:
    from fer_fast.classifier import Classifier  # torch takes seconds: only once there is work

    return Classifier(**options)

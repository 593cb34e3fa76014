"""A run: inputs become a table or rows; files are found, decoded, classified and written at the same time."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from fer_fast.inputs import ImageFiles
from fer_fast.machine.stall import DEFAULT_STALL_TIMEOUT, Pulse, within
from fer_fast.pipeline.batches import BatchClassifier, ItemBatches
from fer_fast.pipeline.checks import called_earlier, check_open, no_images, number, patience, refuse_input
from fer_fast.pipeline.faces import FaceClassifier, check_faces, judged, open_faces, small_faces
from fer_fast.pipeline.summary import Stages, Summary
from fer_fast.table.file_table import FileTable
from fer_fast.table.manifest import run_of
from fer_fast.table.schema import Schema
from fer_fast.table.stream_table import StreamTable
from fer_fast.table.workplace import check_out
from fer_fast.types import Item, ItemRows, Row, StalledError, counted, one_line

if TYPE_CHECKING:
    from fer_fast.faces.decoder import CropSink
    from fer_fast.faces.finder import FaceFinder

Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

#: Called after each batch with the files in the table so far, and how many of them are new since the last call.
Progress = Callable[[int, int], None]
Seen = Callable[[Sequence[ItemRows]], None]

#: How long a run that was broken off waits for its model; on one that answers it is done before.
_LAST_SECONDS = 5.0

_log = logging.getLogger(__name__)


def classify_folder(
    inputs: Inputs,
    out: str | os.PathLike[str] | BinaryIO,
    *,
    classifier: BatchClassifier | None = None,
    faces: str = "none",
    finder: FaceFinder | Mapping[str, Any] | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    abstain: float = 0.0,
    stall_timeout: float = DEFAULT_STALL_TIMEOUT,
    progress: Progress | None = None,
    seen: Seen | None = None,
    crops: CropSink | None = None,
    pulse: Pulse | None = None,
    **options: Any,
) -> Summary:
    """Classifies every image of folders, files, globs and lists into a table with one row a file, or one a face.

    A file without pixels is a row that says why; it never stops the run and never gets another file's prediction.
    Memory does not grow with the number of files. The table appears when it is complete; a run that was broken off
    at any moment is continued with `resume`.

    Args:
        inputs: one or several of what `ImageFiles` takes.
        out: where the table goes (.csv, .jsonl, .parquet), or a binary stream for csv.
        classifier: None opens `Classifier(**options)` and closes it at the end.
        faces: none is for images that are faces; all and largest look for the faces in each, and a face is a row then.
        finder: what looks for them. None opens a `FaceFinder`, a mapping one with these arguments; it is closed at the
            end.
        resume: keep the rows of an unfinished or finished run of the same inputs, model and options whose files are
            still those that were read; classify the rest, and again what failed.
        retry_failed: of a finished table do again the rows that failed, and nothing else.
        abstain: a confidence below it, to the six decimals of the table, gives the row no label and the status
            abstained; probabilities and confidence stay. 0 to 1; 0 never abstains.
        stall_timeout: seconds without a batch after which the run ends; 0 or infinity never ends it.
        progress: see `Progress`.
        seen: called with the rows that this run has made, after they are in the table's parts.
        crops: called from several threads with a photo's path, the number of its first face, and the pixels of it and
            those behind it, uint8 [faces, S, S, 3]. What either raises ends the run.
        pulse: beats with all that the run does, for a guard of the caller's own.
        **options: as for `Classifier`.

    Raises:
        ValueError: an input that does not exist, no image at all, or a wrong option.
        TypeError: `abstain` or `stall_timeout` is not a number, `finder` no finder, or options come with a classifier.
        OutputRefusedError: see `check_out` and `FileTable`.
        OutputError: the disk is full or fails; the rows so far are kept.
        CheckpointError: the model is missing or damaged.
        FerFastError: the model fails on a batch; the rows so far are kept. Or the classifier is closed.
        StalledError: see `stall_timeout`; the rows so far are kept. Threads that do not answer are left behind, and
            keep the process from ending in good order.
    """
    if classifier is not None and options:
        raise TypeError(f"options {', '.join(options)} belong to a classifier that is opened here, not to a given one")
    check_open(classifier)
    check_faces(faces, finder, options, crops)
    abstain = number("abstain", abstain, 1)
    stall_timeout = patience(stall_timeout)
    pulse = pulse or Pulse()
    keep = resume or retry_failed
    path = os.fspath(out) if isinstance(out, (str, os.PathLike)) else None
    if path is None and keep:
        raise ValueError("only a file can be resumed, not a stream")
    named = [os.fspath(entry) for entry in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]
    target = check_out(path, keep) if path is not None else None
    if target is not None:
        refuse_input(named, target)
    files = ImageFiles(named, called_earlier(named, target if keep else None), pulse=pulse)
    found = files.items()
    first = next(found, None)
    if first is None:
        raise ValueError(no_images(files))
    runner = within(stall_timeout, lambda: _runner(classifier, options, faces, finder, crops), "the model")
    how = _How(abstain, stall_timeout, progress, seen, pulse, faces != "none")
    ended = False
    try:
        schema = Schema(runner.classes, runner.decoder.columns)
        table: FileTable | StreamTable
        if isinstance(out, (str, os.PathLike)):
            run = run_of(Path(out), schema, files.inputs, _settings(runner, abstain), getattr(runner, "model", ""))
            table = FileTable(out, schema, run, resume, retry_failed, pulse)
            files.leave_out(table.folder)
        else:
            table = StreamTable(out, schema, pulse)
        summary = Summary(path, unlistable=files.unlistable, skipped=files.skipped, ran=runner.describe())
        try:
            _run(chain([first], found), runner, table, summary, how)
        finally:
            table.close()
        ended = True
    finally:
        if runner is not classifier:
            _close(runner, None if ended else _LAST_SECONDS)
    return summary


def classify_rows(
    inputs: Inputs,
    classifier: BatchClassifier,
    abstain: float = 0.0,
    stall_timeout: float = DEFAULT_STALL_TIMEOUT,
    *,
    faces: str = "none",
    finder: FaceFinder | Mapping[str, Any] | None = None,
) -> Iterator[Row]:
    """Classifies like `classify_folder`, but hands each row to the caller, in order, and works some batches ahead.

    Raises:
        ValueError: an input that does not exist, or `abstain` is not from 0 to 1.
        TypeError: `abstain` or `stall_timeout` is not a number, or `finder` no finder.
        FerFastError: the model fails on a batch, or the classifier is closed.
        StalledError: nothing has come for `stall_timeout` seconds.
    """
    check_open(classifier)
    check_faces(faces, finder, {})
    abstain = number("abstain", abstain, 1)
    stall_timeout = patience(stall_timeout)
    files = ImageFiles([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)
    if faces == "none":
        return _rows(ItemBatches(files.items(), classifier, Stages(), stall_timeout), abstain)
    runner = open_faces(classifier, finder, faces, {}, _open)
    return _rows(ItemBatches(files.items(), runner, Stages(), stall_timeout), abstain, runner)


def _rows(batches: ItemBatches, abstain: float, runner: FaceClassifier | None = None) -> Iterator[Row]:
    seconds = None
    try:
        for results in batches:
            for result in results:
                yield from _judged(result, abstain, runner is not None).rows
    except BaseException as error:
        seconds = None if isinstance(error, GeneratorExit) else _LAST_SECONDS
        raise
    finally:
        batches.close(seconds)
        if runner is not None:
            _close(runner, seconds)


class _How(NamedTuple):
    """How a run goes; see `classify_folder`."""

    abstain: float
    stall_timeout: float
    progress: Progress | None
    seen: Seen | None
    pulse: Pulse
    are_faces: bool


def _run(
    items: Iterator[Item],
    classifier: BatchClassifier,
    table: FileTable | StreamTable,
    summary: Summary,
    how: _How,
) -> None:
    _log.info("classifying with %s", summary.ran)
    begun = time.perf_counter()
    wanted = (item for item in items if _place(item, table, how.pulse))
    batches = ItemBatches(wanted, classifier, summary.stages, how.stall_timeout, how.pulse)
    try:
        for found in batches:
            _write(found, table, summary, how)
    except BaseException as error:
        # First of all: what follows may take its time, or never end.
        _keep_what_has_come(batches, table, summary, how)
        batches.close(0 if isinstance(error, StalledError) else _LAST_SECONDS)
        raise
    batches.close()
    started = time.perf_counter()
    table.finish()
    ended = time.perf_counter()
    summary.stages.write += ended - started
    summary.seconds = ended - begun
    summary.ran = classifier.describe()  # once more: its decoder may have gone on in processes
    summary.statuses, summary.labels = table.statuses, table.labels
    summary.kept, summary.changed, summary.unlisted = table.kept_rows, table.changed, table.unlisted
    summary.photos = table.kept_items + summary.new_photos
    if summary.unlisted:
        kept = counted(summary.unlisted, "kept row is of a file", "kept rows are of files")
        _log.warning("%s not among the inputs now", kept)


def _place(item: Item, table: FileTable | StreamTable, pulse: Pulse) -> bool:
    pulse.beat()
    return table.place(item)


def _write(found: list[ItemRows], table: FileTable | StreamTable, summary: Summary, how: _How) -> None:
    started = time.perf_counter()
    if how.abstain or how.are_faces:
        found = [_judged(result, how.abstain, how.are_faces) for result in found]
    table.write(found)
    summary.stages.write += time.perf_counter() - started
    summary.new += sum(len(result.rows) for result in found)
    summary.new_photos += len(found)
    if how.are_faces:
        summary.small += small_faces(found)
    if how.seen is not None:
        how.seen(found)
    if how.progress is not None:
        how.progress(table.kept_items + summary.new_photos, len(found))


def _keep_what_has_come(batches: ItemBatches, table: FileTable | StreamTable, summary: Summary, how: _How) -> None:
    """After an error or an interrupt: rows that are there but were not written yet."""
    try:
        if isinstance(table, FileTable) and (found := batches.finished()):
            _write(found, table, summary, how)
    except Exception as error:  # the caller's `seen` may raise again: what ended the run is what is told
        _log.warning("the last rows may not be kept: %s", one_line(error))
    table.close()


def _close(runner: BatchClassifier, seconds: float | None) -> None:
    """Closes what was opened here; after an error it may not answer, and is left behind after so many seconds."""
    if seconds is None:
        runner.close()
        return
    closing = threading.Thread(target=runner.close, name="fer-fast-close", daemon=True)
    closing.start()
    closing.join(seconds)


def _judged(result: ItemRows, below: float, are_faces: bool) -> ItemRows:
    """Rows that are not sure enough abstain, and those of faces that are too small."""
    rows = (row.abstaining(below) for row in result.rows)
    return replace(result, rows=tuple(map(judged, rows) if are_faces else rows))


def _settings(classifier: BatchClassifier, abstain: float) -> dict[str, Any]:
    """What rows depend on besides their files."""
    decoder = classifier.decoder
    return {
        "model": classifier.identity,
        "decoder": decoder.name,
        "max_pixels": decoder.limits.max_pixels,
        "abstain": abstain,
        **(classifier.settings if isinstance(classifier, FaceClassifier) else {}),
    }


def _runner(
    classifier: BatchClassifier | None,
    options: dict[str, Any],
    faces: str,
    finder: FaceFinder | Mapping[str, Any] | None,
    crops: CropSink | None,
) -> BatchClassifier:
    """What classifies: the given classifier, one that is opened here, or either with a finder."""
    if faces != "none":
        return open_faces(classifier, finder, faces, options, _open, crops)
    return classifier if classifier is not None else _open(options)


def _open(options: dict[str, Any]) -> BatchClassifier:
    from fer_fast.classifier import Classifier  # torch takes seconds: only once there is work

    return Classifier(**options)

"""Items and a table come in; their rows are in the table when it is finished, and what was done is in the summary."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from fer_fast.machine.stall import Pulse
from fer_fast.pipeline.elsewhere import Elsewhere, Rows
from fer_fast.pipeline.faces import judged, small_faces
from fer_fast.pipeline.results import Results
from fer_fast.table.file_table import FileTable
from fer_fast.table.stream_table import StreamTable
from fer_fast.types import Item, ItemRows, StalledError, counted, one_line

if TYPE_CHECKING:
    from fer_fast.pipeline.batches import BatchClassifier
    from fer_fast.pipeline.films import FilmOptions
    from fer_fast.pipeline.summary import Summary

#: Called after each step with the files in the table so far, and how many of them are new since the last call.
Progress = Callable[[int, int], None]
Seen = Callable[[Sequence[ItemRows]], None]

#: How long a run that was broken off waits for its model; on one that answers it is done before.
LAST_SECONDS = 5.0

_log = logging.getLogger(__name__)


class How(NamedTuple):
    """How a run goes; see `classify_folder`."""

    abstain: float
    stall_timeout: float
    progress: Progress | None
    seen: Seen | None
    pulse: Pulse
    are_faces: bool
    films: FilmOptions | None


def classify_into(
    items: Iterator[Item],
    classifier: BatchClassifier | Elsewhere,
    table: FileTable | StreamTable,
    summary: Summary,
    how: How,
) -> None:
    """Makes the rows of items and puts them into a table, which is then finished.

    Args:
        items: in the order of the table, taken lazily.
        classifier: what classifies.
        table: is told of each item, and takes the rows of those that it wants.
        summary: gets what was done.
        how: see `How`.

    Raises:
        Exception: see `classify_folder`; rows that have come by then are kept.
    """
    _log.info("classifying with %s", summary.ran)
    begun = time.perf_counter()
    results: Results | Rows
    if isinstance(classifier, Elsewhere):
        assert isinstance(table, FileTable)
        results = classifier.rows(items, table, how.stall_timeout, how.pulse)
    else:
        results = Results(items, classifier, table, how.films, summary.stages, how.stall_timeout, how.pulse)
    try:
        for found in results:
            _write(found, table, summary, how)
    except BaseException as error:
        # First of all: what follows may take its time, or never end.
        _keep_what_has_come(results, table, summary, how)
        results.close(0 if isinstance(error, StalledError) else LAST_SECONDS)
        raise
    results.close()
    started = time.perf_counter()
    table.finish()
    ended = time.perf_counter()
    summary.stages.write += ended - started
    summary.seconds = ended - begun
    summary.ran = classifier.describe()  # once more: its decoder may have gone on in processes
    summary.statuses, summary.labels = table.statuses, table.labels
    summary.kept, summary.changed, summary.unlisted = table.kept_rows, table.changed, table.unlisted
    summary.photos = table.kept_items + summary.new_photos
    summary.films = table.kept_films + summary.new_films
    if summary.unlisted:
        kept = counted(summary.unlisted, "kept row is of a file", "kept rows are of files")
        _log.warning("%s not among the inputs now", kept)


def _write(found: list[ItemRows], table: FileTable | StreamTable, summary: Summary, how: How) -> None:
    started = time.perf_counter()
    if how.abstain or how.are_faces:
        found = [judged_rows(result, how.abstain, how.are_faces) for result in found]
    table.write(found)
    summary.stages.write += time.perf_counter() - started
    summary.new += sum(len(result.rows) for result in found)
    parts = [result.film for result in found if result.film is not None]
    photos, films = len(found) - len(parts), sum(part.is_end for part in parts)
    summary.new_photos += photos
    summary.new_films += films
    summary.frames += sum(part.frames for part in parts)
    if how.are_faces:
        summary.small += small_faces(found)
    if how.seen is not None:
        how.seen(found)
    if how.progress is not None:
        done = table.kept_items + table.kept_films + summary.new_photos + summary.new_films
        how.progress(done, photos + films)


def _keep_what_has_come(results: Results | Rows, table: FileTable | StreamTable, summary: Summary, how: How) -> None:
    """After an error or an interrupt: rows that are there but were not written yet."""
    try:
        if isinstance(table, FileTable) and (found := results.finished()):
            _write(found, table, summary, how)
    except Exception as error:  # the caller's `seen` may raise again: what ended the run is what is told
        _log.warning("the last rows may not be kept: %s", one_line(error))
    table.close()


def close_within(runner: BatchClassifier | Elsewhere, seconds: float | None) -> None:
    """Closes what was opened for a run; after an error it may not answer, and is left behind after so many seconds."""
    if seconds is None:
        runner.close()
        return
    closing = threading.Thread(target=runner.close, name="fer-fast-close", daemon=True)
    closing.start()
    closing.join(seconds)


def judged_rows(result: ItemRows, below: float, are_faces: bool) -> ItemRows:
    """Rows that are not sure enough abstain, and those of faces that are too small."""
    rows = (row.abstaining(below) for row in result.rows)
    return replace(result, rows=tuple(map(judged, rows) if are_faces else rows))

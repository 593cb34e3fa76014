"""A run: inputs become a table or rows; files are found, decoded, classified and written at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fer_fast.decode.limits import number
from fer_fast.engines.opened import check_open
from fer_fast.inputs import ImageFiles, Shard
from fer_fast.machine.stall import DEFAULT_STALL_TIMEOUT, Pulse, within
from fer_fast.machine.urls import is_url
from fer_fast.pipeline.batches import BatchClassifier
from fer_fast.pipeline.checks import called_earlier, check_cluster, no_images, patience, refuse_films, refuse_input
from fer_fast.pipeline.elsewhere import Cluster, Elsewhere, Opening
from fer_fast.pipeline.faces import check_faces
from fer_fast.pipeline.filling import LAST_SECONDS, How, Progress, Seen, classify_into, close_within, judged_rows
from fer_fast.pipeline.films import FilmOptions, with_films
from fer_fast.pipeline.opening import about_of, open_runner
from fer_fast.pipeline.results import Anywhere, Results
from fer_fast.pipeline.summary import Stages, Summary
from fer_fast.remote.stamped import stamped
from fer_fast.table.copies import at_hand, name_of
from fer_fast.table.file_table import FileTable
from fer_fast.table.manifest import run_of
from fer_fast.table.schema import Schema
from fer_fast.table.stream_table import StreamTable
from fer_fast.table.workplace import check_out
from fer_fast.types import Row

if TYPE_CHECKING:
    from fer_fast.faces.decoder import CropSink
    from fer_fast.faces.finder import FaceFinder

Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def classify_folder(
    inputs: Inputs,
    out: str | os.PathLike[str] | BinaryIO,
    *,
    classifier: BatchClassifier | None = None,
    cluster: Cluster | None = None,
    faces: str | None = None,
    finder: FaceFinder | Mapping[str, Any] | None = None,
    films: bool | None = None,
    every: str | None = None,
    start: float | None = None,
    end: float | None = None,
    smooth: float = 0.0,
    empty_frames: bool = False,
    find_every: int = 1,
    shard: str | None = None,
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

    Films are classified frame by frame: a row a face, with the number of its frame, its time in seconds and its track,
    see `TrackedFace`. A file without pixels is a row that says why; it never stops the run and never gets another
    file's prediction. Memory does not grow with the number of files, and hardly with a film's length. The table appears
    when it is complete; a run that was broken off at any moment is continued with `resume`.

    Args:
        inputs: one or several of what `ImageFiles` takes.
        out: where the table goes (.csv, .jsonl, .parquet), in an object store by its URL, or a binary stream for csv.
        classifier: None opens `Classifier(**options)` and closes it at the end.
        cluster: who does the work in place of this process, such as `fer_fast.ray.Cluster`: the table's order is the
            same. It knows no films, `crops` or open `classifier` or `finder`.
        faces: none is for images that are faces; all and largest look for the faces in each, and a face is a row then.
            None is all where there are films, and otherwise none.
        finder: what looks for them. None opens a `FaceFinder`, a mapping one with these arguments; it is closed at the
            end.
        films: whether what is called as films are is classified, and the table has columns for it. None looks for films
            among the names of the inputs; those in folders are left out, and told, where `faces` is none or PyAV is not
            installed. Of a list on standard input the first path decides.
        every, start, end: which frames of films are looked at; see `Film`.
        smooth: seconds over which a track's predictions are averaged, see `Smoother`; the table has the averages, too.
            0 averages none.
        empty_frames: a row, `no_face`, for each frame without a face; otherwise it has none.
        find_every: the finder looks at each so manieth frame of films, see `classify_video`.
        shard: of the files take one share alone, such as 3/16: the third of sixteen, see `Shard`. A share that has no
            file is an empty table. `merge_tables` joins them.
        resume: keep the rows of an unfinished or finished run of the same inputs, model and options whose files are
            still those that were read; classify the rest, and again what failed.
        retry_failed: of a finished table do again the rows that failed, and nothing else.
        abstain: a confidence below it, to the six decimals of the table, gives the row no label and the status
            abstained; probabilities and confidence stay. 0 to 1; 0 never abstains.
        stall_timeout: seconds without a batch after which the run ends; 0 or infinity never ends it.
        progress: see `Progress`.
        seen: called with the rows that this run has made, after they are in the table's parts.
        crops: called from several threads with a file's path, None of a photo and of a film the number of a frame, and
            the pixels of its faces, uint8 [faces, S, S, 3]. What either raises ends the run.
        pulse: beats with all that the run does, for a guard of the caller's own.
        **options: as for `Classifier`.

    Raises:
        ValueError: an input that does not exist, no image and no film at all, a wrong option, one of films where there
            are none.
        TypeError: `abstain` or `stall_timeout` is not a number, `finder` no finder, or options come with a classifier.
        OutputRefusedError: see `check_out` and `FileTable`.
        OutputError: the disk is full or fails, or the store; the rows so far are kept.
        CheckpointError: the model is missing or damaged.
        MissingExtraError: the table or an option needs a package that is not installed.
        FerFastError: the model fails on a batch; the rows so far are kept. Or the classifier is closed.
        StalledError: see `stall_timeout`; the rows so far are kept. Threads that do not answer are left behind, and
            keep the process from ending in good order.
    """
    if classifier is not None and options:
        raise TypeError(f"options {', '.join(options)} belong to a classifier that is opened here, not to a given one")
    check_open(classifier)
    if cluster is not None:
        films = check_cluster(out, classifier, finder, films, crops)
    if faces is not None:
        check_faces(faces, finder, options, crops)
    abstain = number("abstain", abstain, 1)
    stall_timeout = patience(stall_timeout)
    of_films = FilmOptions(every, start, end, smooth, empty_frames, find_every)
    of_films.check()
    share = Shard(shard) if shard is not None else None
    pulse = pulse or Pulse()
    keep = resume or retry_failed
    path = name_of(out) if isinstance(out, (str, os.PathLike)) else None
    if path is None and keep:
        raise ValueError("only a file can be resumed, not a stream")
    named = [os.fspath(entry) for entry in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]
    with at_hand(out, keep) as out:
        target = check_out(out, keep) if isinstance(out, (str, os.PathLike)) else None
        if target is not None:
            refuse_input(named, target, path)
        if cluster is not None:
            refuse_films(named)
        has_films = with_films(named, faces, of_films, films, target if keep else None, pulse)
        faces = faces or ("all" if has_films else "none")
        check_faces(faces, finder, options, crops)
        files = ImageFiles(named, called_earlier(named, target if keep else None), False, pulse, has_films, share)
        if target is not None and path is not None:
            files.leave_out(path if is_url(path) else target)
        found = stamped(files.items()) if keep else files.items()
        first = next(found, None)
        if first is None and (share is None or not share.files):
            raise ValueError(no_images(files))
        runner: BatchClassifier | Elsewhere
        if cluster is not None:
            assert not hasattr(finder, "find_in")  # see `check_cluster`
            runner = cluster.open(Opening(options, faces, finder, stall_timeout))
        else:
            runner = within(stall_timeout, lambda: open_runner(classifier, options, faces, finder, crops), "the model")
        how = How(abstain, stall_timeout, progress, seen, pulse, faces != "none", of_films if has_films else None)
        ended = False
        try:
            about = runner.about if isinstance(runner, Elsewhere) else about_of(runner)
            of_frames = of_films.columns(about.classes) if has_films else ()
            schema = Schema(about.classes, (*about.columns, *of_frames))
            table: FileTable | StreamTable
            if isinstance(out, (str, os.PathLike)):
                settings = about.settings | {"abstain": abstain} | (of_films.settings if has_films else {})
                settings |= {"shard": str(share)} if share is not None and share.count > 1 else {}
                run = run_of(Path(out), schema, files.inputs, settings, about.model, files.called)
                table = FileTable(out, schema, run, resume, retry_failed, pulse, share)
            else:
                table = StreamTable(out, schema, pulse)
            summary = Summary(path, unlistable=files.unlistable, skipped=files.skipped, ran=runner.describe())
            try:
                classify_into(chain([first] if first else [], found), runner, table, summary, how)
            finally:
                table.close()
            ended = True
        finally:
            if runner is not classifier:
                close_within(runner, None if ended else LAST_SECONDS)
        return summary


def classify_rows(
    inputs: Inputs,
    classifier: BatchClassifier,
    abstain: float = 0.0,
    stall_timeout: float = DEFAULT_STALL_TIMEOUT,
    *,
    faces: str | None = None,
    finder: FaceFinder | Mapping[str, Any] | None = None,
    films: bool | None = None,
    every: str | None = None,
    start: float | None = None,
    end: float | None = None,
    smooth: float = 0.0,
    empty_frames: bool = False,
    find_every: int = 1,
    shard: str | None = None,
) -> Iterator[Row]:
    """Classifies like `classify_folder`, but hands each row to the caller, in order, and works some batches ahead.

    Raises:
        ValueError: an input that does not exist, `abstain` is not from 0 to 1, or `shard` is none.
        TypeError: `abstain` or `stall_timeout` is not a number, or `finder` no finder.
        FerFastError: the model fails on a batch, or the classifier is closed.
        StalledError: nothing has come for `stall_timeout` seconds.
    """
    check_open(classifier)
    abstain = number("abstain", abstain, 1)
    stall_timeout = patience(stall_timeout)
    of_films = FilmOptions(every, start, end, smooth, empty_frames, find_every)
    of_films.check()
    share = Shard(shard) if shard is not None else None
    named = [os.fspath(entry) for entry in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]
    has_films = with_films(named, faces, of_films, films)
    faces = faces or ("all" if has_films else "none")
    check_faces(faces, finder, {})
    files = ImageFiles(named, films=has_films, shard=share)
    runner = open_runner(classifier, {}, faces, finder)
    results = Results(files.items(), runner, Anywhere(), of_films if has_films else None, Stages(), stall_timeout)
    return _rows(results, abstain, runner if runner is not classifier else None)


def _rows(results: Results, abstain: float, runner: BatchClassifier | None) -> Iterator[Row]:
    seconds = None
    try:
        for found in results:
            for result in found:
                yield from judged_rows(result, abstain, runner is not None).rows
    except BaseException as error:
        seconds = None if isinstance(error, GeneratorExit) else LAST_SECONDS
        raise
    finally:
        results.close(seconds)
        if runner is not None:
            close_within(runner, seconds)

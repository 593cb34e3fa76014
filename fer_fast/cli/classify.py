"""`fer-fast classify`: inputs and options come in, a table goes to a file or to standard output."""

from __future__ import annotations

import argparse
import sys
import threading
import warnings
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from fer_fast.cli.arguments import add_prior_argument, positive, seconds, size, threshold
from fer_fast.cli.cluster import add_cluster_arguments, given_cluster
from fer_fast.cli.console import say
from fer_fast.cli.faces import ALL, NONE, add_face_arguments, check_face_arguments, finder_options
from fer_fast.cli.films import add_film_arguments, film_options, find_films, given_film_options, note_films
from fer_fast.cli.photos import FirstLook
from fer_fast.cli.pictures import Pictures
from fer_fast.cli.progress import Progress
from fer_fast.cli.summary import report, report_missing
from fer_fast.cli.watchdog import watching
from fer_fast.decode import DECODERS
from fer_fast.machine.blas import import_numpy
from fer_fast.machine.stall import DEFAULT_STALL_TIMEOUT, Pulse
from fer_fast.types import ItemRows, StalledError, counted

if TYPE_CHECKING:
    from fer_fast.pipeline.elsewhere import Cluster
    from fer_fast.pipeline.summary import Summary

_EPILOG = """
INPUT is a folder (searched to the bottom for jpg, png, webp, bmp, tiff, gif, heic, avif and films, but not for what
is hidden: .ipynb_checkpoints, ._face.jpg, __MACOSX), a file, a quoted glob such as 'faces/**/*.png', @LIST (a file with
one path a line, or separated by NULs), or - (such a list on standard input). A file that several inputs name is one
row. A tar that is named, as 'train-*.tar', is as a folder of the images in it; one that lies in a folder is not opened.
Folders, files and globs may be URLs, as s3://bucket/photos; https:// is for files (extra "remote", a store's driver).
So may OUT, as s3://bucket/table.parquet: OUT.partial is in the store, too, and --resume goes on from any machine.

Columns: path, status (ok, abstained, corrupt, unsupported, unreadable, too_large, empty, no_face, failed), error,
label, confidence, p_<class>. An abstained row has all but a label: its confidence is below --abstain. That is no
failure to --strict. A failed row is no verdict on the file: the machine was at fault, and --resume tries again.

Films (mp4, mov, mkv, webm, avi and others by their names; extra "video") are classified frame by frame, photos beside
them as with --faces all. Columns frame, time (seconds) and track are added behind score: a track is the number that the
same face keeps from frame to frame. A damaged film has a last row that says where and why. See --every to be faster.

With --faces images are photos. Each face has a row, the largest first, with face (its number, from 0), x, y, width,
height (its box, in pixels of the upright photo) and score after error. A photo in which no face is found has one row,
no_face, which is no failure to --strict, either. A face under 24 pixels has no label.
The table is UTF-8; a byte of a name that is not becomes a backslash escape such as \\xff. A backslash of the name's own
before such characters is doubled.

Rows wait in the folder OUT.partial until the table is complete. After a crash, Ctrl-C or SIGTERM, --resume goes on
where it stopped. OUT.manifest beside a finished table tells --resume what made it: files that are new, have changed or
failed are classified, other rows stay.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast classify` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="a folder, a file, a glob, @LIST, or - for a list on stdin")
    add("-o", "--output", metavar="OUT", help="the table: .csv, .jsonl or .parquet; without it csv on stdout")
    add("--resume", action="store_true", help="keep the rows of OUT, finished or not, that are still true")
    add(
        "--retry-failed",
        action="store_true",
        help="classify again what failed in the finished table OUT, and nothing else",
    )
    add(
        "--shard",
        metavar="K/N",
        help="take one share of the files alone, such as 3/16, the third of 16; fer-fast merge joins the tables",
    )
    add("--strict", action="store_true", help="exit with 1 if any file has no prediction (abstained ones have)")
    add(
        "--abstain",
        type=threshold,
        default=0.0,
        metavar="T",
        help="no label below this confidence, 0 to 1 (default: 0, never)",
    )
    add(
        "--model",
        default="fast",
        help="a packaged model, a .safetensors checkpoint or an exported model (default: fast)",
    )
    add_prior_argument(parser)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N, or several cards as cuda:0,cuda:1")
    add("--engine", default="auto", help="what runs the model (default: auto)")
    add("--precision", default="auto", help="auto, fp32, bf16, fp16 or int8")
    add("--batch-size", type=positive, metavar="N", help="images that the model takes at once")
    add("--workers", type=positive, metavar="N", help="files decoded at once (default: one a processor)")
    add("--decoder", default="auto", choices=DECODERS, help="what decodes images")
    add(
        "--stall-timeout",
        type=seconds,
        default=DEFAULT_STALL_TIMEOUT,
        metavar="S",
        help="end the run after so many seconds without a batch (default: %(default)g; 0: never)",
    )
    add("--max-pixels", type=positive, metavar="N", help="an image with more is too_large (default: 178956970)")
    add(
        "--max-memory",
        type=size,
        metavar="BYTES",
        help="that all workers may take together, such as 2G; an image that takes more alone is too_large (default: a "
        "quarter of what the process may use)",
    )
    add(
        "--max-seconds",
        type=seconds,
        metavar="S",
        help="of a processor; an image that takes longer is too_large (default: 30; 0: never)",
    )
    add_face_arguments(parser)
    add_film_arguments(parser)
    add_cluster_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Classifies; returns 1 if `--strict` is set and a file has no prediction, else 0."""
    for option in ("resume", "retry_failed"):
        if getattr(arguments, option) and arguments.output is None:
            raise ValueError(f"--{option.replace('_', '-')} needs the table's file: add -o OUT")
    import_numpy()  # before whatever else does
    if arguments.shard is not None:
        _check_shard(arguments.shard)
    from fer_fast.table.copies import at_hand

    cluster = given_cluster(arguments)
    with at_hand(arguments.output, arguments.resume or arguments.retry_failed) as arguments.output:
        return _run(arguments, cluster)


def _run(arguments: argparse.Namespace, cluster: Cluster | None) -> int:
    arguments.films = cluster is None and find_films(arguments)
    arguments.faces = arguments.faces or (ALL if arguments.films else NONE)
    check_face_arguments(arguments)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # the table tells what is wrong with a file
    finds = arguments.faces != NONE
    limits = _given(arguments, "max_pixels", "max_memory", "max_seconds")
    films = film_options(arguments) if arguments.films else None
    pictures = Pictures(arguments.draw, arguments.crops, arguments.inputs, limits, films)
    with pictures, Progress(arguments.quiet, _unit(arguments)) as progress:
        look = FirstLook(None if finds or arguments.quiet else progress.tell)
        with look:
            options = {**limits, **_faces(arguments, pictures, look)}
            if cluster is not None:
                options |= {"cluster": cluster, "crops": None}
            if arguments.films:
                options["seen"] = partial(_see, pictures, progress)
            summary = _classify(arguments, progress, options)
        pictures.draw_films(arguments.output, progress)
    if not arguments.quiet:
        report(summary, finds)
        for line in pictures.lines():
            say(line)
    if arguments.strict and not summary.faultless:
        report_missing(summary, finds)
        return 1
    return 0


def _classify(arguments: argparse.Namespace, progress: Progress, options: dict[str, Any]) -> Summary:
    from fer_fast.pipeline import classify_folder
    from fer_fast.table.file_table import rows_on_disk

    options |= {"films": arguments.films, **given_film_options(arguments)}
    options |= _given(arguments, "model", "device", "engine", "precision", "batch_size", "workers", "decoder", "prior")
    options |= _given(arguments, "shard")
    ended = threading.Event()
    pulse = Pulse()
    with watching(arguments.stall_timeout, pulse):
        if progress.shown:
            threading.Thread(target=_count, args=(arguments, progress, ended), daemon=True).start()
        try:
            return classify_folder(
                arguments.inputs,
                _output(arguments.output),
                resume=arguments.resume,
                retry_failed=arguments.retry_failed,
                abstain=arguments.abstain,
                stall_timeout=arguments.stall_timeout,
                progress=progress.update,
                pulse=pulse,
                **options,
            )
        except (KeyboardInterrupt, StalledError) as error:
            progress.close()
            rows = rows_on_disk(arguments.output) if arguments.output else 0
            kept = f"; {counted(rows, 'row is', 'rows are')} kept, go on with --resume" if rows else ""
            if isinstance(error, StalledError):
                raise StalledError(f"{error}{kept}") from error
            say(f"fer-fast: interrupted{kept}")
            raise
        finally:
            ended.set()


def _faces(arguments: argparse.Namespace, pictures: Pictures, look: FirstLook) -> dict[str, Any]:
    """What `classify_folder` is to know of faces, and who sees what it does."""
    if arguments.faces == NONE:
        return {"seen": look.see}
    finder = {**_given(arguments, "device", "engine"), **finder_options(arguments)}
    return {"faces": arguments.faces, "finder": finder, "seen": pictures.see, "crops": pictures.keep}


def _see(pictures: Pictures, progress: Progress, found: Sequence[ItemRows]) -> None:
    pictures.see(found)
    note_films(progress, found)


def _check_shard(text: str) -> None:
    """Before the inputs are looked through, which may take its time."""
    from fer_fast.inputs import Shard

    Shard(text, "--shard")


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _unit(arguments: argparse.Namespace) -> str:
    if arguments.films:
        return "files"
    return "images" if arguments.faces == NONE else "photos"


def _count(arguments: argparse.Namespace, progress: Progress, stop: threading.Event) -> None:
    """Tells the bar how many files there are, after a second, silent search through the inputs; in a thread."""
    from fer_fast.inputs import ImageFiles, Shard
    from fer_fast.table.copies import name_of

    total = 0
    try:
        share = Shard(arguments.shard) if arguments.shard is not None else None
        files = ImageFiles(arguments.inputs, quiet=True, films=arguments.films, shard=share)
        if not files.countable:
            return
        if arguments.output is not None:
            files.leave_out(name_of(arguments.output))
        for total, _ in enumerate(files, 1):  # noqa: B007 (the last one is the count)
            if stop.is_set():
                return
    except (ValueError, OSError):
        return  # the run itself tells
    progress.expect(total)


def _output(name: str | None) -> str | BinaryIO:
    if name is not None:
        return name
    if sys.stdout is None:
        raise ValueError("standard output is closed: add -o OUT")
    return sys.stdout.buffer

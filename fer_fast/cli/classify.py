"""`fer-fast classify`: inputs and options come in, a table goes to a file or to standard output."""

from __future__ import annotations

import argparse
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from fer_fast.cli.arguments import positive, seconds, size, threshold
from fer_fast.cli.console import say
from fer_fast.cli.progress import Progress
from fer_fast.cli.watchdog import watching
from fer_fast.decode import DECODERS
from fer_fast.machine.stall import DEFAULT_STALL_TIMEOUT, Pulse
from fer_fast.types import StalledError, counted

if TYPE_CHECKING:
    from fer_fast.pipeline.summary import Summary

_EPILOG = """
INPUT is a folder (searched to the bottom for jpg, png, webp, bmp, tiff, gif, heic and avif, but not for what is hidden:
.ipynb_checkpoints, ._face.jpg, __MACOSX), a file, a quoted glob such as 'faces/**/*.png', @LIST (a file with one path a
line, or separated by NULs), or - (such a list on standard input). A file that several inputs name is one row.

Columns: path, status (ok, abstained, corrupt, unsupported, unreadable, too_large, empty, failed), error, label,
confidence, p_<class>. An abstained row has all but a label: its confidence is below --abstain. That is no failure to
--strict. A failed row is no verdict on the file: the machine was at fault, and --resume tries again.
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
    add("--strict", action="store_true", help="exit with 1 if any file has no prediction (abstained ones have)")
    add(
        "--abstain",
        type=threshold,
        default=0.0,
        metavar="T",
        help="no label below this confidence, 0 to 1 (default: 0, never)",
    )
    add("--model", default="fast", help="a packaged model, or a .safetensors checkpoint (default: fast)")
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


def run(arguments: argparse.Namespace) -> int:
    """Classifies; returns 1 if `--strict` is set and a file has no prediction, else 0."""
    for option in ("resume", "retry_failed"):
        if getattr(arguments, option) and arguments.output is None:
            raise ValueError(f"--{option.replace('_', '-')} needs the table's file: add -o OUT")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # the table tells what is wrong with a file
    from fer_fast.pipeline import classify_folder
    from fer_fast.table.file_table import rows_on_disk

    names = ["model", "device", "engine", "precision", "batch_size", "workers", "decoder"]
    names += ["max_pixels", "max_memory", "max_seconds"]
    options = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    ended = threading.Event()
    pulse = Pulse()
    with watching(arguments.stall_timeout, pulse), Progress(arguments.quiet) as progress:
        if progress.shown:
            threading.Thread(target=_count, args=(arguments.inputs, progress, ended), daemon=True).start()
        try:
            out = _output(arguments.output)
            summary = classify_folder(
                arguments.inputs,
                out,
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
    if not arguments.quiet:
        _report(summary)
    if arguments.strict and not summary.faultless:
        bad = summary.rows - summary.predicted
        have = "file has" if summary.rows == 1 else "files has" if bad == 1 else "files have"
        unread = counted(len(summary.unlistable), "folder", "folders")
        folders = f", {unread} could not be read" if summary.unlistable else ""
        say(f"fer-fast: --strict: {bad} of {summary.rows} {have} no prediction{folders}")
        return 1
    return 0


def _count(inputs: Sequence[str], progress: Progress, stop: threading.Event) -> None:
    """Tells the bar how many files there are, after a second, silent search through the inputs; in a thread."""
    from fer_fast.inputs import ImageFiles

    total = 0
    try:
        files = ImageFiles(inputs, quiet=True)
        if not files.countable:
            return
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


def _report(summary: Summary) -> None:
    where = f" in {summary.out}" if summary.out else ""
    kept = f", {summary.kept} of them kept from an earlier run" if summary.kept else ""
    changed = f", {counted(summary.changed, 'file has', 'files have')} changed since" if summary.changed else ""
    say(f"{counted(summary.rows, 'row', 'rows')}{where}{kept}{changed}: {_counts(summary.statuses)}")
    if summary.labels:
        say(f"labels: {_counts(summary.labels)}")
    _report_left_out(summary)
    if not summary.new:
        say("nothing was classified: the rows were there")
        return
    rate = f"{summary.images_per_second:.1f} images/s"
    say(f"{summary.seconds:.1f} s, {rate}; {', '.join(f'{key} {value}' for key, value in summary.ran.items())}")
    stages, seconds = summary.stages, max(summary.seconds, 1e-9)
    busy = [("decode", stages.decode), ("model", stages.model), ("write", stages.write)]
    say("busy: " + ", ".join(f"{name} {spent:.1f} s ({spent / seconds:.2f} threads)" for name, spent in busy))


def _report_left_out(summary: Summary) -> None:
    from fer_fast.inputs import HIDDEN

    named = {suffix or "no suffix": count for suffix, count in summary.skipped.items() if suffix != HIDDEN}
    if named:
        files = counted(sum(named.values()), "file in the folders is", "files in the folders are")
        say(f"{files} not called as images are: {_counts(named)}")
    if hidden := summary.skipped[HIDDEN]:
        say(f"{counted(hidden, 'hidden file or folder is', 'hidden files and folders are')} left out")
    if summary.unlistable:
        unread = counted(
            len(summary.unlistable), "folder could not be read and is", "folders could not be read and are"
        )
        say(f"{unread} left out, the first is {summary.unlistable[0]!a}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))

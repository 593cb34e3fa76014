"""`fer-fast watch`: a camera, a stream or a pipe comes in, a line of JSON for each face goes to standard output."""

from __future__ import annotations

import argparse
import re
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from fer_fast.cli.arguments import add_prior_argument, positive, seconds, threshold
from fer_fast.cli.console import check_stdout, say, write_out
from fer_fast.cli.faces import ALL, LARGEST, add_finder_arguments, check_largest, finder_options
from fer_fast.cli.window import Window
from fer_fast.machine.begun import begun
from fer_fast.machine.blas import import_numpy
from fer_fast.types import counted

if TYPE_CHECKING:
    from fer_fast.classifier import Classifier
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.live.latency import Latencies
    from fer_fast.live.watch import Watch

_EPILOG = """
SOURCE is a camera's number (0 is the first), or its device; an address that begins with rtsp://, rtsps://, http:// or
https://; - for uncompressed frames on standard input, with --size and --pixels; or a film's path, played in its own
time. What a stream names besides, playlists' entries say, is not opened.

The newest frame is looked at; those that came meanwhile are dropped, and counted. A line has what a table of classify
--faces has, and frame, time (seconds since the first frame), track and at (the wall's clock, UTC). A stream that breaks
off is tried again. Ctrl-C ends it, and so does the end of standard input.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast watch` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("source", metavar="SOURCE", help="a camera's number, an address, - or a film")
    add("--size", type=_size, metavar="WxH", help="of frames on standard input; of a camera what is asked of it")
    add("--pixels", metavar="KIND", help="of standard input: rgb24, bgr24, gray or yuv420p (default: rgb24)")
    add(
        "--rate",
        type=float,
        metavar="FPS",
        help="of standard input: times are frames by it; of a camera: is asked of it",
    )
    add("--every", metavar="STEP", help="look at one frame each 0.5s, each 5f, or at keyframes alone")
    add("--smooth", type=seconds, default=0.0, metavar="S", help="add averages over so many seconds: smooth_<class>")
    add("--empty-frames", action="store_true", help="a line for frames without a face, too")
    add("--abstain", type=threshold, default=0.0, metavar="T", help="no label below this confidence, 0 to 1")
    add("--window", action="store_true", help="show the frames and their faces in a window, too")
    add(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="S",
        help="give up what does not answer (default: 10; 0: never)",
    )
    add(
        "--reconnect",
        type=seconds,
        default=600.0,
        metavar="S",
        help="try so long to get a stream back that broke off (default: 600; 0: not at all)",
    )
    add("--model", default="fast", help="a packaged model, a checkpoint or an exported model (default: fast)")
    add_prior_argument(parser)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--engine", default="auto", help="what runs the model (default: auto)")
    add("--precision", default="auto", help="auto, fp32, bf16, fp16 or int8")
    group = parser.add_argument_group("faces")
    group.add_argument("--faces", choices=(ALL, LARGEST), default=ALL, help="all of a frame, or the largest")
    add_finder_arguments(group)
    group.add_argument("--max-faces", type=positive, metavar="N", help="of more the N largest (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Watches until the source ends; returns 0."""
    check_stdout()
    check_largest(arguments)
    import_numpy()
    from fer_fast.films.stretch import stretch_of
    from fer_fast.live.latency import Latencies
    from fer_fast.live.naming import source_of
    from fer_fast.machine.extras import need

    given = {name: getattr(arguments, name) for name in ("size", "pixels", "rate", "timeout", "reconnect")}
    source = source_of(arguments.source, **given)  # refused before a model is opened
    need("fer-fast watch", "video")
    stretch_of(None, None, arguments.every)
    show = Window(source.name) if arguments.window else None
    classifier, finder = _opened(arguments)
    from fer_fast.live.watch import watch

    options = {name: getattr(arguments, name) for name in ("faces", "every", "smooth")}
    latencies = Latencies()
    with (
        closing(classifier),
        closing(finder),
        watch(arguments.source, classifier, finder=finder, **options, **given) as watching,
    ):
        try:
            _write_all(watching, source.name, arguments, latencies, show)
        finally:
            is_read = not isinstance(sys.exception(), BrokenPipeError)
            if is_read and not arguments.quiet:
                _report(watching, latencies)
    return 0


def _write_all(
    watching: Watch, name: str, arguments: argparse.Namespace, latencies: Latencies, show: Window | None
) -> None:
    from fer_fast.live.rows import LiveRows

    classes = watching.classifier.classes
    rows = LiveRows(name, classes, bool(arguments.smooth), arguments.abstain, arguments.empty_frames)
    for seen in watching if show is None else show.until_closed(watching):
        write_out(rows.lines(seen))
        latencies.add(time.monotonic() - seen.clock)


def _opened(arguments: argparse.Namespace) -> tuple[Classifier, FaceFinder]:
    """Both at the same time."""
    from fer_fast.classifier import Classifier
    from fer_fast.faces.finder import FaceFinder

    both = {name: getattr(arguments, name) for name in ("device", "engine")}
    finding = begun(lambda: FaceFinder(**both, **finder_options(arguments)), "fer-fast-open-finder")
    own = {name: getattr(arguments, name) for name in ("model", "precision", "prior")}
    classifier = Classifier(**both, **own)
    return classifier, finding.result()


def _report(watching: Watch, latencies: Latencies) -> None:
    dropped = f", {watching.dropped} dropped for newer ones" if watching.dropped else ""
    say(f"{counted(watching.came, 'frame', 'frames')} came, {watching.looked} looked at{dropped}")
    half, most = latencies.quantile(0.5), latencies.quantile(0.95)
    if half is not None and most is not None:
        say(f"from frame to row: {1000 * half:.1f} ms in the median, {1000 * most:.1f} ms or less in 95 of 100")


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text.strip(), re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"must be a width and a height such as 1280x720, not {text!r}")
    return int(found[1]), int(found[2])

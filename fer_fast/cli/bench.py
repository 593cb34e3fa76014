"""`fer-fast bench`: what each stage reaches on this machine, checked before it is timed; text, JSON, a page."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from fer_fast.bench.suite import (
    COMPUTED_PRECISIONS,
    DEFAULT_BATCH_SIZES,
    DEVICES,
    ENGINES,
    STAGES,
    Choice,
)
from fer_fast.cli.arguments import names, natural, path, positive, positives
from fer_fast.cli.console import check_stdout, print_out, say
from fer_fast.cli.output import check_outputs, write_output
from fer_fast.cli.progress import Progress
from fer_fast.machine.extras import need

#: Seconds for the whole run but the making of its images, and for one case in one round.
FULL, QUICK = (150.0, 0.15), (22.0, 0.05)
#: Images of the folders that are made.
FACES, PHOTOS, WITH_FACES = 384, 48, 100
QUICK_FACES, QUICK_PHOTOS, QUICK_WITH_FACES = 192, 16, 25

_ABOUT = """
Measures how fast each stage is on this machine, how far from the machine's limit, and against what one would otherwise
run. A row whose answer is wrong gets no time. The exit status is 1 if a row gave a wrong answer, or if --compare found
a regression.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast bench` takes."""
    parser.description = _ABOUT
    add = parser.add_argument
    add("--quick", action="store_true", help="the short run: 30 seconds instead of 3 minutes")
    add("--seconds", type=positive, metavar="N", help="measure for so long (default: 150, quick 22)")
    add("--stages", type=names, default=STAGES, metavar="A,B", help=f"of {', '.join(STAGES)} (default: all)")
    add("--engines", type=names, default=ENGINES, metavar="A,B", help=f"of {', '.join(ENGINES)} (default: all)")
    add(
        "--precisions",
        type=names,
        default=COMPUTED_PRECISIONS,
        metavar="A,B",
        help=f"of {', '.join(COMPUTED_PRECISIONS)}",
    )
    add("--devices", type=names, metavar="A,B", help=f"of {', '.join(DEVICES)} (default: what this machine has)")
    add("--batch-sizes", type=positives, default=DEFAULT_BATCH_SIZES, metavar="N,M", help="images a call (default: 32)")
    add("--images", type=path, metavar="DIR", help="measure on these images, the first 1,024, instead of made ones")
    add("--model", default="fast", help="a packaged model, or a .safetensors checkpoint (default: fast)")
    add("--card", type=names, default=(), metavar="A,B", help="print what these GPUs could do at most, too")
    add("--seed", type=natural, default=0, help="of the images that are made (default: 0)")
    add("--json", metavar="FILE", help="write the report there")
    add("--html", metavar="FILE", help="write the report as one page there")
    add("--compare", type=path, metavar="OLD", help="compare with an older --json; exit 1 on a regression")


def run(arguments: argparse.Namespace) -> int:
    """Measures; returns 1 if a row gave a wrong answer or a comparison found a regression, else 0."""
    check_stdout()
    choice = Choice(
        arguments.stages,
        arguments.engines,
        arguments.precisions,
        arguments.batch_sizes,
        arguments.quick,
        arguments.devices,
    )
    from fer_fast.bench.cards import find_card
    from fer_fast.bench.images import check_images
    from fer_fast.bench.report import json_text, read_report
    from fer_fast.models.files.paths import checkpoint_path

    cards = [find_card(name) for name in arguments.card]
    old = read_report(arguments.compare) if arguments.compare else None
    check_outputs({"--json": arguments.json, "--html": arguments.html})
    checkpoint_path(arguments.model)
    if arguments.images is not None:
        check_images(arguments.images)
    need("fer-fast bench", "torch", modules=("torch",))
    from fer_fast.bench.compare import check_comparable
    from fer_fast.bench.lines import lines
    from fer_fast.bench.page import page
    from fer_fast.bench.run import Plan, run_benchmark

    if old is not None:
        check_comparable(str(arguments.compare), old)
    seconds, burst = QUICK if arguments.quick else FULL
    seconds = arguments.seconds or seconds
    images = (QUICK_FACES, QUICK_PHOTOS, QUICK_WITH_FACES) if arguments.quick else (FACES, PHOTOS, WITH_FACES)
    with tempfile.TemporaryDirectory(prefix="fer-fast-bench-") as work, Progress(arguments.quiet) as progress:
        plan = Plan(arguments.model, arguments.images, *images, arguments.seed, Path(work), seconds, burst)
        try:
            report = run_benchmark(plan, choice, cards, progress.show)
        except KeyboardInterrupt:
            progress.close()
            say("fer-fast: interrupted; nothing was written")
            raise
    for name, form in ((arguments.json, json_text), (arguments.html, page)):
        if name is not None:  # before anything is printed: nobody may be reading
            write_output(name, form(report))
    print_out("\n".join(lines(report)))
    return _status(report, old)


def _status(report: dict[str, Any], old: dict[str, Any] | None) -> int:
    failed = any(row["state"] == "failed" for row in report["rows"])
    if old is None:
        return int(failed)
    from fer_fast.bench.compare import compare

    comparison = compare(old, report)
    print_out("\n" + "\n".join(comparison.lines()))
    return int(failed or comparison.regressed)

"""`python -m fer_fast.bench`: options come in; a table, a JSON file and a page go out.

Exit statuses: 0 all went well; 1 a row gave a wrong answer, or a comparison found a regression; 2 the caller must
change something; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_fast.bench.suite import DEFAULT_BATCH_SIZES, DEVICES, ENGINES, PRECISIONS, STAGES, Choice
from fer_fast.cli.progress import Progress
from fer_fast.types import CheckpointError, FerFastError

#: Seconds for the whole run but the making of its images, and for one case in one round.
FULL, QUICK = (150.0, 0.15), (22.0, 0.05)
#: Images of the folders that are made.
FACES, PHOTOS = 384, 48
QUICK_FACES, QUICK_PHOTOS = 192, 16


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m fer_fast.bench",
        description="Measures how fast each stage is on this machine, how far from the machine's limit, and against "
        "what one would otherwise run. A row whose answer is wrong gets no time.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="the short run: 30 seconds instead of 3 minutes")
    add("--stages", type=_names, default=STAGES, metavar="A,B", help=f"of {', '.join(STAGES)} (default: all)")
    add("--engines", type=_names, default=ENGINES, metavar="A,B", help=f"of {', '.join(ENGINES)} (default: all)")
    add("--precisions", type=_names, default=PRECISIONS, metavar="A,B", help=f"of {', '.join(PRECISIONS)}")
    add("--devices", type=_names, metavar="A,B", help=f"of {', '.join(DEVICES)} (default: what this machine has)")
    add("--batch-sizes", type=_sizes, default=DEFAULT_BATCH_SIZES, metavar="N,M", help="images a call (default: 32)")
    add("--images", type=Path, metavar="DIR", help="measure on these images, the first 1,024, instead of made ones")
    add("--model", default="fast", help="a packaged model, or a .safetensors checkpoint (default: fast)")
    add("--card", type=_names, default=(), metavar="A,B", help="print what these GPUs could do at most, too")
    add("--seed", type=_seed, default=0, help="of the images that are made (default: 0)")
    add("--json", type=Path, metavar="FILE", help="write the report there")
    add("--html", type=Path, metavar="FILE", help="write the report as one page there")
    add("--compare", type=Path, metavar="OLD", help="compare with an older --json; exit 1 on a regression")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))  # an empty name is an unknown one


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of 0 or more, not {text!r}")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    if not all(part.strip().isdecimal() and int(part) > 0 for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"must be integers of 1 or more, with commas between them, not {text!r}")
    return tuple(int(part) for part in text.split(","))


def run(argv: Sequence[str]) -> int:
    """Runs the benchmark; returns the exit status."""
    options = _parser().parse_args(argv)
    choice = Choice(
        options.stages, options.engines, options.precisions, options.batch_sizes, options.quick, options.devices
    )
    from fer_fast.bench.cards import find_card
    from fer_fast.bench.report import read_report, write_report

    cards = [find_card(name) for name in options.card]
    old = read_report(options.compare) if options.compare else None
    for path in (options.json, options.html):
        if path is not None:
            _check_writable(path)
    from fer_fast.bench.run import Plan, run_benchmark
    from fer_fast.bench.table import lines

    seconds, burst = QUICK if options.quick else FULL
    faces, photos = (QUICK_FACES, QUICK_PHOTOS) if options.quick else (FACES, PHOTOS)
    with tempfile.TemporaryDirectory(prefix="fer-fast-bench-") as work:
        plan = Plan(options.model, options.images, faces, photos, options.seed, Path(work), seconds, burst)
        with Progress() as progress:
            report = run_benchmark(plan, choice, cards, progress.show)
    if options.json:  # before anything is printed: nobody may be reading
        write_report(report, options.json)
    if options.html:
        from fer_fast.bench.page import page

        options.html.write_text(page(report))
    print("\n".join(lines(report)), flush=True)
    return _status(report, old)


def _status(report: dict[str, Any], old: dict[str, Any] | None) -> int:
    failed = any(row["state"] == "failed" for row in report["rows"])
    if old is None:
        return int(failed)
    from fer_fast.bench.compare import compare

    comparison = compare(old, report)
    print("\n" + "\n".join(comparison.lines()))
    return int(failed or comparison.regressed)


def _check_writable(path: Path) -> None:
    """Raises a ValueError before minutes are spent on what cannot be written."""
    existed = path.exists()
    try:
        with path.open("a"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def main() -> int:
    """The command: one sentence and a status for each expected error."""
    try:
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return _complain("interrupted; nothing was written", 130)
    except (ValueError, CheckpointError) as error:
        return _complain(str(error), 2)
    except (FerFastError, OSError) as error:
        return _complain(str(error), 1)


def _complain(sentence: str, status: int) -> int:
    print(f"fer_fast.bench: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())

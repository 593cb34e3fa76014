"""`fer-fast evaluate`: a model's scores on labelled faces, or a face finder's on boxes, as text, JSON, a page."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from fer_fast.cli.arguments import positive, threshold
from fer_fast.cli.console import check_stdout, print_out
from fer_fast.cli.output import check_outputs, write_output
from fer_fast.cli.progress import Progress

_EPILOG = """
DATA is FERPlus (fer2013new.csv with FER2013Train/ ... or with Kaggle's fer2013.csv), or a folder with test/CLASS/ (and
train/CLASS/, valid/CLASS/), or with CLASS/ alone. Its classes must be the model's or some of them.

Every engine and precision that this machine offers is run and compared with torch in fp32; --engine and --precision
run what they name alone, after torch in fp32. Images whose pixels occur in another split are scored with and without.

With --boxes the faces are found, not classified: fer-fast evaluate PHOTOS --boxes FILE. FILE is a .csv with the columns
file, x, y, width, height (a row a face, in pixels of the upright photo) and perhaps invalid (1: nobody has to find it).
Average precision and recall are told by the shorter side of the faces.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast evaluate` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("model", metavar="MODEL", nargs="?", help="a packaged model's name, or a .safetensors checkpoint")
    add("data", metavar="DATA", type=Path, help="a folder of labelled faces; with --boxes, of photos")
    add("--split", help="train, valid, test or all (default: test, or all where DATA has no splits)")
    add("--json", metavar="FILE", help="write everything there")
    add("--html", metavar="FILE", help="write one page to look at there")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--engine", default="auto", help="run this engine alone (default: all)")
    add("--precision", default="auto", help="run this precision alone: fp32, bf16, fp16 or int8 (default: all)")
    group = parser.add_argument_group("a finder of faces in photos")
    add = group.add_argument
    add("--boxes", metavar="FILE", type=Path, help="a .csv of the faces in DATA: score a finder on them")
    add("--finder", metavar="FILE", help="a finder's .safetensors, or YuNet's .onnx (default: the packaged one)")
    add("--find-size", type=positive, metavar="PX", help="longer side that photos are reduced to (default: 640)")
    add("--face-score", type=threshold, metavar="SCORE", help="what recall is told at, 0 to 1 (default: 0.6)")


def run(arguments: argparse.Namespace) -> int:
    """Evaluates; returns 0."""
    check_stdout()
    _check(arguments)
    if arguments.boxes is not None:
        return _run_finder(arguments)
    check_outputs({"--json": arguments.json, "--html": arguments.html})
    warnings.filterwarnings("ignore", module=r"PIL\.")  # the report tells which images cannot be read
    from fer_fast.evaluation import evaluate, json_text
    from fer_fast.evaluation.lines import lines
    from fer_fast.evaluation.page import page

    names = ("split", "engine", "precision", "device")
    options = {name: getattr(arguments, name) for name in names}
    with Progress(arguments.quiet) as progress:
        report = evaluate(arguments.model, arguments.data, **options, tell=progress.show)
    for name, form in ((arguments.json, json_text), (arguments.html, page)):
        if name is not None:  # before anything is printed: nobody may be reading
            write_output(name, form(report))
    print_out("\n".join(lines(report)))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuses options of one kind of evaluation beside those of the other."""
    finding = arguments.boxes is not None
    if not finding and arguments.model is None:
        raise ValueError("MODEL and DATA must both be given; without --boxes a model is scored")
    for name in ("model", "split", "html") if finding else ("finder", "find_size", "face_score"):
        if getattr(arguments, name) is not None:
            said = "MODEL" if name == "model" else "--" + name.replace("_", "-")
            raise ValueError(f"{said} must {'not be given with' if finding else 'be given with'} --boxes")


def _run_finder(arguments: argparse.Namespace) -> int:
    check_outputs({"--json": arguments.json})
    from fer_fast.evaluation import json_text
    from fer_fast.evaluation.finder import evaluate_finder, finder_lines

    names = {"find_size": "find_size", "face_score": "score"}
    given = {own: value for name, own in names.items() if (value := getattr(arguments, name)) is not None}
    given |= {name: getattr(arguments, name) for name in ("engine", "precision", "device")}
    with Progress(arguments.quiet) as progress:
        finder = arguments.finder or "finder"
        report = evaluate_finder(finder, arguments.data, arguments.boxes, **given, tell=progress.show)
    if arguments.json is not None:
        write_output(arguments.json, json_text(report))
    print_out("\n".join(finder_lines(report)))
    return 0

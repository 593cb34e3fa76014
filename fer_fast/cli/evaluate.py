"""`fer-fast evaluate`: a model's scores on labelled faces or photos, or a face finder's on boxes: text, JSON, page."""

from __future__ import annotations

import argparse
import warnings

from fer_fast.cli.arguments import add_prior_argument, path
from fer_fast.cli.console import check_stdout, print_out
from fer_fast.cli.faces import ALL, LARGEST, NONE, add_finder_arguments, finder_options
from fer_fast.cli.output import check_outputs, write_output
from fer_fast.cli.progress import Progress

_EPILOG = """
DATA is FERPlus (fer2013new.csv with FER2013Train/ ... or with Kaggle's fer2013.csv), or a folder with test/CLASS/ (and
train/CLASS/, valid/CLASS/), or with CLASS/ alone. Its classes must be the model's or some of them.

Every engine and precision that this machine offers is run and compared with torch in fp32, or where torch is not
installed with OpenVINO in fp32; --engine and --precision run what they name alone, after that. --alone runs what they
choose and compares nothing: it is quicker by much. Images whose pixels occur in another split are scored with and
without.

With --hard each face is seen through one hard view, the same every time: another framing, light, colour, a covered
part, blur, noise, JPEG. It tells what a model is worth on faces that are not as clean as those that it learnt from.

With --faces DATA has photos in its folders: the largest face of each, or every face, is scored as what the photo is;
one in which no face is found counts as wrong.

With --boxes the faces are found, not classified: fer-fast evaluate PHOTOS --boxes FILE. FILE is a .csv with the columns
file, x, y, width, height (a row a face, in pixels of the upright photo) and perhaps invalid (1: nobody has to find it).
Average precision and recall are told by the shorter side of the faces. --engine and --precision are the finder's then.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast evaluate` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        nargs="?",
        help="a packaged model's name, a .safetensors checkpoint or an exported model",
    )
    add("data", metavar="DATA", type=path, help="a folder of labelled faces; with --boxes, of photos")
    add("--split", help="train, valid, test or all (default: test, or all where DATA has no splits)")
    add_prior_argument(parser, default=None)
    add("--hard", action="store_true", help="score the faces as one hard view shows each (needs the extra train)")
    add("--alone", action="store_true", help="run what is chosen, and compare it with no other engine or precision")
    add("--json", metavar="FILE", help="write everything there")
    add("--html", metavar="FILE", help="write one page to look at there")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--engine", default="auto", help="run this engine alone (default: all)")
    add("--precision", default="auto", help="run this precision alone: fp32, bf16, fp16 or int8 (default: all)")
    group = parser.add_argument_group("faces in photos")
    add = group.add_argument
    add(
        "--faces",
        choices=(NONE, LARGEST, ALL),
        default=NONE,
        help="DATA has photos: score the largest face of each, or all (default: none, images are cropped faces)",
    )
    add("--boxes", metavar="FILE", type=path, help="a .csv of the faces in DATA: score a finder on them")
    add_finder_arguments(group)


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

    names = ("split", "engine", "precision", "device", "hard", "alone")
    options = {name: getattr(arguments, name) for name in names} | {"faces": arguments.faces}
    if arguments.prior is not None:
        options["prior"] = arguments.prior
    if arguments.faces != NONE:
        options["finder"] = finder_options(arguments)
    with Progress(arguments.quiet) as progress:
        report = evaluate(arguments.model, arguments.data, **options, tell=progress.show)
    for name, form in ((arguments.json, json_text), (arguments.html, page)):
        if name is not None:  # before anything is printed: nobody may be reading
            write_output(name, form(report))
    print_out("\n".join(lines(report)))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuses options of one kind of evaluation beside those of the other."""
    if arguments.boxes is not None:
        if arguments.faces != NONE:
            raise ValueError("--faces must not be given with --boxes, which scores the finder and no model")
        for name in ("hard", "alone"):
            if getattr(arguments, name):
                raise ValueError(
                    f"{_option(name)} must not be given with --boxes, which scores the finder and no model"
                )
        for name in ("model", "split", "html", "min_face", "prior"):
            if getattr(arguments, name) is not None:
                said = "MODEL" if name == "model" else _option(name)
                raise ValueError(f"{said} must not be given with --boxes")
        return
    if arguments.model is None:
        raise ValueError("MODEL and DATA must both be given; without --boxes a model is scored")
    if arguments.hard and arguments.faces != NONE:
        raise ValueError("--hard must not be given with --faces: hard views are of images that are faces")
    for name in ("finder", "find_size", "min_face", "face_score"):
        if arguments.faces == NONE and getattr(arguments, name) is not None:
            raise ValueError(f"{_option(name)} must be given with --faces or --boxes")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _run_finder(arguments: argparse.Namespace) -> int:
    check_outputs({"--json": arguments.json})
    from fer_fast.evaluation import json_text
    from fer_fast.evaluation.finder import evaluate_finder, finder_lines

    given = finder_options(arguments) | {name: getattr(arguments, name) for name in ("engine", "precision", "device")}
    finder = given.pop("finder", "finder")
    with Progress(arguments.quiet) as progress:
        report = evaluate_finder(finder, arguments.data, arguments.boxes, **given, tell=progress.show)
    if arguments.json is not None:
        write_output(arguments.json, json_text(report))
    print_out("\n".join(finder_lines(report)))
    return 0

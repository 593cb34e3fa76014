"""`fer-fast evaluate`: a model's scores on labelled faces, as text, JSON and a page."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from fer_fast.cli.console import check_stdout, print_out
from fer_fast.cli.output import check_outputs, write_output
from fer_fast.cli.progress import Progress

_EPILOG = """
DATA is FERPlus (fer2013new.csv with FER2013Train/ ... or with Kaggle's fer2013.csv), or a folder with test/CLASS/ (and
train/CLASS/, valid/CLASS/), or with CLASS/ alone. Its classes must be the model's or some of them.

Every engine and precision that this machine offers is run and compared with torch in fp32; --engine and --precision
run what they name alone, after torch in fp32. Images whose pixels occur in another split are scored with and without.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast evaluate` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("model", metavar="MODEL", help="a packaged model's name, or a .safetensors checkpoint")
    add("data", metavar="DATA", type=Path, help="a folder of labelled faces")
    add("--split", help="train, valid, test or all (default: test, or all where DATA has no splits)")
    add("--json", metavar="FILE", help="write everything there")
    add("--html", metavar="FILE", help="write one page to look at there")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--engine", default="auto", help="run this engine alone (default: all)")
    add("--precision", default="auto", help="run this precision alone: fp32, bf16, fp16 or int8 (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Evaluates; returns 0."""
    check_stdout()
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

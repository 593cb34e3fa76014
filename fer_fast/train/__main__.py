"""The command `python -m fer_fast.train RECIPE --data DIR --out RUN`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import torch

from fer_fast.cli.console import complain, log_to_stderr
from fer_fast.models.checkpoint import read_checkpoint
from fer_fast.models.storage import load_model
from fer_fast.train.distil import taught
from fer_fast.train.faces import load_faces
from fer_fast.train.recipe import load_recipe, packaged
from fer_fast.train.run import Training
from fer_fast.train.start import new_start, read_backbone_weights, tuned_start
from fer_fast.types import FerFastError

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    log_to_stderr(logging.INFO)
    try:
        _training(options).run(_print_row)
    except (ValueError, FerFastError, OSError, ArithmeticError) as error:
        return _complain(error)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error)):
            raise
        return _complain(f"memory does not suffice; a smaller batch_size or image_size needs less: {error}")
    except KeyboardInterrupt:
        print("fer_fast.train: stopped; the same command goes on from the last saved state", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fer_fast.train", description="Train a model on labelled faces.")
    add = parser.add_argument
    add("recipe", help=f"a .toml file, or one of: {', '.join(packaged())}")
    add(
        "--data",
        type=Path,
        required=True,
        help="FERPlus (fer2013new.csv beside FER2013Train/ ... or fer2013.csv), "
        "or a folder whose sub-folders are classes, in train/ and valid/ or alone",
    )
    add("--out", type=Path, required=True, help="folder of the run; an unfinished run there goes on")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--backbone",
        type=Path,
        action="append",
        default=[],
        help="a file of ResNet-18 weights; may be repeated, later files win; without it torchvision's are downloaded",
    )
    start.add_argument("--start", help="a packaged model or a .safetensors checkpoint to go on from")
    add("--teacher", action="append", default=[], help="a model whose answers are learnt, too; may be repeated")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train (default: auto)")
    return parser


def _training(options: argparse.Namespace) -> Training:
    recipe = load_recipe(options.recipe)
    if bool(options.teacher) != (recipe.distillation > 0):
        raise ValueError(f"teacher must be given if and only if distillation is above 0; it is {recipe.distillation}")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device must be cpu where torch sees no GPU")
    device = "cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu"
    start = load_model(options.start) if options.start else None
    if start is None and not recipe.model:
        raise ValueError(f"start must be given: recipe {options.recipe!r} has no [model] of its own")
    config = start.config if start else recipe.config(("0", "1"))
    size = max(config.image_size, *(read_checkpoint(teacher).config.image_size for teacher in options.teacher), 0)
    train, valid = load_faces(options.data, size, recipe.protocol, recipe.targets)
    if options.teacher:
        train = taught(train, options.teacher, recipe.distillation, options.out / "answers.safetensors", device)
    if start is not None:
        beginning = tuned_start(recipe, train, start)
    else:
        beginning = new_start(recipe, train, read_backbone_weights(options.backbone) if config.taps else {})
    return Training(recipe, train, valid, options.out, beginning, device)


def _print_row(row: dict[str, Any]) -> None:
    print("  ".join(f"{name} {value}" for name, value in row.items() if value is not None), flush=True)


def _complain(error: object) -> int:
    complain("fer_fast.train", error)
    return 2


if __name__ == "__main__":
    sys.exit(main())

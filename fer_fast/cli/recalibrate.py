"""`fer-fast recalibrate`: a model with its calibration measured anew, without training."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

from fer_fast.cli.arguments import path, threshold
from fer_fast.cli.console import check_stdout, log_to_stderr, print_out
from fer_fast.cli.progress import Progress
from fer_fast.machine.disk import check_place
from fer_fast.machine.extras import need

_EPILOG = """
DIR may be your own labelled faces, DIR/CLASS/*.jpg, cropped to the face; a hundred will do, fifty there must be. A
temperature is fitted on all of them, which makes the model as sure as it is right, and where cross-validation finds it
better a class mix, which makes classes likelier or less: your faces need not have the mix of those that it learnt from.
What is gained is told by 5-fold cross-validation: negative log-likelihood, calibration error and accuracy on faces that
were not fitted on. Where that is no gain for sure, nothing is written and the command ends with 1.

Where DIR has a training split (train/CLASS/, or FERPlus), int8 ranges and what each precision costs are measured anew,
too, which needs the extra train, and FILE is always written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast recalibrate` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("model", metavar="MODEL", help="a packaged model's name, or a .safetensors checkpoint")
    add("--data", type=path, required=True, metavar="DIR", help="labelled faces: DIR/CLASS/*.jpg, or as for training")
    add("--out", required=True, metavar="FILE", help="the new checkpoint")
    add(
        "--mix",
        action=argparse.BooleanOptionalAction,
        help="fit a class mix, or none (default: where it is better; none where DIR has a training split)",
    )
    add("--anyway", action="store_true", help="write FILE without a gain, too")
    add("--protocol", default="argmax10", help="of FERPlus (default: argmax10)")
    group = parser.add_argument_group("where DIR has a training split")
    add = group.add_argument
    add(
        "--views",
        type=int,
        choices=(1, 2),
        help="1: a face as it is; 2: the mean of it and its mirror image, for twice the time",
    )
    add(
        "--balance",
        type=threshold,
        metavar="B",
        help="measure the mix of classes that the model learnt from on DIR, as training with this balance saw it "
        "(default: the mix that the model says; 0 where it says none)",
    )
    add("--hard", action="store_true", help="fit on the validation faces as they are and seen through hard views")


def run(arguments: argparse.Namespace) -> int:
    """Measures; returns 1 if there is no gain and nothing is written, else 0."""
    check_stdout()
    out = check_place(arguments.out)
    if out.suffix != ".safetensors":
        raise ValueError(f"out must end in .safetensors, not {out.name!r}")
    from fer_fast.datasets import check_data, has_split
    from fer_fast.datasets.split import FERPLUS_PROTOCOLS
    from fer_fast.engines.interface import check_choice
    from fer_fast.models.files.paths import checkpoint_path

    checkpoint_path(arguments.model)
    check_data(arguments.data)
    check_choice("protocol", arguments.protocol, FERPLUS_PROTOCOLS)
    if has_split(arguments.data, "train"):
        return _run_anew(arguments, out)
    for name in ("views", "balance", "hard"):
        if getattr(arguments, name) is not None and getattr(arguments, name) is not False:  # a balance may be 0
            raise ValueError(f"--{name} must be given with a training split; {str(arguments.data)!r} has none")
    return _run_own(arguments, out)


def _run_own(arguments: argparse.Namespace, out: Path) -> int:
    """Calibrates on somebody's own faces; torch is not needed."""
    from fer_fast.calibration.lines import recalibrated_lines
    from fer_fast.calibration.own_faces import recalibrate

    options = {name: getattr(arguments, name) for name in ("protocol", "mix", "anyway")}
    with Progress(arguments.quiet) as progress:
        found = recalibrate(arguments.model, arguments.data, out, **options, tell=progress.show)
    print_out("\n".join(recalibrated_lines(found, arguments.model, arguments.out)))
    return 0 if found.written else 1


def _run_anew(arguments: argparse.Namespace, out: Path) -> int:
    """Measures all that training does."""
    if not arguments.quiet and not arguments.verbose:
        log_to_stderr(logging.INFO)
    modules = ("torch", "kornia") if arguments.hard else ("torch",)
    need("fer-fast recalibrate", "train", modules=modules)  # it takes seconds: not for a wrong option
    from fer_fast.calibration.lines import gain_lines
    from fer_fast.models.loading import load_model
    from fer_fast.train.calibrate import recalibrate
    from fer_fast.train.faces import load_faces

    model = load_model(arguments.model)
    if arguments.views:
        model.config = dataclasses.replace(model.config, flip_average=arguments.views == 2)
    train, valid = load_faces(arguments.data, model.config.image_size, arguments.protocol, "votes")
    gain = recalibrate(model, train, valid, out, arguments.balance, mix=bool(arguments.mix), hard=arguments.hard)
    if gain is not None:
        print_out("\n".join(gain_lines(gain, model.config.classes)))
    return 0

"""`fer-fast recalibrate`: a model with its calibration measured anew, without training."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

from fer_fast.cli.console import log_to_stderr
from fer_fast.machine.disk import check_place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast recalibrate` takes."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a packaged model's name, or a .safetensors checkpoint")
    add("--data", type=Path, required=True, metavar="DIR", help="as for fer-fast train")
    add("--out", required=True, metavar="FILE", help="the new checkpoint")
    add(
        "--views",
        type=int,
        choices=(1, 2),
        help="1: a face as it is; 2: the mean of it and its mirror image, for twice the time",
    )
    add("--protocol", default="argmax10", help="of FERPlus (default: argmax10)")


def run(arguments: argparse.Namespace) -> int:
    """Measures; returns 0."""
    out = check_place(arguments.out)
    if out.suffix != ".safetensors":
        raise ValueError(f"out must end in .safetensors, not {out.name!r}")
    from fer_fast.datasets import check_data
    from fer_fast.datasets.split import FERPLUS_PROTOCOLS
    from fer_fast.engines.interface import check_choice
    from fer_fast.models.checkpoint import checkpoint_path

    checkpoint_path(arguments.model)
    check_data(arguments.data)
    check_choice("protocol", arguments.protocol, FERPLUS_PROTOCOLS)
    if not arguments.quiet and not arguments.verbose:
        log_to_stderr(logging.INFO)
    # torch takes seconds: not for a wrong option.
    from fer_fast.models.storage import load_model
    from fer_fast.train.calibrate import recalibrate
    from fer_fast.train.faces import load_faces

    model = load_model(arguments.model)
    if arguments.views:
        model.config = dataclasses.replace(model.config, flip_average=arguments.views == 2)
    train, valid = load_faces(arguments.data, model.config.image_size, arguments.protocol, "labels")
    recalibrate(model, train, valid, out)
    return 0

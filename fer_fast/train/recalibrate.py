"""The command `python -m fer_fast.train.recalibrate MODEL --data DIR --out FILE`: calibration without training."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

import torch
from torch import Tensor

from fer_fast.cli.console import complain, log_to_stderr
from fer_fast.machine.disk import check_place
from fer_fast.models.fusion import FusionModel
from fer_fast.models.storage import load_model
from fer_fast.train.augment import as_pixels
from fer_fast.train.calibrate import RANGE_FACES, measure_falls, save_calibrated
from fer_fast.train.faces import Faces, load_faces, spread
from fer_fast.types import FerFastError

log = logging.getLogger("fer_fast.train.recalibrate")  # whatever it is run as


def recalibrate(model: FusionModel, train: Faces, valid: Faces, out: Path) -> None:
    """Writes a model with temperature, int8 ranges and precisions' costs measured anew; its weights stay.

    Args:
        model: in fp32, on the CPU; its configuration is changed in place.
        train: faces to measure ranges on.
        valid: faces for the temperature and the costs.
        out: the checkpoint.

    Raises:
        ValueError: if the faces' classes are not the model's.
    """
    if train.classes != model.config.classes:
        raise ValueError(
            f"data must have the model's classes, {', '.join(model.config.classes)}, not {', '.join(train.classes)}"
        )
    size = model.config.image_size
    pixels = as_pixels(valid.pixels, size)
    ranges = as_pixels(spread(train.pixels, RANGE_FACES), size)
    save_calibrated(model, _logits(model, pixels), valid.labels, ranges, out)
    log.info("temperature %.4f", model.config.temperature)
    for name, fall in measure_falls(out, pixels, valid.labels, "cpu").items():
        log.info("precision %s costs %.2f points on the validation images", name, 100 * fall)


@torch.no_grad()
def _logits(model: FusionModel, pixels: Tensor) -> Tensor:
    return torch.cat([model.eval()(part) for part in torch.split(pixels, 64)])


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fer_fast.train.recalibrate", description=__doc__)
    add = parser.add_argument
    add("model", help="a packaged model or a .safetensors checkpoint")
    add("--data", type=Path, required=True, help="as for python -m fer_fast.train")
    add("--out", required=True, help="the new checkpoint")
    add(
        "--views",
        type=int,
        choices=(1, 2),
        help="1: a face as it is; 2: the mean of it and its mirror image, for twice the time",
    )
    add("--protocol", default="argmax10", help="of FERPlus (default: argmax10)")
    options = parser.parse_args(arguments)
    log_to_stderr(logging.INFO)
    try:
        out = check_place(options.out)
        if out.suffix != ".safetensors":
            raise ValueError(f"out must end in .safetensors, not {out.name!r}")
        model = load_model(options.model)
        if options.views:
            model.config = dataclasses.replace(model.config, flip_average=options.views == 2)
        train, valid = load_faces(options.data, model.config.image_size, options.protocol, "labels")
        recalibrate(model, train, valid, out)
    except (ValueError, FerFastError, OSError) as error:
        complain("fer_fast.train.recalibrate", error)
        return 2
    except KeyboardInterrupt:
        print("fer_fast.train.recalibrate: stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

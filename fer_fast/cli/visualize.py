"""`fer-fast visualize`: a figure of what a model makes of one face."""

from __future__ import annotations

import argparse
import importlib.util
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from fer_fast.cli.console import say
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.types import DecodeError, OutputError, OutputRefusedError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_EPILOG = """
IMAGE is a face, cropped as for classify. The figure has three parts: (a) the image as the model sees it and the channel
means of the feature maps FM1 to FM4, fused or not, as far as the model's backbone reaches; (b) the attention rollout of
its Vision Transformer; (c) the calibrated probabilities. The model runs in fp32 on the CPU.

Without -o the figure goes to the current folder and is called as IMAGE is, with _fer_fast.png in place of the suffix. A
file of that name is replaced, by a whole figure or not at all.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast visualize` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("image", metavar="IMAGE", help="a jpg, png, webp, bmp, tiff, gif, heic or avif file")
    parser.add_argument("-o", "--output", metavar="OUT", help="the figure: .png (default: IMAGE's name_fer_fast.png)")
    parser.add_argument(
        "--model", default="fast", help="a packaged model, or a .safetensors checkpoint (default: fast)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Draws; returns 0."""
    image = arguments.image
    name = f"{Path(image).stem}_fer_fast.png" if arguments.output is None else arguments.output
    _check_image(image)
    out = _check_out(name, image)
    from fer_fast.models.checkpoint import checkpoint_path

    checkpoint_path(arguments.model)
    from fer_fast.models.storage import load_model
    from fer_fast.visualize import inspect_face

    model = load_model(arguments.model)
    inspection = inspect_face(model, _pixels(image, model.config.image_size))
    from fer_fast.reports.figure import draw

    figure = draw(inspection, Path(arguments.model).stem)
    try:
        write_whole(out, figure)
    except OSError as error:
        raise OutputError(f"{name!r} cannot be written: {error.strerror or error}") from error
    if not arguments.quiet:
        prediction = inspection.prediction
        say(f"{name}: {prediction.label} {100 * prediction.confidence:.1f} %")
    return 0


def _check_image(image: str) -> None:
    if not os.path.exists(image):  # noqa: PTH110 (a Path cannot hold every str)
        raise ValueError(f"{image!r} does not exist")
    if os.path.isdir(image):  # noqa: PTH112
        raise ValueError(f"{image!r} is a folder: visualize takes one image")


def _check_out(name: str, image: str) -> Path:
    if Path(name).suffix.lower() != ".png":
        raise OutputRefusedError(f"the output {name!r} must end in .png")
    target = check_place(name)
    if target.exists() and target.samefile(image):
        raise OutputRefusedError(f"the output {name!r} is IMAGE itself: choose another with -o")
    if importlib.util.find_spec("matplotlib") is None:
        raise OutputRefusedError("the figure needs matplotlib, which is not installed: pip install 'fer-fast[plots]'")
    return target


def _pixels(image: str, size: int) -> npt.NDArray[np.uint8]:
    """The face as the model sees it, uint8 [size, size, 3]."""
    from fer_fast.decode import open_decoder

    with open_decoder(image_size=size, workers=1) as decoder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # an error tells what is wrong with the file
        decoded = decoder.decode([image])
    for _, failure in decoded.failures:
        raise DecodeError(failure.status, f"{image!r} is {failure.status.replace('_', ' ')}: {failure}")
    face: npt.NDArray[np.uint8] = decoded.on_host()[0]
    return face

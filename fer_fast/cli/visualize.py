"""`fer-fast visualize`: a figure of what a model makes of one face, or of the faces in a photo, and of its layers."""

from __future__ import annotations

import argparse
import os
import warnings
from collections import Counter
from contextlib import closing
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_fast.cli.arguments import add_prior_argument, names
from fer_fast.cli.console import say
from fer_fast.cli.faces import add_finder_arguments, finder_options, option_of
from fer_fast.machine.disk import check_place, why_absent, write_whole
from fer_fast.machine.extras import need
from fer_fast.types import DecodeError, OutputError, OutputRefusedError, counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.reports.faces_figure import SeenFace

_EPILOG = """
IMAGE is a face, cropped as for classify. The figure has three parts: (a) the image as the model sees it and the channel
means of its feature maps, of a fusion model FM1 to FM4, fused or not, as far as its backbone reaches; (b) the attention
rollout of a Vision Transformer, where there is one; (c) the calibrated probabilities. The model runs in fp32 on the
CPU.

Other figures, by --figure, of a model with convolutions:
  filters      the filters of its first convolution; no IMAGE
  channels     what layers make of IMAGE: the mean over the channels, and the first 25 channels
  activations  the first 16 channels of layers over a training, --checkpoints, and their sparsity, the share that is 0
  deepdream    IMAGE changed towards --class, coarse shapes first

With --faces IMAGE is a photo. The figure shows it with a box around each face, and of the largest faces what the model
sees of them and the probabilities, as `fer-fast classify --faces all` has them.

Without -o the figure goes to the current folder and is called as IMAGE is, with _fer_fast.png in place of the suffix,
or _channels.png, as the figure is called; filters are called as the model is. A file of that name is replaced, by a
whole figure or not at all.
"""
#: The options that are of some figures alone: by the name that they have in the arguments.
_ONLY = {"layers": ("channels", "activations"), "checkpoints": ("activations",), "class": ("deepdream",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what `fer-fast visualize` takes."""
    add = parser.add_argument
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add("image", metavar="IMAGE", nargs="?", help="a jpg, png, webp, bmp, tiff, gif, heic or avif file")
    add("-o", "--output", metavar="OUT", help="the figure: .png (default: IMAGE's name_fer_fast.png)")
    add("--model", help="a packaged model, or a .safetensors checkpoint (default: fast)")
    add_prior_argument(parser)
    figures = ("face", "filters", "channels", "activations", "deepdream")
    add("--figure", choices=figures, default="face", help="what is drawn, see below (default: face)")
    add("--layers", type=names, metavar="NAMES", help="of channels and activations; a wrong one is told the right ones")
    checkpoints = "of activations, in place of --model: the folder that train's --keep-every fills, RUN/epochs"
    add("--checkpoints", metavar="DIR", help=checkpoints)
    add("--class", metavar="NAME", help="of deepdream: the class that the face is to become")
    group = parser.add_argument_group("faces in photos")
    group.add_argument("--faces", action="store_true", help="IMAGE is a photo: find the faces in it")
    add_finder_arguments(group)


def run(arguments: argparse.Namespace) -> int:
    """Draws; returns 0."""
    given = finder_options(arguments)
    if given and not arguments.faces:
        raise ValueError(f"--{option_of(min(given))} needs --faces")
    _check_figure(arguments)
    if arguments.model is None:
        arguments.model = "fast"
    image = arguments.image
    name = _name_of(arguments) if arguments.output is None else arguments.output
    if image is not None:
        _check_image(image)
    out = _check_out(name, image)
    from fer_fast.models.files.paths import checkpoint_path

    checkpoint_path(arguments.model)
    if arguments.faces:
        need("the figure", "plots")
    else:
        need("the figure", "torch", "plots", modules=("torch", "matplotlib"))
    figure, said = _drawn(arguments, given)
    try:
        write_whole(out, figure)
    except OSError as error:
        raise OutputError(f"{name!r} cannot be written: {error.strerror or error}") from error
    if not arguments.quiet:
        say(f"{name}: {said}")
    return 0


def _check_figure(arguments: argparse.Namespace) -> None:
    """Whether the options are of the figure that is asked for."""
    figure = arguments.figure
    for option, figures in _ONLY.items():
        if getattr(arguments, option) is not None and figure not in figures:
            raise ValueError(f"--{option} needs --figure {' or '.join(figures)}")
    if arguments.checkpoints is not None and arguments.model is not None:
        raise ValueError("--model must not be given with --checkpoints")
    if arguments.faces and figure != "face":
        raise ValueError(f"--faces must not be given with --figure {figure}")
    if arguments.prior != "train" and figure not in ("face", "deepdream"):
        raise ValueError(f"--prior must not be given with --figure {figure}, which shows no probabilities")
    if (arguments.image is None) != (figure == "filters"):
        raise ValueError(f"IMAGE must {'not ' if figure == 'filters' else ''}be given for --figure {figure}")
    for option, needing in (("class", "deepdream"), ("checkpoints", "activations")):
        if figure == needing and getattr(arguments, option) is None:
            raise ValueError(f"--figure {figure} needs --{option}")


def _name_of(arguments: argparse.Namespace) -> str:
    """Of a figure that is not named."""
    stem = Path(arguments.image or arguments.model).stem
    return f"{stem}_{'fer_fast' if arguments.figure == 'face' else arguments.figure}.png"


def _drawn(arguments: argparse.Namespace, options: dict[str, Any]) -> tuple[bytes, str]:
    """The figure, and what is said of it."""
    image, model, prior = arguments.image, arguments.model, arguments.prior
    if arguments.faces:
        return _of_faces(image, model, prior, options)
    if arguments.figure == "face":
        return _of_face(image, model, prior)
    from fer_fast.cli import layers

    if arguments.figure == "filters":
        return layers.filters(model)
    if arguments.figure == "channels":
        return layers.channels(image, model, arguments.layers or ())
    if arguments.figure == "activations":
        return layers.activations(image, arguments.checkpoints, arguments.layers or ())
    return layers.dream(image, model, getattr(arguments, "class"), prior)


def _of_face(image: str, name: str, prior: str) -> tuple[bytes, str]:
    """The figure of a cropped face, and what is said of it."""
    from fer_fast.models.loading import load_model
    from fer_fast.visualize import inspect_face

    model = load_model(name)
    inspection = inspect_face(model, pixels_of(image, model.config.image_size), prior)
    from fer_fast.reports.figure import draw

    prediction = inspection.prediction
    return draw(inspection, Path(name).stem), f"{prediction.label} {100 * prediction.confidence:.1f} %"


def _of_faces(image: str, name: str, prior: str, options: dict[str, Any]) -> tuple[bytes, str]:
    """The figure of a photo, and what is said of it."""
    from fer_fast.reports.faces_figure import draw

    try:
        photo, faces = _seen(image, name, prior, options)
    except DecodeError as error:
        raise DecodeError(error.status, f"{image!r} is {error.status.replace('_', ' ')}: {error}") from error
    labels = Counter(face.mark.label for face in faces)
    counts = ", ".join(f"{label} {count}" for label, count in labels.most_common())
    return draw(photo, faces, Path(name).stem), f"{counted(len(faces), 'face', 'faces')}" + (counts and f": {counts}")


def _seen(image: str, name: str, prior: str, options: dict[str, Any]) -> tuple[npt.NDArray[np.uint8], list[SeenFace]]:
    """The photo as it is shown, uint8 [height, width, 3], and its faces by falling area."""
    from fer_fast.classifier import Classifier
    from fer_fast.decode.limits import default_limits
    from fer_fast.faces.finder import FaceFinder
    from fer_fast.faces.looking import Looking
    from fer_fast.faces.photos import PhotoReader
    from fer_fast.reports.faces_figure import SeenFace
    from fer_fast.reports.marks import mark_of
    from fer_fast.reports.saved import LONGEST

    with FaceFinder(**options) as finder, Classifier(name, prior=prior) as classifier:
        with closing(PhotoReader(finder.find_size, 1, default_limits())) as reader:
            looked = reader.look(image, Looking(finder, classifier.image_size, classifier.framing))
        with closing(PhotoReader(LONGEST, 1, default_limits())) as reader:
            photo, size = reader.look(image, methodcaller("seen"))
        predictions = classifier.predict(list(looked.pixels))
    factor = photo.shape[1] / size[0]
    each = zip(looked.faces, predictions, looked.pixels, strict=True)
    return photo, [SeenFace(mark_of(face, prediction, factor), crop) for face, prediction, crop in each]


def _check_image(image: str) -> None:
    if why := why_absent(image):
        raise ValueError(f"{image!r} {why}")
    if os.path.isdir(image):  # noqa: PTH112
        raise ValueError(f"{image!r} is a folder: visualize takes one image")


def _check_out(name: str, image: str | None) -> Path:
    if Path(name).suffix.lower() != ".png":
        raise OutputRefusedError(f"the output {name!r} must end in .png")
    target = check_place(name)
    if image is not None and target.exists() and target.samefile(image):
        raise OutputRefusedError(f"the output {name!r} is IMAGE itself: choose another with -o")
    return target


def pixels_of(image: str, size: int) -> npt.NDArray[np.uint8]:
    """The face as the model sees it, uint8 [size, size, 3]."""
    from fer_fast.decode import open_decoder

    with open_decoder(image_size=size, workers=1) as decoder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # an error tells what is wrong with the file
        decoded = decoder.decode([image])
    for _, failure in decoded.failures:
        raise DecodeError(failure.status, f"{image!r} is {failure.status.replace('_', ' ')}: {failure}")
    face: npt.NDArray[np.uint8] = decoded.on_host()[0]
    return face

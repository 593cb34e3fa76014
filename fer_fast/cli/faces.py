"""Options about the faces in photos come in, what a run needs to know of them goes out, or a sentence what is wrong."""

from __future__ import annotations

import argparse
from typing import Any

from fer_fast.cli.arguments import pixels, positive, threshold
from fer_fast.decode.choice import LIBRARIES

#: Options of the finder: how they are called here, and what `FaceFinder` calls them.
_OF_FINDER = {
    "finder": "finder",
    "find_size": "find_size",
    "min_face": "min_face",
    "face_score": "score",
    "max_faces": "max_faces",
}
_OF_PICTURES = ("draw", "crops")

LARGEST, ALL, NONE = "largest", "all", "none"


def add_face_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options about faces in photos, a group of their own."""
    group = parser.add_argument_group("faces in photos")
    add = group.add_argument
    add(
        "--faces",
        choices=(NONE, ALL, LARGEST),
        help="find the faces in each photo: all of them, or the largest; a row a face (default: none, images are "
        "cropped faces; with films all)",
    )
    add_finder_arguments(group)
    add("--max-faces", type=positive, metavar="N", help="of a photo with more take the N largest (default: all)")
    add("--draw", metavar="DIR", help="put each photo there, its faces marked, as JPEG, and each film, as H.264")
    add("--crops", metavar="DIR", help="put each face there as the model sees it, as PNG; of films, of each frame")


def add_finder_arguments(group: argparse._ActionsContainer) -> None:
    """Adds the options that say how faces are found."""
    add = group.add_argument
    add(
        "--finder",
        metavar="FILE",
        help="a .safetensors, an exported finder or YuNet's .onnx (default: the packaged one)",
    )
    add(
        "--find-size",
        type=positive,
        metavar="PIXELS",
        help="look at photos reduced to this longer side (default: 640); more finds smaller faces, and takes longer",
    )
    add(
        "--min-face",
        type=pixels,
        metavar="PIXELS",
        help="leave out faces whose longer side is smaller in the photo (default: 24)",
    )
    add("--face-score", type=threshold, metavar="T", help="leave out faces less sure than this, 0 to 1 (default: 0.6)")


def check_face_arguments(arguments: argparse.Namespace) -> None:
    """Refuses options that contradict each other.

    Raises:
        ValueError: names them.
    """
    if arguments.faces == NONE:
        for name in (*_OF_FINDER, *_OF_PICTURES):
            if getattr(arguments, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} needs --faces all or --faces largest")
        return
    check_largest(arguments)
    if arguments.decoder in LIBRARIES:
        said = f"--decoder {arguments.decoder}, which knows no photos, only crops"
        raise ValueError(f"--faces cannot be had with {said}: leave one out")
    if arguments.draw is not None:
        from PIL import features

        if not features.check("freetype2"):
            raise ValueError("--draw writes text, which this Pillow cannot: pip install --upgrade pillow")


def check_largest(arguments: argparse.Namespace) -> None:
    """Refuses two words for how many faces count.

    Raises:
        ValueError: names them.
    """
    if arguments.faces == LARGEST and arguments.max_faces is not None:
        raise ValueError("--faces largest takes one face a photo: leave --max-faces out, or use --faces all")


def option_of(name: str) -> str:
    """What an argument of `FaceFinder` is called here."""
    return next(option for option, of_finder in _OF_FINDER.items() if of_finder == name).replace("_", "-")


def finder_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `FaceFinder` is to be opened with."""
    given = {name: getattr(arguments, option, None) for option, name in _OF_FINDER.items()}
    return {name: value for name, value in given.items() if value is not None}

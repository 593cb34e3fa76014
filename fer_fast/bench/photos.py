"""Photos with faces come in; what a finder sees of them, its exact answers and their cost, how answers agree go out."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.flop_counter import FlopCounterMode

from fer_fast.bench.case import Agreement, Work
from fer_fast.bench.material import SIZES, convolution_flop
from fer_fast.faces.cells import faces_in_reference
from fer_fast.models.files.checkpoint import read_finder
from fer_fast.models.files.storage import build_finder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Found = npt.NDArray[np.float32]

Box = tuple[float, float, float, float]

#: Photos that are looked at in memory, and that the plain scripts read: two of each number of faces.
SOME = 10
#: The smallest score of a face, as `FaceFinder` has it.
SCORE = 0.6
#: The sides of what the network sees are multiples of this.
STEP = 32
#: Of two boxes whose intersection is this part of their union, one is the other found again.
SAME = 0.75


class Photos:
    """What a finder sees of a folder's first photos.

    Args:
        paths: image files, all good.

    Attributes:
        checkpoint: the packaged finder as it is stored.
        reduced: longer side to the photos at most so long, each uint8 [height, width, 3], upright.
        exact: likewise to the faces in them by eager torch in fp32, each as `FaceFinder.find_in` gives them.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths[:SOME]
        self.checkpoint = read_finder("finder")
        self.network = build_finder(self.checkpoint).eval()
        self.reduced = cache(self._reduced)
        self.exact = cache(self._exact)
        self._cost_of = cache(self._cost)

    def canvases(self, longest: int) -> list[Pixels]:
        """The same with black to the right and below, up to multiples of `STEP`, [1, height, width, 3]."""
        return [canvas_of(pixels) for pixels in self.reduced(longest)]

    def find(self, pixels: Pixels) -> Found:
        """The exact faces of one image that is reduced already."""
        canvas = canvas_of(pixels)
        with torch.inference_mode():
            cells = self.network(torch.from_numpy(canvas))[0].numpy()
        return faces_in_reference(cells, canvas.shape[1], canvas.shape[2], SCORE)

    def cost(self, longest: int) -> Work:
        """What a photo costs the network at least, on average: its pixels, its cells, its convolutions.

        The weights are too few to count.
        """
        costs = [self._cost_of(canvas.shape) for canvas in self.canvases(longest)]
        return Work(*(sum(each) / len(costs) for each in zip(*costs, strict=True)))

    def _cost(self, shape: tuple[int, ...]) -> Work:
        mapping = {torch.ops.aten.convolution: convolution_flop}
        with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping=mapping) as counted:
            cells = self.network(torch.zeros(shape, dtype=torch.uint8))
        return Work(math.prod(shape) + SIZES["fp32"] * cells.numel(), counted.get_total_flops())

    def _reduced(self, longest: int) -> list[Pixels]:
        return [np.asarray(reduced(read(path), longest)) for path in self.paths]

    def _exact(self, longest: int) -> list[Found]:
        return [self.find(pixels) for pixels in self.reduced(longest)]


def read(path: Path) -> Image.Image:
    """A photo, upright, RGB."""
    with Image.open(path) as image:
        upright: Image.Image = ImageOps.exif_transpose(image)
        return upright.convert("RGB")


def reduced(photo: Image.Image, longest: int) -> Image.Image:
    """A photo whose longer side is at most so long."""
    factor = longest / max(photo.size)
    if factor >= 1:
        return photo
    width, height = (max(1, round(side * factor)) for side in photo.size)
    return photo.resize((width, height), Image.Resampling.BILINEAR)


def canvas_of(pixels: Pixels) -> Pixels:
    """An image as the network takes it, [1, height, width, 3]."""
    height, width = pixels.shape[:2]
    canvas = np.zeros((1, -(-height // STEP) * STEP, -(-width // STEP) * STEP, 3), np.uint8)
    canvas[0, :height, :width] = pixels
    return canvas


class Labelled(NamedTuple):
    """A face of an answer: x, y, width and height, and its label; empty where none is asked for."""

    box: Box
    label: str = ""


def boxes_of(found: Found) -> list[Labelled]:
    """The faces that a finder gave, without labels."""
    return [Labelled((x, y, width, height)) for x, y, width, height in found[:, :4].tolist()]


def check_faces(wanted: Sequence[list[Labelled]]) -> None:
    """Raises a ValueError where there is nothing to compare, in a folder of crops, say."""
    if not any(wanted):
        raise ValueError("no face is found in the first of these images: photos with faces are what is measured here")


def faces_agree(wanted: Sequence[list[Labelled]], got: Sequence[list[Labelled]], tolerance: float) -> Agreement:
    """The share of faces that only one of two answers has: of another box, or another label.

    Args:
        wanted, got: of each photo its faces.
        tolerance: the largest share.

    Raises:
        ValueError: as `check_faces`.
    """
    check_faces(wanted)
    most = sum(max(len(one), len(other)) for one, other in zip(wanted, got, strict=True))
    same = sum(_in_both(one, other) for one, other in zip(wanted, got, strict=True))
    return Agreement(1 - same / most, tolerance, "share of faces whose box or label is another")


def _in_both(wanted: list[Labelled], got: list[Labelled]) -> int:
    left = list(got)
    for face in wanted:
        same = [other for other in left if face.label == other.label and overlap(face.box, other.box) >= SAME]
        if same:
            left.remove(max(same, key=lambda other: overlap(face.box, other.box)))
    return len(got) - len(left)


def overlap(one: Box, other: Box) -> float:
    """The intersection of two boxes as a part of their union."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(across, 0.0) * max(down, 0.0)
    return both / (one[2] * one[3] + other[2] * other[3] - both)

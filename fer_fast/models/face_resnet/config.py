"""What a face-resnet is, apart from its weights: its size, its widths, and the plan of its units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fer_fast.models.config import ClassifierConfig

#: Of each stage its units, the first of which halves the map but in the first stage, and its place in `widths`.
STAGES: tuple[tuple[int, int], ...] = ((3, 0), (4, 1), (3, 2), (3, 3), (1, 3))
#: What dlib takes off a pixel and divides it by, in units of 0..1 pixels.
DLIB_MEAN: tuple[float, ...] = (122.782 / 255, 117.001 / 255, 104.298 / 255)
DLIB_STD: tuple[float, ...] = (256 / 255,) * 3
#: The stem: side and stride of its convolution, of its pooling.
_STEM = ((7, 2), (3, 2))


class UnitPlan(NamedTuple):
    """One residual unit.

    Attributes:
        inputs, outputs: channels that come and go.
        halves: whether height and width become half.
        missing: pixels of a side by which its convolutions end up smaller than its shortcut.
    """

    inputs: int
    outputs: int
    halves: bool
    missing: int


@dataclass(frozen=True, kw_only=True)
class FaceResNetConfig(ClassifierConfig):
    """A classifier's configuration, with what is the network's own; pixels are normalised as dlib does.

    Attributes:
        widths: channels of the four stages of maps.

    Raises:
        ValueError: if a value breaks its rule; the message names the field, the rule and what came.
    """

    architecture: ClassVar[str] = "face-resnet"
    mean: tuple[float, ...] = DLIB_MEAN
    std: tuple[float, ...] = DLIB_STD
    widths: tuple[int, ...] = (32, 64, 128, 256)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.keep_lists("widths")
        widths = self.widths
        if len(widths) != 4 or any(type(width) is not int or not 1 <= width <= 4096 for width in widths):
            raise ValueError(f"widths must be four integers from 1 to 4096, not {widths!r}")
        if list(widths) != sorted(widths):
            raise ValueError(f"widths must not fall, as a shortcut can only add channels, not {widths!r}")
        if self.image_size < SMALLEST:
            raise ValueError(f"image_size must be {SMALLEST} or more, not {self.image_size}")

    def units(self) -> list[UnitPlan]:
        """The units, first to last."""
        return units(self.image_size, self.widths, len(STAGES))


def units(image_size: int, widths: tuple[int, ...], stages: int) -> list[UnitPlan]:
    """The units of the first stages, first to last, for images of `smallest(stages)` pixels a side or more."""
    side = stem_side(image_size)
    plans, inputs = [], widths[0]
    for stage, (count, place) in enumerate(STAGES[:stages]):
        for number in range(count):
            halves = stage > 0 and number == 0
            missing = side // 2 - (side - 1) // 2 if halves else 0
            side = side // 2 if halves else side
            plans.append(UnitPlan(inputs, widths[place], halves, missing))
            inputs = widths[place]
    return plans


def stem_side(image_size: int) -> int:
    """Pixels on a side of the first stage's maps; of each next stage's there are half as many."""
    for kernel, stride in _STEM:
        image_size = (image_size - kernel) // stride + 1
    return image_size


def smallest(stages: int) -> int:
    """The smallest image of which each convolution still has a pixel: three on a side before the last that halves."""
    side = 3
    for _ in range(stages - 2):
        side *= 2
    for kernel, stride in reversed(_STEM):
        side = (side - 1) * stride + kernel
    return side


#: Pixels on a side that there must be.
SMALLEST = smallest(len(STAGES))

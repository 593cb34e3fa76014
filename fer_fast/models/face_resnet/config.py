"""What a face-resnet is, apart from its weights: its size, its widths, and the plan of its units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fer_fast.models.config import ClassifierConfig

#: Of each stage its units, the first of which halves the map but in the first stage, and its place in `widths`.
STAGES: tuple[tuple[int, int], ...] = ((3, 0), (4, 1), (3, 2), (3, 3), (1, 3))
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
    mean: tuple[float, ...] = (122.782 / 255, 117.001 / 255, 104.298 / 255)
    std: tuple[float, ...] = (256 / 255,) * 3
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
        side = self.image_size
        for kernel, stride in _STEM:
            side = (side - kernel) // stride + 1
        plans, inputs = [], self.widths[0]
        for stage, (count, place) in enumerate(STAGES):
            for number in range(count):
                halves = stage > 0 and number == 0
                missing = side // 2 - (side - 1) // 2 if halves else 0
                side = side // 2 if halves else side
                plans.append(UnitPlan(inputs, self.widths[place], halves, missing))
                inputs = self.widths[place]
        return plans


def _smallest() -> int:
    """The smallest image of which each convolution still has a pixel: three on a side before the last of them."""
    side = 3
    for _ in range(len(STAGES) - 2):
        side *= 2
    for kernel, stride in reversed(_STEM):
        side = (side - 1) * stride + kernel
    return side


#: Pixels on a side that there must be.
SMALLEST = _smallest()

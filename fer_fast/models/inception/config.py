"""What an Inception classifier is, apart from its weights: what it makes of the frozen network's last map."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from fer_fast.models.config import ClassifierConfig
from fer_fast.models.inception.plan import LAST, SMALLEST, last_side

#: What the classes are told from: the last map's mean; a CNN on that map; both, by their sum or by the larger of each.
HEADS: tuple[str, ...] = ("deepest", "sub-deep", "sum", "maximum")
#: Of the CNN on the last map: kernels' sides, first to last, which leave one pixel of eight.
KERNELS: tuple[int, ...] = (3, 3, 3, 2)
#: Pixels on a side that it needs.
SIDE = 1 + sum(kernel - 1 for kernel in KERNELS)
#: Widths of the dense layers behind it, where it stands alone: the paper's 1 x 1 convolutions of one pixel.
DENSE: tuple[int, ...] = (1024, 512)


@dataclass(frozen=True, kw_only=True)
class InceptionConfig(ClassifierConfig):
    """A classifier's configuration, with what is the network's own; pixels come from -1 to 1.

    Attributes:
        head: one of `HEADS`.
        maps: channels of all maps but the last of the CNN.
        divisor: of all of Inception v3's widths and the dense layers'; above 1 no weights of others fit.

    Raises:
        ValueError: if a value breaks its rule; the message names the field, the rule and what came.
    """

    architecture: ClassVar[str] = "inception"
    image_size: int = 299
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    head: str = "deepest"
    maps: int = LAST
    divisor: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts("maps")
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, not {self.head!r}")
        if type(self.divisor) is not int or self.divisor not in (1, 2, 4, 8, 16):
            raise ValueError(f"divisor must be 1, 2, 4, 8 or 16, not {self.divisor!r}")
        if self.maps > LAST:
            raise ValueError(f"maps must be {LAST} or fewer, not {self.maps}")
        if self.image_size < SMALLEST:
            raise ValueError(f"image_size must be {SMALLEST} or more, not {self.image_size}")
        if self.head != "deepest" and (side := last_side(self.image_size)) != SIDE:
            rule = f"such that the last map has {SIDE} pixels on a side, as 299 is, for head {self.head!r}"
            raise ValueError(f"image_size must be {rule}, not {self.image_size}: {side}")

    @property
    def width(self) -> int:
        """Channels of the last map, and of what the head gets of it."""
        return LAST // self.divisor

    def convolutions(self) -> list[tuple[int, int, int]]:
        """Of the CNN: channels that come and go, and the kernel's side; empty where there is none."""
        if self.head == "deepest":
            return []
        widths = (self.width, *[self.maps] * (len(KERNELS) - 1), self.width)
        return list(zip(widths[:-1], widths[1:], KERNELS, strict=True))

    def dense_layers(self) -> list[tuple[int, int]]:
        """Widths that come and go, between what is told from and the classes."""
        if self.head != "sub-deep":
            return []
        widths = (self.width, *(width // self.divisor for width in DENSE))
        return list(pairwise(widths))

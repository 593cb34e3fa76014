"""What a small CNN is, apart from its weights: its size, and the widths of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fer_fast.models.cnn.hog import BLOCK, CELL, hog_width
from fer_fast.models.config import ClassifierConfig, is_number


@dataclass(frozen=True, kw_only=True)
class CNNConfig(ClassifierConfig):
    """A classifier's configuration, with what is the network's own; pixels are normalised by FERPlus' mean and spread.

    Attributes:
        widths: channels of the convolutions, each of which halves height and width by pooling.
        dense: widths of the dense layers between the last map and the classes.
        hog: whether histograms of oriented gradients of the image join the last map before the dense layers.
        dropout: the chance that a value behind such a layer is 0 in training; in inference nothing is left out.

    Raises:
        ValueError: if a value breaks its rule; the message names the field, the rule and what came.
    """

    architecture: ClassVar[str] = "cnn"
    image_size: int = 48
    colour: str = "grey"
    mean: tuple[float, ...] = (0.508,)
    std: tuple[float, ...] = (0.255,)
    widths: tuple[int, ...] = (16, 64)
    dense: tuple[int, ...] = (128,)
    hog: bool = False
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.keep_lists("widths", "dense")
        for field in ("widths", "dense"):
            values = getattr(self, field)
            if not values or any(type(width) is not int or not 1 <= width <= 4096 for width in values):
                raise ValueError(f"{field} must be one or more integers from 1 to 4096, not {values!r}")
        if self.side < 1:
            rule = f"{2 ** len(self.widths)} or more for {len(self.widths)} widths"
            raise ValueError(f"image_size must be {rule}, not {self.image_size}")
        self._check_hog()
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be a number from 0 to below 1, not {self.dropout!r}")

    def _check_hog(self) -> None:
        if not isinstance(self.hog, bool):
            raise ValueError(f"hog must be true or false, not {self.hog!r}")
        if self.hog and self.colour != "grey":
            raise ValueError(f"hog must be false where colour is {self.colour!r}: it is of one grey channel")
        if self.hog and self.image_size < BLOCK * CELL:
            raise ValueError(f"image_size must be {BLOCK * CELL} or more for hog, not {self.image_size}")

    @property
    def side(self) -> int:
        """Pixels on a side of the last map."""
        return self.image_size >> len(self.widths)

    def convolutions(self) -> list[tuple[int, int]]:
        """Channels that come and go, of each convolution."""
        return list(zip((self.channels, *self.widths), self.widths, strict=False))

    def dense_layers(self) -> list[tuple[int, int]]:
        """The same of each dense layer; the first gets the last map, flat, and behind it what `hog` adds."""
        first = self.widths[-1] * self.side**2 + (hog_width(self.image_size) if self.hog else 0)
        return list(zip((first, *self.dense), self.dense, strict=False))

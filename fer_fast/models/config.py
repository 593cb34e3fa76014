"""What a model is, apart from its weights: sources, sizes, normalisation, classes, calibration."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from fer_fast.types import EMOTIONS

SOURCES: tuple[str, ...] = ("image", "FM1", "FM2", "FM3", "FM4")
#: ImageNet's mean and standard deviation, in units of 0..1 pixels.
IMAGENET_MEAN: tuple[float, ...] = (0.485, 0.456, 0.406)
IMAGENET_STD: tuple[float, ...] = (0.229, 0.224, 0.225)
#: The precisions that are measured against fp32 after training.
MEASURED_PRECISIONS: tuple[str, ...] = ("bf16", "fp16", "int8")
#: How a face is cut out of a photo: a similarity puts its five landmarks to their places in the crop; its box, squared
#: on the longer side; that square, turned until the eyes are level.
FRAMINGS: tuple[str, ...] = ("points", "box", "level")


@dataclass(frozen=True)
class ModelConfig:
    """Everything that a checkpoint's metadata says of its model.

    Attributes:
        sources: non-empty selection of image, FM1..FM4; kept in that order. Oh & Yoo 2023 find
            image + FM2 + FM3 + FM4 best (Table 3).
        image_size: input side in pixels.
        grid: tokens a side; the Vision Transformer sees grid * grid tokens.
        reduce_mean: take the channel mean of each tap (the paper's Figure 3) instead of all channels.
        width, depth, heads, mlp_ratio: the Vision Transformer's shape.
        mean, std: normalisation of the image, in units of 0..1 pixels, RGB.
        classes: names of the logits.
        flip_average: the logits are the mean over a face and its mirror image, for twice the time.
        framing: how the faces of a photo are cut for it, one of `FRAMINGS`.
        temperature: logits are divided by it before the softmax (Guo et al. 2017).
        activation_ranges: smallest and largest input of each convolution and linear layer of the algebraic form,
            measured on faces; what precision int8 needs. Empty if the model was not measured.
        precision_falls: what each precision costs, in fractions of the validation images: fp32's accuracy less its
            own. Precisions that were not measured are not in it.

    Raises:
        ValueError: if a value breaks its rule; the message names the field, the rule and what came.
    """

    sources: tuple[str, ...] = ("image", "FM2", "FM3", "FM4")
    image_size: int = 112
    grid: int = 7
    reduce_mean: bool = False
    width: int = 192
    depth: int = 6
    heads: int = 3
    mlp_ratio: float = 4.0
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    classes: tuple[str, ...] = EMOTIONS
    flip_average: bool = False
    framing: str = "points"
    temperature: float = 1.0
    activation_ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    precision_falls: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for field in ("sources", "mean", "std", "classes"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        unknown = set(self.sources) - set(SOURCES)
        if not self.sources or unknown or len(set(self.sources)) != len(self.sources):
            raise ValueError(
                f"sources must be a non-empty selection of {', '.join(SOURCES)}, each once, not {self.sources!r}"
            )
        object.__setattr__(self, "sources", tuple(name for name in SOURCES if name in self.sources))
        for field in ("image_size", "grid", "width", "depth", "heads"):
            value = getattr(self, field)
            if type(value) is not int or value < 1:  # True is an int, too
                raise ValueError(f"{field} must be a positive integer, not {value!r}")
        if self.image_size % self.grid:
            raise ValueError(f"image_size must be a multiple of grid {self.grid}, not {self.image_size}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads {self.heads}, not {self.width}")
        for field in ("mlp_ratio", "temperature"):
            if not _is_number(getattr(self, field)) or getattr(self, field) <= 0:
                raise ValueError(f"{field} must be a number above 0, not {getattr(self, field)!r}")
        for field in ("reduce_mean", "flip_average"):
            if not isinstance(getattr(self, field), bool):
                raise ValueError(f"{field} must be true or false, not {getattr(self, field)!r}")
        if self.framing not in FRAMINGS:
            raise ValueError(f"framing must be one of {', '.join(FRAMINGS)}, not {self.framing!r}")
        if self.width * self.mlp_ratio < 1:
            raise ValueError(f"mlp_ratio must leave one of {self.width} units at least, not {self.mlp_ratio!r}")
        for field in ("mean", "std"):
            if len(getattr(self, field)) != 3 or not all(map(_is_number, getattr(self, field))):
                raise ValueError(f"{field} must be three numbers, not {getattr(self, field)!r}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, not {self.std!r}")
        named = all(isinstance(name, str) for name in self.classes)
        if not named or len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must be two or more different names, not {self.classes!r}")
        if not isinstance(self.activation_ranges, dict):
            raise ValueError(f"activation_ranges must be values by name, not {self.activation_ranges!r}")
        ranges = {name: tuple(ends) for name, ends in self.activation_ranges.items()}
        object.__setattr__(self, "activation_ranges", ranges)
        for name, ends in ranges.items():
            if len(ends) != 2 or not all(map(_is_number, ends)) or not ends[0] <= 0 < ends[1]:
                raise ValueError(f"activation_ranges must be pairs around 0; {name!r} has {ends!r}")
        check_precision_falls(self.precision_falls)

    @property
    def taps(self) -> tuple[str, ...]:
        """The sources that come from the backbone."""
        return tuple(name for name in self.sources if name != "image")

    def as_dict(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of `as_dict`.

        Raises:
            ValueError: on an unknown field or a value that breaks its rule.
        """
        check_fields(cls, values)
        return cls(**values)


def check_fields(config: type, values: dict[str, Any]) -> None:
    """Raises a ValueError if a configuration, a dataclass, has no field of one of these names."""
    known = {field.name for field in dataclasses.fields(config)}
    if unknown := set(values) - known:
        raise ValueError(f"unknown configuration field {sorted(unknown)[0]!r}; known: {', '.join(sorted(known))}")


def check_precision_falls(falls: dict[str, float]) -> None:
    """Raises a ValueError where they are no numbers by the names of `MEASURED_PRECISIONS`."""
    if not isinstance(falls, dict):
        raise ValueError(f"precision_falls must be values by name, not {falls!r}")
    for name, fall in falls.items():
        if name not in MEASURED_PRECISIONS:
            raise ValueError(f"precision_falls must be of {', '.join(MEASURED_PRECISIONS)}, not of {name!r}")
        if not _is_number(fall) or not -1 <= fall <= 1:
            raise ValueError(f"precision_falls must be numbers from -1 to 1; {name!r} has {fall!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


#: The models that have a name; `paper` is the best row of Oh & Yoo 2023 at their image size.
PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(sources=("image", "FM2", "FM3"), image_size=64, grid=4, depth=2, framing="level"),
    "fast": ModelConfig(image_size=112, grid=7, depth=4),
    "accurate": ModelConfig(image_size=112, grid=7, depth=4, flip_average=True),
    "paper": ModelConfig(image_size=224, grid=14),
}

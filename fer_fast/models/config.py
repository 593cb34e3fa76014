"""What every classifier is, apart from its weights: what it sees, what it answers, its calibration."""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from fer_fast.types import EMOTIONS

#: Of anything that is counted: no array is longer.
LARGEST = 2**31 - 1
#: Pixels on a side of what a network sees: a batch of such images is 1.6 GB, and no face has more to show.
LARGEST_IMAGE = 4096
#: ImageNet's mean and standard deviation, in units of 0..1 pixels.
IMAGENET_MEAN: tuple[float, ...] = (0.485, 0.456, 0.406)
IMAGENET_STD: tuple[float, ...] = (0.229, 0.224, 0.225)
#: What a network sees of an image, and in how many channels.
COLOURS: dict[str, int] = {"rgb": 3, "grey": 1}
#: What red, green and blue count in grey (ITU-R BT.601), as in Pillow's mode L.
LUMA: tuple[float, ...] = (0.299, 0.587, 0.114)
#: The precisions that are measured against fp32 after training.
MEASURED_PRECISIONS: tuple[str, ...] = ("bf16", "fp16", "int8")
#: How a face is cut out of a photo: a similarity puts its five landmarks to their places in the crop; its box, squared
#: on the longer side; that square, turned until the eyes are level.
FRAMINGS: tuple[str, ...] = ("points", "box", "level")
#: The fields that are measured of a trained model or of what it was trained on.
MEASURED_FIELDS: tuple[str, ...] = ("temperature", "activation_ranges", "precision_falls", "prior")

#: The smallest share of a class that float32 holds; what is smaller is none.
SMALLEST_SHARE = 2.0**-126

Config = TypeVar("Config", bound="ClassifierConfig")


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What a checkpoint's metadata says of any classifier; an architecture's own configuration adds its fields.

    Attributes:
        architecture: name of the architecture that a configuration is of, a constant of its class.
        image_size: input side in pixels.
        colour: what the network sees of an image, one of `COLOURS`. Images are RGB at every door, whatever it is, and
            are made grey inside the graph: a decoder, an engine or a program in C++ has nothing to obey.
        mean, std: normalisation of what it sees, in units of 0..1 pixels: three numbers, or of grey one.
        classes: names of the logits.
        flip_average: the logits are the mean over a face and its mirror image, for twice the time.
        framing: how the faces of a photo are cut for it, one of `FRAMINGS`.
        temperature: logits are divided by it before the softmax (Guo et al. 2017).
        activation_ranges: smallest and largest input of each convolution and linear layer of the form for graph
            compilers, measured on faces; what precision int8 needs. Empty if the model was not measured.
        precision_falls: what each precision costs, in fractions of the validation images: fp32's accuracy less its
            own. Precisions that were not measured are not in it.
        prior: the mix of classes that the probabilities presume, that of its training: shares above 0 that sum to 1,
            in the order of `classes`. Empty if it is not known.

    Raises:
        ValueError: if a value breaks its rule; the message names the field, the rule and what came.
    """

    architecture: ClassVar[str]
    image_size: int = 112
    colour: str = "rgb"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    classes: tuple[str, ...] = EMOTIONS
    flip_average: bool = False
    framing: str = "points"
    temperature: float = 1.0
    activation_ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    precision_falls: dict[str, float] = dataclasses.field(default_factory=dict)
    prior: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self.keep_lists("mean", "std", "classes", "prior")
        self.check_counts("image_size", most=LARGEST_IMAGE)
        self.check_switches("flip_average")
        if not is_number(self.temperature) or self.temperature <= 0:
            raise ValueError(f"temperature must be a number above 0, not {self.temperature!r}")
        if self.framing not in FRAMINGS:
            raise ValueError(f"framing must be one of {', '.join(FRAMINGS)}, not {self.framing!r}")
        if self.colour not in tuple(COLOURS):  # a list, which has no hash, is in no dictionary
            raise ValueError(f"colour must be one of {', '.join(COLOURS)}, not {self.colour!r}")
        for field in ("mean", "std"):
            if len(getattr(self, field)) != self.channels or not all(map(is_number, getattr(self, field))):
                rule = "three numbers" if self.channels == 3 else "one number"
                raise ValueError(f"{field} must be {rule}, not {getattr(self, field)!r}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0, not {self.std!r}")
        self._check_classes()
        object.__setattr__(self, "activation_ranges", _ranges(self.activation_ranges))
        check_precision_falls(self.precision_falls)
        wanted = len(self.prior) == len(self.classes) and is_mix(self.prior) and min(self.prior) >= SMALLEST_SHARE
        if self.prior and not wanted:
            raise ValueError(
                f"prior must be shares above 0 of the {len(self.classes)} classes that sum to 1, not {self.prior!r}"
            )

    def _check_classes(self) -> None:
        """Whether the names can be told apart wherever they are written, in UTF-8, with single spaces between words."""
        written = {" ".join(name.split()) for name in self.classes if isinstance(name, str)}
        if len(self.classes) < 2 or len(written) != len(self.classes):
            raise ValueError(f"classes must be two or more different names, not {self.classes!r}")
        for name in self.classes:
            if not name.split() or name.encode(errors="replace").decode() != name:
                raise ValueError(f"classes must have names that are text, not {name!r}")

    @property
    def channels(self) -> int:
        """Channels of what the network sees."""
        return COLOURS[self.colour]

    def keep_lists(self, *fields: str) -> None:
        """Makes tuples of these fields, which are lists in JSON; a ValueError where one is neither."""
        for field in fields:
            value = getattr(self, field)
            if not isinstance(value, (list, tuple)):  # text, too, would be a list of its letters
                raise ValueError(f"{field} must be a list, not {value!r}")
            object.__setattr__(self, field, tuple(value))

    def check_counts(self, *fields: str, most: int = LARGEST) -> None:
        """Raises a ValueError unless these fields count something, and no more than `most`."""
        for field in fields:
            value = getattr(self, field)
            if type(value) is not int or not 1 <= value <= most:  # True is an int, too
                raise ValueError(f"{field} must be a positive integer up to {most}, not {value!r}")

    def check_switches(self, *fields: str) -> None:
        """Raises a ValueError unless these fields are true or false."""
        for field in fields:
            if not isinstance(getattr(self, field), bool):
                raise ValueError(f"{field} must be true or false, not {getattr(self, field)!r}")

    def as_dict(self) -> dict[str, Any]:
        """The configuration as JSON types, with the name of its architecture."""
        return {"architecture": self.architecture, **dataclasses.asdict(self)}

    def built(self) -> dict[str, Any]:
        """`as_dict` without what is measured once it is trained: the same for all models of a training."""
        return {name: value for name, value in self.as_dict().items() if name not in MEASURED_FIELDS}

    @classmethod
    def from_dict(cls: type[Config], values: dict[str, Any]) -> Config:
        """The inverse of `as_dict`; values may leave the architecture out.

        Raises:
            ValueError: on an unknown field or a value that breaks its rule.
        """
        own = {name: value for name, value in values.items() if name != "architecture"}
        if (said := values.get("architecture", cls.architecture)) != cls.architecture:
            raise ValueError(f"architecture must be {cls.architecture!r}, not {said!r}")
        check_fields(cls, own)
        return cls(**own)


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
        if not is_number(fall) or not -1 <= fall <= 1:
            raise ValueError(f"precision_falls must be numbers from -1 to 1; {name!r} has {fall!r}")


def is_mix(shares: tuple[float, ...]) -> bool:
    """Whether they are shares of classes: numbers from 0 to 1 that sum to 1, as exactly as text of 9 digits says it."""
    return all(is_number(share) and 0 <= share <= 1 for share in shares) and abs(math.fsum(shares) - 1) <= 1e-6


def is_number(value: object) -> bool:
    """Whether it is one, and finite."""
    # Of an integer too large for a float math.isfinite knows no answer.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _ranges(ranges: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The same with ends that are tuples, as JSON has none."""
    if not isinstance(ranges, dict):
        raise ValueError(f"activation_ranges must be values by name, not {ranges!r}")
    for name, ends in ranges.items():
        pair = isinstance(ends, (list, tuple)) and len(ends) == 2 and all(map(is_number, ends))
        if not pair or not ends[0] <= 0 < ends[1]:
            raise ValueError(f"activation_ranges must be pairs around 0; {name!r} has {ends!r}")
    return {name: (low, high) for name, (low, high) in ranges.items()}

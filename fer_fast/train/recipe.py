"""A training recipe: a TOML file comes in, checked settings go out."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_fast.models.config import PRESETS, ModelConfig

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training face; lengths are fractions of the image's side.

    Attributes:
        rotation_degrees: largest rotation either way.
        scale: largest relative change of size.
        shift: largest shift either way.
        contrast: largest relative change of contrast, and of brightness as a fraction of 255.
        erase_chance: how often a rectangle is painted black.
        erase_side: smallest and largest side of that rectangle.
    """

    rotation_degrees: float
    scale: float
    shift: float
    contrast: float
    erase_chance: float
    erase_side: tuple[float, float]

    def __post_init__(self) -> None:
        _check(self, "rotation_degrees", "a number from 0 to 180", lambda value: 0 <= value <= 180)
        for field in ("scale", "shift", "contrast", "erase_chance"):
            _check(self, field, "a number from 0 to 1", lambda value: 0 <= value <= 1)
        sides = self.erase_side
        if len(sides) != 2 or not all(map(_is_number, sides)) or not 0 <= sides[0] <= sides[1] <= 1:
            raise ValueError(f"erase_side must be two ascending numbers from 0 to 1, not {list(sides)!r}")


@dataclass(frozen=True)
class Stage:
    """Some epochs at one image size, in pixels."""

    image_size: int
    epochs: int

    def __post_init__(self) -> None:
        _check(self, "image_size", "an integer of 32 or more", lambda value: isinstance(value, int) and value >= 32)
        _check(self, "epochs", "an integer of 1 or more", lambda value: isinstance(value, int) and value >= 1)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, data apart. The fields are explained in recipes/fast.toml."""

    preset: str
    seed: int
    batch_size: int
    stages: tuple[Stage, ...]
    learning_rate: float
    backbone_learning_rate: float
    weight_decay: float
    drop_path: float
    auxiliary_weight: float
    average_decay: float
    augmentation: Augmentation

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if not self.stages:
            raise ValueError("stages must be one or more, got none")
        _check(self, "seed", "an integer of 0 or more", lambda value: isinstance(value, int) and value >= 0)
        # Batch norm cannot learn from one image.
        _check(self, "batch_size", "an integer of 2 or more", lambda value: isinstance(value, int) and value >= 2)
        for field in ("learning_rate", "backbone_learning_rate"):
            _check(self, field, "a number above 0", lambda value: value > 0)
        for field in ("weight_decay", "auxiliary_weight"):
            _check(self, field, "a number of 0 or more", lambda value: value >= 0)
        for field in ("drop_path", "average_decay"):
            _check(self, field, "a number from 0 to below 1", lambda value: 0 <= value < 1)

    @property
    def config(self) -> ModelConfig:
        """The model to train."""
        return PRESETS[self.preset]


def load_recipe(recipe: str | Path) -> Recipe:
    """Reads a recipe.

    Args:
        recipe: the name of a recipe in the package, or the path of a .toml file.

    Raises:
        ValueError: if there is no such recipe, or a field is missing, unknown or out of its range.
    """
    named = RECIPES / f"{recipe}.toml"
    path = named if named.is_file() else Path(recipe)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise ValueError(f"recipe must be a .toml file or one of: {known}; there is no {str(recipe)!r}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        stages = tuple(Stage(**stage) for stage in values.pop("stages"))
        augmentation = values.pop("augmentation")
        erase_side = tuple(augmentation.pop("erase_side"))
        return Recipe(stages=stages, augmentation=Augmentation(**augmentation, erase_side=erase_side), **values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"recipe {str(path)!r} must have the fields of {_fields()}: {error}") from error


def _fields() -> str:
    return ", ".join(field.name for field in dataclasses.fields(Recipe))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check(settings: object, field: str, rule: str, holds: Callable[[Any], bool]) -> None:
    value = getattr(settings, field)
    if not _is_number(value) or not holds(value):
        raise ValueError(f"{field} must be {rule}, not {value!r}")

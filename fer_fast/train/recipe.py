"""A training recipe: a TOML file comes in, checked settings go out."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Stage:
    """Some epochs at one image size, in pixels."""

    image_size: int
    epochs: int


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
        values = tomllib.loads(path.read_text())
        stages = tuple(Stage(**stage) for stage in values.pop("stages"))
        augmentation = values.pop("augmentation")
        erase_side = tuple(augmentation.pop("erase_side"))
        result = Recipe(stages=stages, augmentation=Augmentation(**augmentation, erase_side=erase_side), **values)
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"recipe {str(path)!r} must have the fields of {_fields()}: {error}") from error
    if result.preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {result.preset!r}")
    return result


def _fields() -> str:
    return ", ".join(field.name for field in dataclasses.fields(Recipe))

"""Recipes for the face finder: checked settings from a TOML file."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_fast.models.config import is_number
from fer_fast.train.rules import check_seed, table_of, values_of

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Composition:
    """How scenes are composed; lengths in pixels of the scene.

    Attributes:
        side: of a scene, a multiple of 32.
        parts: how often a scene is 1 x 1, 2 x 2, 3 x 3 ... photos.
        smallest, largest: of the face that a part is laid around, its box's height, spread by its logarithm.
        least: faces whose box has a smaller longer side are neither faces nor background.
        enlarged: how much larger than itself a photo may become.
        background_chance: how often a part has no face.
        tilts: largest rotations either way, in degrees.
        tilt_chances: how often each of them is drawn from.
        cut_chance: how often one to four cut faces are set into a scene.
        cut_largest: their largest height, at most half a scene's side.
    """

    side: int = 320
    parts: tuple[float, ...] = (0.5, 0.35, 0.15)
    smallest: float = 9.0
    largest: float = 600.0
    least: float = 7.0
    enlarged: float = 1.5
    background_chance: float = 0.2
    tilts: tuple[float, ...] = (8.0, 30.0, 60.0)
    tilt_chances: tuple[float, ...] = (0.5, 0.35, 0.15)
    cut_chance: float = 0.2
    cut_largest: float = 64.0

    def __post_init__(self) -> None:
        if type(self.side) is not int or not 64 <= self.side <= 4096 or self.side % 32:
            raise ValueError(f"side must be a multiple of 32, 64 to 4096, not {self.side!r}")
        for name in ("parts", "tilt_chances"):
            _chances(self, name)
        if len(self.tilts) != len(self.tilt_chances):
            raise ValueError(f"tilts must be as many as tilt_chances, {len(self.tilt_chances)}, not {len(self.tilts)}")
        for name, low, high in (
            ("smallest", 4, self.largest),
            ("largest", 4, math.inf),
            ("least", 0, math.inf),
            ("enlarged", 0.1, 8),
            ("background_chance", 0, 1),
            ("cut_chance", 0, 1),
            ("cut_largest", self.smallest, self.side / 2),
        ):
            _range(self, name, low, high)


@dataclass(frozen=True)
class Degradation:
    """What becomes of a scene's pixels, each by a chance of its own; the default changes nothing.

    Attributes:
        light: brightness, contrast, gamma and the colours' balance change a little.
        dark: little light and its noise.
        grey: no colours.
        blur: out of focus, or moved.
        coarse: reduced and enlarged again.
        noise: of a sensor.
        jpeg: compressed as JPEG, of a quality of 20 to 95.
    """

    light: float = 0.0
    dark: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    coarse: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            _range(self, each.name, 0, 1)


@dataclass(frozen=True)
class FinderRecipe:
    """Everything that decides a run, photos apart.

    Attributes:
        steps: how many.
        learning_rate: the largest; it rises over a twentieth of the steps and falls as a cosine to nothing.
        seed: of scenes and their order.
        batch_size: scenes a step.
        average_decay: decay a step of the averaged weights that are kept.
        distillation: share of the teacher's answers to the same scene, not degraded, in what is learnt where a face is,
            0 to 1.
        judged: share of the photos that are not learnt from, 0 to below 1.
        judged_scenes: how many are composed of those, as they are and degraded.
        shares: of the learnt weights in the mean with those at the start; the best on the judged scenes is kept.
        composition: how scenes are composed.
        degradation: what becomes of their pixels.
    """

    steps: int
    learning_rate: float
    seed: int = 1
    batch_size: int = 16
    average_decay: float = 0.998
    distillation: float = 0.3
    judged: float = 0.2
    judged_scenes: int = 200
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    composition: Composition = field(default_factory=Composition)
    degradation: Degradation = field(default_factory=Degradation)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "judged_scenes"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} must be an integer of 1 or more, not {getattr(self, name)!r}")
        check_seed(self.seed)
        for name, low, high in (
            ("learning_rate", 1e-9, 1),
            ("average_decay", 0, 0.99999),
            ("distillation", 0, 1),
            ("judged", 0.01, 0.9),
        ):
            _range(self, name, low, high)
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise ValueError(f"shares must be numbers above 0, at most 1, not {self.shares!r}")


def load_finder_recipe(recipe: str | Path) -> FinderRecipe:
    """Reads a recipe.

    Args:
        recipe: the name of a finder's recipe in the package, or the path of a .toml file.

    Raises:
        ValueError: if there is no such recipe, or a field is missing, unknown or out of its range.
    """
    named = RECIPES / f"{recipe}.toml"
    path = named if named.is_file() else Path(recipe)
    if not path.is_file():
        known = ", ".join(packaged_finder_recipes())
        raise ValueError(f"recipe must be a .toml file or one of: {known}; there is no {str(recipe)!r}")
    try:
        values = values_of(path)
        parts: dict[str, Any] = {
            "composition": Composition(**_tuples(table_of(values.pop("composition", {}), "composition"))),
            "degradation": Degradation(**table_of(values.pop("degradation", {}), "degradation")),
        }
        return FinderRecipe(**_tuples(values), **parts)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
        names = ", ".join(each.name for each in dataclasses.fields(FinderRecipe))
        raise ValueError(f"recipe {str(path)!r} must have the fields of {names}: {error}") from error


def packaged_finder_recipes() -> list[str]:
    """Names of the finder's recipes in the package."""
    return sorted(file.stem for file in RECIPES.glob("*.toml"))


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _range(settings: object, name: str, low: float, high: float) -> None:
    value = getattr(settings, name)
    if not is_number(value) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}, not {value!r}")


def _chances(settings: object, name: str) -> None:
    values = getattr(settings, name)
    right = isinstance(values, (list, tuple)) and all(is_number(value) and value >= 0 for value in values)
    if not right or not math.isclose(math.fsum(values), 1):
        raise ValueError(f"{name} must be numbers of 0 or more whose sum is 1, not {values!r}")

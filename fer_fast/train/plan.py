"""The steps of a run: a recipe and the number of images come in, each step's place in the run goes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fer_fast.train.recipe import Recipe, Stage


@dataclass(frozen=True)
class Step:
    """Where a run is: the step's number, its epoch, its place in the epoch and the stage's settings."""

    number: int
    epoch: int
    place: int
    stage: Stage
    last_of_epoch: bool


def step_count(recipe: Recipe, images: int) -> int:
    """How many steps a run has."""
    return sum(stage.steps or stage.epochs * (images // recipe.batch_size) for stage in recipe.stages)


def planned(recipe: Recipe, images: int) -> Iterator[Step]:
    """Every step of the run; a last, smaller batch of an epoch is left out."""
    per_epoch = images // recipe.batch_size
    number = epoch = 0
    for stage in recipe.stages:
        left = stage.steps or stage.epochs * per_epoch
        while left:
            length = min(left, per_epoch)
            for place in range(length):
                yield Step(number, epoch, place, stage, place == length - 1)
                number += 1
            epoch, left = epoch + 1, left - length

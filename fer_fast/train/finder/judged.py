"""Scenes that no training sees come in, how well a finder's network finds their faces goes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fer_fast.datasets.labelled_boxes import LabelledPhoto
from fer_fast.evaluation.boxes import Boxes, Size, judge
from fer_fast.faces.cells import faces_in_reference
from fer_fast.models.finder import FinderNetwork
from fer_fast.train.finder.degrade import degraded
from fer_fast.train.finder.material import Picture
from fer_fast.train.finder.recipe import FinderRecipe
from fer_fast.train.finder.scenes import Scene, compose

#: Faces that are judged: smaller ones are found by chance.
JUDGED = Size(10.0, np.inf)
LOWEST_SCORE = 0.02
#: Scenes that the network sees at once.
_BATCH = 16


def judged_scenes(pictures: Sequence[Picture], recipe: FinderRecipe) -> dict[str, list[Scene]]:
    """Scenes as they are ("plain"), and the same degraded; the same ones whenever they are composed."""
    seeds = [1_000_003 * (number + 1) for number in range(recipe.judged_scenes)]
    plain = [compose(pictures, (), recipe.composition, seed) for seed in seeds]
    changed = [
        dataclasses.replace(scene, pixels=degraded(scene.pixels, recipe.degradation, seed))
        for scene, seed in zip(plain, seeds, strict=True)
    ]
    return {"plain": plain, "degraded": changed}


def average_precisions(network: FinderNetwork, scenes: dict[str, list[Scene]], size: Size = JUDGED) -> dict[str, float]:
    """Average precision of the faces of a size, by kind of scene; 0 where there is none."""
    scored = {}
    for name, each in scenes.items():
        judged = judge(found_in(network, each), [labelled(scene) for scene in each], size)
        scored[name] = judged.average_precision() or 0.0
    return scored


def labelled(scene: Scene) -> LabelledPhoto:
    """A scene's boxes as the evaluation takes them."""
    boxes = np.concatenate([scene.faces[:, :4], scene.doubtful])
    return LabelledPhoto(Path(), boxes, np.arange(len(boxes)) < len(scene.faces))


@torch.no_grad()
def found_in(network: FinderNetwork, scenes: Sequence[Scene]) -> list[Boxes]:
    """Of each scene what is found: float64 [faces, 5], x, y, width, height, score."""
    found = []
    for start in range(0, len(scenes), _BATCH):
        pixels = np.stack([scene.pixels for scene in scenes[start : start + _BATCH]])
        for cells in network(torch.from_numpy(pixels)).numpy():
            faces = faces_in_reference(cells, pixels.shape[1], pixels.shape[2], LOWEST_SCORE)
            found.append(faces[:, [0, 1, 2, 3, 14]].astype(np.float64))
    return found

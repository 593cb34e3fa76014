"""Scenes that no training sees come in, how well a finder's network finds their faces goes out."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fer_fast.datasets.labelled_boxes import LabelledPhoto
from fer_fast.engines import open_engine
from fer_fast.evaluation.boxes import Boxes, Size, judge
from fer_fast.models.files.checkpoint import read_finder, write_checkpoint
from fer_fast.models.finder.network import FinderNetwork
from fer_fast.ops import native
from fer_fast.train.finder.degrade import degraded
from fer_fast.train.finder.material import Picture, Pixels
from fer_fast.train.finder.recipe import FinderRecipe
from fer_fast.train.finder.scenes import Scene, compose
from fer_fast.types import FerFastError

#: Faces that are judged: smaller ones are found by chance.
JUDGED = Size(10.0, np.inf)
LOWEST_SCORE = 0.02
#: Scenes that the network sees at once.
_BATCH = 16
#: Precisions that round.
_LOSSY_PRECISIONS = ("bf16",)

#: Scenes by kind.
Scenes = dict[str, list[Scene]]
Cells = npt.NDArray[np.float32]

log = logging.getLogger(__name__)


def judged_scenes(pictures: Sequence[Picture], recipe: FinderRecipe) -> Scenes:
    """Scenes as they are ("plain"), and the same degraded; the same ones whenever they are composed."""
    seeds = [1_000_003 * (number + 1) for number in range(recipe.judged_scenes)]
    plain = [compose(pictures, (), recipe.composition, seed) for seed in seeds]
    changed = [
        dataclasses.replace(scene, pixels=degraded(scene.pixels, recipe.degradation, seed))
        for scene, seed in zip(plain, seeds, strict=True)
    ]
    return {"plain": plain, "degraded": changed}


def average_precisions(network: FinderNetwork, scenes: Scenes, size: Size = JUDGED) -> dict[str, float]:
    """Average precision of the faces of a size, by kind of scene; 0 where there is none."""

    @torch.no_grad()
    def infer(pixels: Pixels) -> Cells:
        return np.asarray(network(torch.from_numpy(pixels)).numpy(), np.float32)

    return _average_precisions(infer, scenes, size)


def measure_falls(path: Path, scenes: Scenes) -> dict[str, float]:
    """Measures what each precision costs on this machine, by the engine that users run, and adds it to the file.

    Args:
        path: a finder's checkpoint; written anew.
        scenes: see `judged_scenes`.

    Returns:
        Precision to the fall in average precision against fp32, 0 to 1, the larger one of both kinds of scene; negative
        where it rises. A precision that this machine does not compute is not in it.
    """
    checkpoint = read_finder(path)
    scores = {}
    for precision in ("fp32", *_LOSSY_PRECISIONS):
        try:
            side = scenes["plain"][0].pixels.shape[0]
            # Not from the cache of compiled models: this checkpoint is not the final one.
            engine = open_engine(
                checkpoint, engine="openvino", precision=precision, batch_size=_BATCH, side=side, cached=False
            )
        except (ValueError, FerFastError) as error:
            log.info("precision %s is not measured: %s", precision, error)
            continue
        try:
            scores[precision] = _average_precisions(engine.infer, scenes, JUDGED)
        finally:
            engine.close()
    first = scores.pop("fp32")
    falls = {precision: round(max(first[name] - each[name] for name in first), 6) for precision, each in scores.items()}
    write_checkpoint(path, dataclasses.replace(checkpoint.config, precision_falls=falls), checkpoint.tensors)
    return falls


def labelled(scene: Scene) -> LabelledPhoto:
    """A scene's boxes as the evaluation takes them."""
    boxes = np.concatenate([scene.faces[:, :4], scene.doubtful])
    return LabelledPhoto(Path(), boxes, np.arange(len(boxes)) < len(scene.faces))


def _average_precisions(infer: Callable[[Pixels], Cells], scenes: Scenes, size: Size) -> dict[str, float]:
    scored = {}
    for name, each in scenes.items():
        judged = judge(_found(infer, each), [labelled(scene) for scene in each], size)
        scored[name] = judged.average_precision() or 0.0
    return scored


def _found(infer: Callable[[Pixels], Cells], scenes: Sequence[Scene]) -> list[Boxes]:
    """Of each scene what is found: float64 [faces, 5], x, y, width, height, score."""
    found = []
    for start in range(0, len(scenes), _BATCH):
        pixels = np.stack([scene.pixels for scene in scenes[start : start + _BATCH]])
        for cells in infer(pixels):
            faces = native.core().faces_in(cells, pixels.shape[1], pixels.shape[2], LOWEST_SCORE)
            found.append(faces[:, [0, 1, 2, 3, 14]].astype(np.float64))
    return found

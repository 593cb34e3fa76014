"""One training run of a face finder, saved so that it goes on where it was stopped; it ends in a checkpoint."""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_fast.models.batch_norm import channels_last
from fer_fast.models.files.checkpoint import write_checkpoint
from fer_fast.models.finder.config import FinderConfig
from fer_fast.models.finder.network import FinderNetwork
from fer_fast.train.finder.degrade import degraded
from fer_fast.train.finder.judged import average_precisions, judged_scenes, measure_falls
from fer_fast.train.finder.loss import cells_of, finder_loss
from fer_fast.train.finder.material import Picture
from fer_fast.train.finder.recipe import FinderRecipe
from fer_fast.train.finder.scenes import Scene, compose
from fer_fast.train.record import LEARNT, load_state, save_state

log = logging.getLogger(__name__)

#: Seconds between two saved states: the most that a killed run loses.
SAVE_SECONDS = 120.0
#: Steps between two reports.
LOG_STEPS = 50
#: Steps whose scenes are composed ahead, so that the network need not wait.
AHEAD = 4


class FinderTraining:
    """A resumable run. State is saved under `out` and taken up again by the next call with the same arguments.

    Args:
        recipe: every setting.
        learn: pictures to learn from.
        judged: pictures to choose by.
        cut: pictures of one face, to be set into scenes; may be empty.
        start: the network to start from, which also teaches; not changed.
        origin: of the result, in a sentence.
        out: folder of the run.

    Raises:
        ValueError: if there is no picture with a face to learn from, or to choose by.
    """

    def __init__(
        self,
        recipe: FinderRecipe,
        learn: Sequence[Picture],
        judged: Sequence[Picture],
        cut: Sequence[Picture],
        start: FinderNetwork,
        origin: str,
        out: Path,
    ) -> None:
        for name, pictures in (("to learn from", learn), ("to choose by", judged)):
            if not any(len(picture.faces) for picture in pictures):
                raise ValueError(f"photos must hold a face that the teacher finds; of those {name} none does")
        self.recipe, self.learn, self.judged, self.cut = recipe, learn, judged, cut
        self.origin, self.out = origin, out
        self.teacher = copy.deepcopy(start).eval().requires_grad_(False)
        self.live = copy.deepcopy(start).train().requires_grad_(True)
        for network in (self.teacher, self.live):
            channels_last(network)  # as images come; a step takes half the time
        average = get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.live, multi_avg_fn=average)
        self.optimizer = torch.optim.AdamW(self.live.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.identity = f"{recipe} from {_digest(start, learn, cut)}"
        self.done = 0

    def run(self, report: Callable[[dict[str, Any]], None]) -> Path:
        """Trains to the end, from wherever an earlier call stopped.

        Args:
            report: hears of the losses, and in the end of the scores by share of the learnt weights.

        Returns:
            The checkpoint.

        Raises:
            ValueError: if `out` holds a run of another recipe or of other pictures.
            FerFastError: if its state is damaged, or a file cannot be written.
            ArithmeticError: if the loss is no longer finite.
        """
        self._load()
        sums: dict[str, float] = {}
        saved = started = time.monotonic()
        for scenes, pixels in self._batches():
            for name, value in self._advance(scenes, pixels).items():
                sums[name] = sums.get(name, 0.0) + value / LOG_STEPS
            self.done += 1
            if self.done % LOG_STEPS == 0:
                seconds = (time.monotonic() - started) / LOG_STEPS
                report({"step": self.done, "seconds": round(seconds, 3)} | {k: round(v, 4) for k, v in sums.items()})
                sums, started = {}, time.monotonic()
            if time.monotonic() - saved > SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        self._save()
        return self._finish(report)

    def _batches(self) -> Iterator[tuple[list[Scene], Tensor]]:
        """Scenes of the steps to come, and what the network sees of them."""

        def make(step: int) -> tuple[list[Scene], Tensor]:
            size = self.recipe.batch_size
            seeds = [(self.recipe.seed * 10_000_019 + step) * size + place for place in range(size)]
            scenes = [compose(self.learn, self.cut, self.recipe.composition, seed) for seed in seeds]
            seen = [
                degraded(each.pixels, self.recipe.degradation, seed) for each, seed in zip(scenes, seeds, strict=True)
            ]
            return scenes, torch.from_numpy(np.stack(seen))

        with ThreadPoolExecutor(1) as pool:
            steps = range(self.done, self.recipe.steps)
            waiting = [pool.submit(make, step) for step in steps[:AHEAD]]
            for step in steps:
                if step + AHEAD < self.recipe.steps:
                    waiting.append(pool.submit(make, step + AHEAD))
                yield waiting.pop(0).result()

    def _advance(self, scenes: list[Scene], seen: Tensor) -> dict[str, float]:
        with torch.no_grad():
            clean = torch.from_numpy(np.stack([scene.pixels for scene in scenes]))
            taught = cells_of(self.teacher.raw(clean))
        said = cells_of(self.live.raw(seen))
        losses = finder_loss(said, taught, [_corners(scene.faces) for scene in scenes], self.recipe.distillation)
        loss = torch.stack([*losses.values()]).sum()
        if not math.isfinite(loss.item()):
            raise ArithmeticError(f"the loss is {loss.item()} at step {self.done}: lower the learning rate")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.live.parameters(), 10.0)
        self.optimizer.step()
        self.scheduler.step()
        self.averaged.update_parameters(self.live)
        return {name: value.item() for name, value in losses.items()}

    def _rate(self, step: int) -> float:
        steps = self.recipe.steps
        return min((step + 1) / max(1, steps // 20), 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))

    def _finish(self, report: Callable[[dict[str, Any]], None]) -> Path:
        """Writes the mean of learnt and first weights that finds most, and loses nothing in what is not degraded."""
        scenes = judged_scenes(self.judged, self.recipe)
        networks = {share: self.blended(share) for share in (0.0, *self.recipe.shares)}
        scores = {share: average_precisions(network, scenes) for share, network in networks.items()}
        for share, each in scores.items():
            report({"share": share} | {name: round(value, 4) for name, value in each.items()})
        kept = [share for share in scores if scores[share]["plain"] >= scores[0.0]["plain"]]
        best = max(kept, key=lambda share: scores[share]["degraded"])
        if best == 0:
            log.warning("nothing that was learnt finds more than the start: the checkpoint has the start's weights")
        path = self.out / "finder.safetensors"
        write_network(networks[best], self.origin, path)
        report({f"{name} falls by": fall for name, fall in measure_falls(path, scenes).items()})
        return path

    def blended(self, share: float) -> FinderNetwork:
        """The start's weights with a share of the learnt ones, in eval mode."""
        network = copy.deepcopy(self.teacher)
        learnt = self.averaged.module.state_dict()
        network.load_state_dict(
            {name: tensor.lerp(learnt[name], share) for name, tensor in network.state_dict().items()}
        )
        return network.eval()

    def _save(self) -> None:
        state = {part: getattr(self, part).state_dict() for part in LEARNT}
        save_state(self.out / "state.pt", {"run": self.identity, "done": self.done, **state})

    def _load(self) -> None:
        state = load_state(self.out / "state.pt", self.identity, "photos", ("done", *LEARNT))
        if state is None:
            return
        self.done = state.pop("done")
        for part, values in state.items():
            getattr(self, part).load_state_dict(values)


def write_network(network: FinderNetwork, origin: str, path: Path) -> None:
    """Writes a finder's checkpoint.

    Raises:
        OutputError: if it cannot be written.
    """
    tensors = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(path, FinderConfig(origin=origin), tensors)


def _corners(faces: np.ndarray) -> Tensor:
    """Boxes as left, top, right, bottom, and the landmarks: float [n, 14]."""
    boxes = np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4], faces[:, 4:14]], axis=1)
    return torch.from_numpy(boxes.astype(np.float32))


def _digest(start: nn.Module, learn: Sequence[Picture], cut: Sequence[Picture]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in start.state_dict().values():
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    for picture in (*learn, *cut):
        digest.update(picture.pixels.tobytes())
    return digest.hexdigest()

"""One training run, saved so that it goes on exactly where it was stopped; it ends in calibrated checkpoints."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_fast.datasets.hard_views import hard_faces
from fer_fast.datasets.resized import as_pixels, plain
from fer_fast.machine.extras import need
from fer_fast.models.batch_norm import channels_last
from fer_fast.models.network import Network
from fer_fast.train.augment import Augment, mixed
from fer_fast.train.autocast import autocast
from fer_fast.train.calibrate import RANGE_FACES, measure_falls, save_calibrated
from fer_fast.train.curves import draw_curves
from fer_fast.train.faces import Faces, spread
from fer_fast.train.learner import Learner, balance_weights, seen_mix, weighted_loss
from fer_fast.train.recipe import Recipe, Stage
from fer_fast.train.record import LOG_FIELDS, Log, keep, load_state, save_state
from fer_fast.train.start import Start
from fer_fast.types import MissingExtraError

log = logging.getLogger(__name__)

#: Seconds between two saved states: the most that a killed run loses.
SAVE_SECONDS = 180.0
#: Steps between two rows of the log.
LOG_STEPS = 50


@dataclass(frozen=True)
class Step:
    """Where a run is: the step's number, its epoch, its place in the epoch and the stage's settings."""

    number: int
    epoch: int
    place: int
    stage: Stage
    last_of_epoch: bool


class Training:
    """A resumable run. State is saved under `out` and taken up again by the next call with the same arguments.

    Args:
        recipe: every setting.
        train: faces to learn from.
        valid: faces to validate on.
        out: folder of the run.
        start: what to start from (`start.new_start`, `start.tuned_start`).
        device: "cpu" or "cuda".

    Raises:
        ValueError: if there are fewer images than a batch holds.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Faces,
        valid: Faces,
        out: Path,
        start: Start,
        device: str = "cpu",
    ) -> None:
        if len(train) < recipe.batch_size or len(valid) == 0:
            raise ValueError(
                f"train must hold batch_size {recipe.batch_size} labelled images or more, and valid one or more; "
                f"they hold {len(train)} and {len(valid)}"
            )
        last, size = recipe.stages[-1], start.model.config.image_size
        if last.part == "all" and last.image_size not in (0, size):
            raise ValueError(f"the last stage must train at the model's image_size {size}, not {last.image_size}")
        self.recipe, self.train, self.valid, self.out = recipe, train, valid, out
        self.device = torch.device(device)
        torch.manual_seed(recipe.seed)
        self.live = Learner(start.model, frozen=recipe.backbone_learning_rate == 0).to(self.device)
        channels_last(self.live)
        self.averaged = AveragedModel(self.live, multi_avg_fn=_averaging(recipe.average_decay), use_buffers=True)
        self.augment = Augment(recipe.augmentation)
        self.hard = hard_faces(valid.pixels) if recipe.augmentation.hard_chance else None
        self.weights = balance_weights(train.targets, recipe.balance).to(self.device)
        self.steps = list(_plan(recipe, len(train)))
        self.optimizer, self.scheduler = _optimizer(recipe, self.live, start.new_stages, len(self.steps))
        self.identity = _identity(recipe, train, valid, self.live)
        self.done = 0
        # The largest validation accuracy so far, with hard ones the mean of both; of equals, the smaller loss, negated.
        self.best = (-1.0, 0.0)
        self.losses: list[float] = []  # of the steps since the last row of the log

    @property
    def result(self) -> Network:
        """The averaged model."""
        model = self.averaged.module.model
        assert isinstance(model, Network)
        return model

    def run(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Trains to the end, from wherever an earlier call stopped; `report` gets each row of the log.

        Raises:
            ValueError: if `out` holds a run of another recipe or other data.
            FerFastError: if its state is damaged, or a file cannot be written.
            ArithmeticError: if the loss is no longer finite.
        """
        self._load()
        rows = Log(self.out / "log.csv", self.done)
        saved = started = time.monotonic()
        first = self.done
        for step in self.steps[self.done :]:
            self.losses.append(self._advance(step))
            self.done = step.number + 1
            if step.last_of_epoch or self.done % LOG_STEPS == 0:
                row = self._row(step, (self.done - first) / (time.monotonic() - started))
                self.losses, first, started = [], self.done, time.monotonic()
                rows.add(row)
                report(row)
            if step.last_of_epoch:
                self._draw(rows)
            if step.last_of_epoch or time.monotonic() - saved > SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        self._finish()

    def _advance(self, step: Step) -> float:
        recipe, size = self.recipe, self._size(step.stage)
        order = torch.randperm(len(self.train), generator=_generator(recipe.seed, step.epoch))
        chosen = order[step.place * recipe.batch_size :][: recipe.batch_size]
        # Views, mixup and stochastic depth of this step, so that a resumed run draws what an unbroken one would.
        torch.manual_seed(_generator(recipe.seed, step.number, 1).initial_seed())
        faces, targets = (tensor[chosen].to(self.device) for tensor in (self.train.pixels, self.train.targets))
        images, targets = mixed(self.augment(faces, size), targets, recipe.augmentation.mixup)
        self.live.train()
        # The fused attention's backward pass takes 3.4 times as long on a CPU at these few tokens.
        with autocast(self.device), sdpa_kernel(SDPBackend.MATH):
            logits = self.live(images, step.stage.part)
        loss = weighted_loss(logits, targets, self.weights, recipe.auxiliary_weight)
        value = loss.item()
        if not math.isfinite(value):
            raise ArithmeticError(f"the loss is {value} at step {step.number}: lower the learning rate")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if not nn.utils.clip_grad_norm_(self.live.parameters(), 1.0).isfinite():
            raise ArithmeticError(f"the gradient is not finite at step {step.number}: lower the learning rate")
        self.optimizer.step()
        self.scheduler.step()
        self.averaged.update_parameters(self.live)
        return value

    def _row(self, step: Step, steps_per_second: float) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(LOG_FIELDS)
        row.update(
            step=step.number + 1,
            epoch=step.epoch + 1,
            image_size=self._size(step.stage),
            loss=round(sum(self.losses) / len(self.losses), 4),
            learning_rate=self.scheduler.get_last_lr()[-1],
            images_per_second=round(steps_per_second * self.recipe.batch_size, 1),
        )
        if step.last_of_epoch:
            logits = self.predict(step.stage, self.valid.pixels)
            accuracy = self._accuracy(logits)
            loss = F.cross_entropy(logits, self.valid.targets).item()
            row["valid_nll"], row["valid_accuracy"] = round(loss, 4), round(accuracy, 4)
            if self.hard is not None:
                hard = self._accuracy(self.predict(step.stage, self.hard))
                row["hard_accuracy"], accuracy = round(hard, 4), (accuracy + hard) / 2
            self._keep(step.stage, logits, (accuracy, -loss))
        return row

    def _accuracy(self, logits: Tensor) -> float:
        return (logits.argmax(dim=1) == self.valid.labels).float().mean().item()

    @torch.no_grad()
    def predict(self, stage: Stage, faces: Tensor) -> Tensor:
        """Logits of the averaged model, float32 [images, classes], of uint8 [images, channels, height, width]."""
        self.averaged.eval()
        chunks = []
        for batch in torch.split(faces, 256):
            images = plain(batch.to(self.device), self._size(stage))
            with autocast(self.device):
                logits = self.averaged(images, "backbone")[0] if stage.part == "backbone" else self.result(images)
            chunks.append(logits.float().cpu())
        return torch.cat(chunks)

    def _keep(self, stage: Stage, logits: Tensor, score: tuple[float, float]) -> None:
        """Keeps what an epoch gave: the backbone while only that is trained, else the best model so far."""
        if stage.part == "backbone":
            assert self.result.backbone is not None
            tensors = {name: tensor.cpu().contiguous() for name, tensor in self.result.backbone.state_dict().items()}
            keep(self.out / "backbone.safetensors", save(tensors))
        elif score > self.best and self._size(stage) == self.result.config.image_size:
            self.best = score
            self._save_model(logits, self.out / "best.safetensors")

    def _draw(self, rows: Log) -> None:
        try:
            need("curves.png", "train", modules=("matplotlib",))
        except MissingExtraError as error:
            log.warning("curves are not drawn: %s", error)
        else:
            draw_curves(rows.rows, self.out / "curves.png")

    def _save_model(self, logits: Tensor, path: Path) -> None:
        """Calibrates the averaged model by its validation logits and writes it, with the mix that its loss saw."""
        model, size = copy.deepcopy(self.result).cpu().eval(), self.result.config.image_size
        faces = as_pixels(spread(self.train.pixels, RANGE_FACES), size)
        model.config = dataclasses.replace(model.config, prior=seen_mix(self.train.targets, self.weights.cpu()))
        save_calibrated(model, logits, self.valid.labels, faces, path)

    def _finish(self) -> None:
        """Keeps the last model, and adds what each precision costs to both."""
        last = self.recipe.stages[-1]
        if last.part == "backbone":
            return
        paths = [self.out / "last.safetensors", self.out / "best.safetensors"]
        self._save_model(self.predict(dataclasses.replace(last, image_size=0), self.valid.pixels), paths[0])
        pixels = as_pixels(self.valid.pixels, self.result.config.image_size)
        for path in filter(Path.exists, paths):
            falls = measure_falls(path, pixels, self.valid.labels, self.device.type)
            told = ", ".join(f"{name} {100 * fall:.2f}" for name, fall in falls.items())
            log.info("%s: what precisions cost, in points on the validation images: %s", path.name, told)

    def _size(self, stage: Stage) -> int:
        return stage.image_size or self.result.config.image_size

    def _save(self) -> None:
        state = {part: getattr(self, part).state_dict() for part in ("live", "averaged", "optimizer", "scheduler")}
        place = {"run": self.identity, "done": self.done, "best": self.best, "losses": self.losses}
        save_state(self.out / "state.pt", {**place, **state})

    def _load(self) -> None:
        state = load_state(self.out / "state.pt")
        if state is None:
            return
        if state.pop("run") != self.identity:
            raise ValueError(
                f"out must be a new folder: {str(self.out)!r} holds a run of another recipe, of other data, "
                "or from another start"
            )
        self.done, self.best, self.losses = state.pop("done"), state.pop("best"), state.pop("losses")
        for part, values in state.items():
            getattr(self, part).load_state_dict(values)


def _averaging(decay: float) -> Callable[..., None]:
    """An exponential average that forgets its first steps: its reach grows to a fifth of the steps so far at most."""

    def average(averaged: list[Tensor], live: list[Tensor], steps: Tensor) -> None:
        done = float(steps)
        get_ema_multi_avg_fn(min(decay, done / (done + 5)))(averaged, live, steps)  # type: ignore[no-untyped-call]

    return average


def _identity(recipe: Recipe, train: Faces, valid: Faces, start: nn.Module) -> str:
    """What a saved state must have in common with a run: recipe, faces, classes and the weights at the start.

    Of the weights the matrices alone: norms are measured, and may differ in the last bit with the number of threads.
    """
    digest = hashlib.blake2b(digest_size=16)
    for faces in (train, valid):
        digest.update("\n".join(faces.classes).encode())
        for tensor in (faces.pixels, faces.targets, faces.labels):
            digest.update(tensor.contiguous().numpy().tobytes())
    for name, tensor in start.named_parameters():
        if tensor.ndim > 1:
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"{recipe} from {digest.hexdigest()}"


def _plan(recipe: Recipe, images: int) -> Iterator[Step]:
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


def _optimizer(
    recipe: Recipe, learner: Learner, new_stages: tuple[str, ...], steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW; biases, norms and positions are not decayed; pre-trained layers learn at a rate of their own."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        pretrained = ".backbone." in name and not any(f".{stage}." in name for stage in new_stages)
        decayed = parameter.ndim > 1 and "pos_embed" not in name
        if parameter.requires_grad:
            groups.setdefault((pretrained, decayed), []).append(parameter)
    rates = {key: recipe.backbone_learning_rate if key[0] else recipe.learning_rate for key in groups}
    optimizer = torch.optim.AdamW(
        [
            {"params": parameters, "lr": rates[key], "weight_decay": recipe.weight_decay if key[1] else 0.0}
            for key, parameters in groups.items()
        ]
    )
    return optimizer, schedule(recipe, optimizer, steps)


def schedule(recipe: Recipe, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The recipe's course of the learning rate over `steps`; each group's own rate is its largest."""
    if recipe.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    rise = 0.2 if steps != 5 else 0.3  # a rise of one step is a division by zero in torch
    rates = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rates, total_steps=steps, pct_start=rise, cycle_momentum=False
    )


def _generator(*seeds: int) -> torch.Generator:
    """A generator of its own for each purpose and step."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + seed + 1) % (2**62)
    return torch.Generator().manual_seed(mixed)

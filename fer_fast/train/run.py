"""One training run: a recipe and FERPlus come in, a log and the averaged model's checkpoint go out."""

from __future__ import annotations

import copy
import csv
import dataclasses
import logging
import math
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer_fast.models.backbone import TAP_CHANNELS, channels_last
from fer_fast.models.fusion import FusionModel
from fer_fast.models.storage import save_model
from fer_fast.train.augment import augmented, plain
from fer_fast.train.calibrate import fit_temperature, ranges_within_gate
from fer_fast.train.ferplus import Split
from fer_fast.train.recipe import Recipe, Stage
from fer_fast.train.start import measure_statistics, start_backbone
from fer_fast.types import FerFastError

log = logging.getLogger(__name__)

#: Seconds between two saved states: the most that a killed run loses.
SAVE_SECONDS = 180.0
LOG_FIELDS = (
    "step",
    "epoch",
    "image_size",
    "loss",
    "learning_rate",
    "images_per_second",
    "valid_nll",
    "valid_accuracy",
)


@dataclass(frozen=True)
class Step:
    """Where a run is: the step's number, its epoch, its place in the epoch and the stage's settings."""

    number: int
    epoch: int
    place: int
    stage: Stage
    last_of_epoch: bool


class TrainingModel(nn.Module):
    """The model and its auxiliary head on the deepest tap, which is not kept."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model
        self.auxiliary = nn.Linear(TAP_CHANNELS[model.config.taps[-1]], len(model.config.classes))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and auxiliary logits, both [batch, classes], of float images [batch, 3, size, size]."""
        sources = self.model.sources(images)
        return self.model.vit(self.model.fuse(sources)), self.auxiliary(sources[-1].mean(dim=(2, 3)))


class Training:
    """A resumable run. State is saved under `out` and taken up again by the next call with the same arguments.

    Args:
        recipe: every setting.
        train: images and votes to learn from; protocol `argmax10` chooses among them.
        valid: images and votes to validate on, same protocol.
        out: folder of the run.
        weights: pre-trained ResNet-18 tensors.

    Raises:
        ValueError: if there are fewer images than a batch holds, or `weights` do not fit.
    """

    def __init__(self, recipe: Recipe, train: Split, valid: Split, out: Path, weights: dict[str, Tensor]) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.out = recipe, out
        self.faces, self.targets, _ = _tensors(train)
        self.valid_faces, self.valid_targets, self.valid_labels = _tensors(valid)
        if len(self.faces) < recipe.batch_size or len(self.valid_faces) == 0:
            raise ValueError(
                f"train must hold batch_size {recipe.batch_size} labelled images or more, and valid one or more; "
                f"they hold {len(self.faces)} and {len(self.valid_faces)}"
            )
        model = FusionModel(recipe.config, recipe.drop_path)
        assert model.backbone is not None, "a recipe's preset has taps"
        start_backbone(model.backbone, weights)
        measure_statistics(model, plain(self.faces[:256], recipe.stages[-1].image_size))
        self.live = TrainingModel(model)
        channels_last(self.live)
        average = get_ema_multi_avg_fn(recipe.average_decay)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.live, multi_avg_fn=average, use_buffers=True)
        self.steps = list(_plan(recipe, len(self.faces)))
        self.optimizer, self.scheduler = _optimizer(recipe, self.live, len(self.steps))
        self.done = 0
        self.losses: list[float] = []  # of the steps since the last row of the log

    @property
    def result(self) -> FusionModel:
        """The averaged model."""
        model = self.averaged.module.model
        assert isinstance(model, FusionModel)
        return model

    def run(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Trains to the end, from wherever an earlier call stopped; `report` gets each row of the log.

        Raises:
            ValueError: if `out` holds a run of another recipe or other data.
            FerFastError: if its state is damaged.
            ArithmeticError: if the loss is no longer finite.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self._load()
        self._trim_log()
        saved = started = time.monotonic()
        first = self.done
        for step in self.steps[self.done :]:
            self.losses.append(self._advance(step))
            self.done = step.number + 1
            if step.last_of_epoch or step.number % 50 == 49:
                row = self._row(step, (self.done - first) / (time.monotonic() - started))
                self.losses, first, started = [], self.done, time.monotonic()
                self._log(row)
                report(row)
            if step.last_of_epoch or time.monotonic() - saved > SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        self._finish()

    def _finish(self) -> None:
        """Calibrates the averaged model, measures what int8 needs, and keeps it."""
        size = self.recipe.config.image_size
        logits = self.predict(self.valid_faces, size)
        model = copy.deepcopy(self.result).eval()
        model.config = dataclasses.replace(self.recipe.config, temperature=fit_temperature(logits, self.valid_labels))
        faces, valid = (
            plain(images, size).byte().permute(0, 2, 3, 1) for images in (self.faces[:512], self.valid_faces)
        )
        ranges, fall = ranges_within_gate(model, faces, valid, self.valid_labels)
        log.info("int8 costs %.2f points on the validation images%s", 100 * fall, "" if ranges else ": not offered")
        model.config = dataclasses.replace(model.config, activation_ranges=ranges)
        save_model(model, self.out / "model.safetensors")

    def _advance(self, step: Step) -> float:
        order = torch.randperm(len(self.faces), generator=_generator(self.recipe.seed, step.epoch, 0))
        chosen = order[step.place * self.recipe.batch_size :][: self.recipe.batch_size]
        torch.manual_seed(self.recipe.seed * 1_000_003 + step.number)  # stochastic depth
        generator = _generator(self.recipe.seed, step.number, 1)
        images = augmented(self.faces[chosen], step.stage.image_size, self.recipe.augmentation, generator)
        self.live.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits, auxiliary = self.live(images)
        targets = self.targets[chosen]
        loss = F.cross_entropy(logits.float(), targets)
        loss = loss + self.recipe.auxiliary_weight * F.cross_entropy(auxiliary.float(), targets)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.live.parameters(), 1.0)
        self.optimizer.step()
        self.scheduler.step()
        self.averaged.update_parameters(self.live)
        value = loss.item()
        if not math.isfinite(value):
            raise ArithmeticError(f"the loss is {value} at step {step.number}: lower the learning rate")
        return value

    def _row(self, step: Step, steps_per_second: float) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(LOG_FIELDS)
        row.update(
            step=step.number + 1,
            epoch=step.epoch + 1,
            image_size=step.stage.image_size,
            loss=round(sum(self.losses) / len(self.losses), 4),
            learning_rate=self.scheduler.get_last_lr()[-1],
            images_per_second=round(steps_per_second * self.recipe.batch_size, 1),
        )
        if step.last_of_epoch:
            logits = self.predict(self.valid_faces, step.stage.image_size)
            row["valid_nll"] = round(F.cross_entropy(logits, self.valid_targets).item(), 4)
            row["valid_accuracy"] = round((logits.argmax(dim=1) == self.valid_labels).float().mean().item(), 4)
        return row

    @torch.no_grad()
    def predict(self, faces: Tensor, size: int) -> Tensor:
        """Logits of the averaged model, float32 [images, classes], for uint8 [images, height, width]."""
        self.averaged.eval()
        chunks = []
        for batch in torch.split(faces, 256):
            with torch.autocast("cpu", torch.bfloat16):
                chunks.append(self.averaged(plain(batch, size))[0].float())
        return torch.cat(chunks)

    def _log(self, row: dict[str, Any]) -> None:
        path = self.out / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def _trim_log(self) -> None:
        """Drops the rows of steps that were done after the last saved state: they are done again."""
        path = self.out / "log.csv"
        if not path.exists():
            return
        header, *rows = path.read_text().splitlines(keepends=True)
        steps = [row.partition(",")[0] for row in rows]
        kept = [row for row, step in zip(rows, steps, strict=True) if step.isdigit() and int(step) <= self.done]
        path.write_text("".join([header, *kept]))

    def _save(self) -> None:
        state = {part: getattr(self, part).state_dict() for part in ("live", "averaged", "optimizer", "scheduler")}
        partial = self.out / "state.pt.partial"
        torch.save({"run": self._run(), "done": self.done, "losses": self.losses, **state}, partial)
        partial.replace(self.out / "state.pt")

    def _load(self) -> None:
        path = self.out / "state.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise FerFastError(f"state {str(path)!r} is damaged; a run without it starts anew: {error}") from error
        if state.pop("run", self._run()) != self._run():
            raise ValueError(f"out must be a new folder: {str(self.out)!r} holds a run of another recipe or other data")
        self.done, self.losses = state.pop("done"), state.pop("losses", [])
        for part, values in state.items():
            getattr(self, part).load_state_dict(values)

    def _run(self) -> str:
        """What a saved state must have in common with this run."""
        return f"{self.recipe} on {len(self.faces)} images"


def _tensors(split: Split) -> tuple[Tensor, Tensor, Tensor]:
    """Faces uint8 [n, 48, 48], vote distributions float32 [n, 8] and labels int64 [n] by protocol argmax10."""
    indices, labels = split.selection("argmax10")
    votes = torch.from_numpy(split.votes[indices, :8])
    targets = votes / votes.sum(dim=1, keepdim=True)
    return torch.from_numpy(split.pixels[indices]), targets, torch.from_numpy(labels)


def _plan(recipe: Recipe, images: int) -> Iterator[Step]:
    """Every step of the run; a last, smaller batch of an epoch is left out."""
    per_epoch = images // recipe.batch_size
    epochs = [stage for stage in recipe.stages for _ in range(stage.epochs)]
    for epoch, stage in enumerate(epochs):
        for place in range(per_epoch):
            yield Step(epoch * per_epoch + place, epoch, place, stage, place == per_epoch - 1)


def _optimizer(
    recipe: Recipe, model: TrainingModel, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW with one cycle; biases, norms and positions are not decayed; pre-trained layers learn slower."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        pretrained = ".backbone." in name and ".layer4." not in name
        decayed = parameter.ndim > 1 and "pos_embed" not in name
        groups.setdefault((pretrained, decayed), []).append(parameter)
    rates = {key: recipe.backbone_learning_rate if key[0] else recipe.learning_rate for key in groups}
    optimizer = torch.optim.AdamW(
        [
            {"params": parameters, "lr": rates[key], "weight_decay": recipe.weight_decay if key[1] else 0.0}
            for key, parameters in groups.items()
        ]
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=list(rates.values()), total_steps=steps, pct_start=0.2, cycle_momentum=False
    )
    return optimizer, scheduler


def _generator(*seeds: int) -> torch.Generator:
    """A generator of its own for each step, so that a resumed run draws what an unbroken one would."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + seed + 1) % (2**62)
    return torch.Generator().manual_seed(mixed)

"""One training run, saved so that it goes on exactly where it was stopped; it ends in calibrated checkpoints."""

from __future__ import annotations

import copy
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel

from fer_fast.datasets.hard_views import hard_faces
from fer_fast.datasets.resized import as_pixels, plain
from fer_fast.machine.extras import need
from fer_fast.models.batch_norm import channels_last
from fer_fast.models.files.storage import save_model
from fer_fast.models.network import Network
from fer_fast.train.augment import Augment, mixed
from fer_fast.train.autocast import autocast
from fer_fast.train.calibrate import RANGE_FACES, measure_falls, save_calibrated
from fer_fast.train.curves import draw_curves
from fer_fast.train.faces import Faces, in_parts, spread
from fer_fast.train.feature_loss import FeatureLoss, share_at
from fer_fast.train.identity import generator_of, identity_of
from fer_fast.train.kept_features import KeptFeatures
from fer_fast.train.learner import Learner, balance_weights, seen_mix, weighted_loss
from fer_fast.train.optimizer import averaging, new_optimizer
from fer_fast.train.plan import Step, planned, step_count
from fer_fast.train.recipe import Recipe, Stage
from fer_fast.train.record import LEARNT, LOG_FIELDS, Log, keep, load_state, save_state
from fer_fast.train.start import Start
from fer_fast.types import FerFastError, MissingExtraError

log = logging.getLogger(__name__)

#: Seconds between two saved states: the most that a killed run loses.
SAVE_SECONDS = 180.0
#: Steps between two rows of the log.
LOG_STEPS = 50
#: The folder in a run's that the models of its epochs are kept in.
EPOCHS = "epochs"


class Training:
    """A resumable run. State is saved under `out` and taken up again by the next call with the same arguments.

    Args:
        recipe: every setting.
        train: faces to learn from.
        valid: faces to validate on.
        out: folder of the run.
        start: what to start from (`start.new_start`, `start.tuned_start`).
        device: "cpu" or "cuda".
        keep_every: epochs from one kept model to the next, the start's being the first; 0 keeps none.
        features: of `train`, as `handcrafted.described` has them; those of the recipe's `feature_loss`.
        kept: what the frozen backbone gives, of `train` and of `valid`: the rest is trained on it, images are not
            looked at, and neither int8's ranges nor what precisions cost are measured.

    Raises:
        ValueError: if there are fewer images than a batch holds, or the features are not the recipe's.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Faces,
        valid: Faces,
        out: Path,
        start: Start,
        device: str = "cpu",
        keep_every: int = 0,
        features: Mapping[str, Tensor] = MappingProxyType({}),
        kept: tuple[KeptFeatures, KeptFeatures] | None = None,
    ) -> None:
        if len(train) < recipe.batch_size or len(valid) == 0:
            raise ValueError(
                f"train must hold batch_size {recipe.batch_size} labelled images or more, and valid one or more; "
                f"they hold {len(train)} and {len(valid)}"
            )
        last, size = recipe.stages[-1], start.model.config.image_size
        if last.part == "all" and last.image_size not in (0, size):
            raise ValueError(f"the last stage must train at the model's image_size {size}, not {last.image_size}")
        self.recipe, self.train, self.valid, self.out, self.kept = recipe, train, valid, out, kept
        self.device, self.keep_every = torch.device(device), keep_every
        torch.manual_seed(recipe.seed)
        if {*features} != {*recipe.feature_loss}:
            raise ValueError(f"features must be those of feature_loss {[*recipe.feature_loss]}, not {[*features]}")
        self.features = features
        bias = _feature_loss(recipe, start.model, features) if features else None
        self.live = Learner(start.model, recipe.backbone_learning_rate == 0, bias).to(self.device)
        channels_last(self.live)
        self.averaged = AveragedModel(self.live, multi_avg_fn=averaging(recipe.average_decay), use_buffers=True)
        self.augment = Augment(recipe.augmentation)
        self.hard = hard_faces(valid.pixels) if recipe.augmentation.hard_chance else None
        self.weights = balance_weights(train.targets, recipe.balance).to(self.device)
        steps = step_count(recipe, len(train))
        self.optimizer, self.scheduler = new_optimizer(recipe, self.live, start.new_stages, steps)
        self.identity = identity_of(recipe, train, valid, self.live, start.model.config.image_size)
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
        if not self.done:
            self._keep_epoch(0)
        for step in islice(planned(self.recipe, len(self.train)), self.done, None):
            self.losses.append(self._advance(step))
            self.done = step.number + 1
            if step.last_of_epoch or self.done % LOG_STEPS == 0:
                row = self._row(step, (self.done - first) / (time.monotonic() - started))
                self.losses, first, started = [], self.done, time.monotonic()
                rows.add(row)
                report(row)
            if step.last_of_epoch:
                self._draw(rows)
                self._keep_epoch(step.epoch + 1)
            if step.last_of_epoch or time.monotonic() - saved > SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        self._finish()

    def _advance(self, step: Step) -> float:
        recipe, size = self.recipe, self._size(step.stage)
        order = torch.randperm(len(self.train), generator=generator_of(recipe.seed, step.epoch))
        chosen = order[step.place * recipe.batch_size :][: recipe.batch_size]
        # Views, mixup and stochastic depth of this step, so that a resumed run draws what an unbroken one would.
        torch.manual_seed(generator_of(recipe.seed, step.number, 1).initial_seed())
        self.live.train()
        logits, targets = self._answers(step, chosen)
        loss = weighted_loss(logits, targets, self.weights, recipe.auxiliary_weight)
        value = loss.item()
        if share := self._feature_share(step):
            loss = loss + share * self._feature_loss(chosen, size)
        if not loss.isfinite():
            raise ArithmeticError(f"the loss is {loss.item()} at step {step.number}: lower the learning rate")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if not nn.utils.clip_grad_norm_(self.live.parameters(), 1.0).isfinite():
            raise ArithmeticError(f"the gradient is not finite at step {step.number}: lower the learning rate")
        self.optimizer.step()
        self.scheduler.step()
        self.averaged.update_parameters(self.live)
        return value

    def _answers(self, step: Step, chosen: Tensor) -> tuple[list[Tensor], Tensor]:
        """Logits of some training faces, and their targets."""
        targets = self.train.targets[chosen].to(self.device)
        if self.kept:
            features = self.kept[0](chosen).to(self.device)
            with autocast(self.device):
                return self.live.of_features(features), targets
        views = self.augment(self.train.pixels[chosen].to(self.device), self._size(step.stage))
        images, targets = mixed(views, targets, self.recipe.augmentation.mixup)
        # The fused attention's backward pass takes 3.4 times as long on a CPU at these few tokens.
        with autocast(self.device), sdpa_kernel(SDPBackend.MATH):
            return self.live(images, step.stage.part), targets

    def _feature_share(self, step: Step) -> float:
        if not self.features:
            return 0.0
        epoch = step.number / (len(self.train) // self.recipe.batch_size)
        return share_at(self.recipe.feature_weight, self.recipe.feature_epochs, epoch)

    def _feature_loss(self, chosen: Tensor, size: int) -> Tensor:
        """Of the faces as they are, without views and mixup."""
        images = plain(self.train.pixels[chosen].to(self.device), size)
        features = {name: values[chosen].to(self.device) for name, values in self.features.items()}
        assert self.live.feature_loss is not None
        with autocast(self.device), sdpa_kernel(SDPBackend.MATH):
            loss: Tensor = self.live.feature_loss(self.live.model, images, features)
        return loss

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
            logits = self._valid_logits(step.stage)
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

    def predict(self, stage: Stage, faces: Tensor) -> Tensor:
        """Logits of the averaged model, float32 [images, classes], of uint8 [images, channels, height, width]."""

        def answer(chosen: Tensor) -> Tensor:
            images = plain(faces[chosen].to(self.device), self._size(stage))
            with autocast(self.device):
                found = self.averaged(images, "backbone")[0] if stage.part == "backbone" else self.result(images)
            return found  # type: ignore[no-any-return]

        self.averaged.eval()
        return in_parts(answer, len(faces))

    def _valid_logits(self, stage: Stage) -> Tensor:
        if self.kept is None:
            return self.predict(stage, self.valid.pixels)
        _, features = self.kept

        def answer(chosen: Tensor) -> Tensor:
            with autocast(self.device):
                return self.result.logits_of(features(chosen).to(self.device))

        self.averaged.eval()
        return in_parts(answer, len(features))

    def _keep(self, stage: Stage, logits: Tensor, score: tuple[float, float]) -> None:
        """Keeps what an epoch gave: the backbone while only that is trained, else the best model so far."""
        if stage.part == "backbone":
            assert self.result.backbone is not None
            tensors = {name: tensor.cpu().contiguous() for name, tensor in self.result.backbone.state_dict().items()}
            keep(self.out / "backbone.safetensors", save(tensors))
        elif score > self.best and self._size(stage) == self.result.config.image_size:
            self.best = score
            self._save_model(logits, self.out / "best.safetensors")

    def _keep_epoch(self, epoch: int) -> None:
        """Keeps the averaged model as it is, not calibrated, where an epoch's is asked for."""
        if self.keep_every and epoch % self.keep_every == 0:
            path = self.out / EPOCHS / f"epoch_{epoch:03}.safetensors"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FerFastError(f"{str(path)!r} cannot be written: {error}") from error
            save_model(self.result, path)

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
        faces = None if self.kept else as_pixels(spread(self.train.pixels, RANGE_FACES), size)
        model.config = dataclasses.replace(model.config, prior=seen_mix(self.train.targets, self.weights.cpu()))
        save_calibrated(model, logits, self.valid.labels, faces, path)

    def _finish(self) -> None:
        """Keeps the last model, and adds what each precision costs to both."""
        last = self.recipe.stages[-1]
        if last.part == "backbone":
            return
        paths = [self.out / "last.safetensors", self.out / "best.safetensors"]
        self._save_model(self._valid_logits(dataclasses.replace(last, image_size=0)), paths[0])
        if self.kept:
            log.info("what precisions cost is not measured: fer-fast recalibrate does that")
            return
        pixels = as_pixels(self.valid.pixels, self.result.config.image_size)
        for path in filter(Path.exists, paths):
            falls = measure_falls(path, pixels, self.valid.labels, self.device.type)
            told = ", ".join(f"{name} {100 * fall:.2f}" for name, fall in falls.items())
            log.info("%s: what precisions cost, in points on the validation images: %s", path.name, told)

    def _size(self, stage: Stage) -> int:
        return stage.image_size or self.result.config.image_size

    def _save(self) -> None:
        state = {part: getattr(self, part).state_dict() for part in LEARNT}
        place = {"run": self.identity, "done": self.done, "best": self.best, "losses": self.losses}
        save_state(self.out / "state.pt", {**place, **state})

    def _load(self) -> None:
        fields = ("done", "best", "losses", *LEARNT)
        state = load_state(self.out / "state.pt", self.identity, "data", fields)
        if state is None:
            return
        self.done, self.best, self.losses = state.pop("done"), state.pop("best"), state.pop("losses")
        for part, values in state.items():
            getattr(self, part).load_state_dict(values)


def _feature_loss(recipe: Recipe, model: Network, features: Mapping[str, Tensor]) -> FeatureLoss:
    channels = {name: values.shape[1] for name, values in features.items()}
    return FeatureLoss(model, recipe.feature_layer, channels, recipe.weighting == "adaptive")

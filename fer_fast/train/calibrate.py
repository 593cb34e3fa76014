"""What is measured of a trained model and kept in its file: its temperature, int8 ranges and precisions' costs."""

from __future__ import annotations

import copy
import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fer_fast.calibration.cross_validation import Gain, measured
from fer_fast.calibration.fit import ENOUGH, fitted, plain
from fer_fast.datasets.hard_views import hard_faces
from fer_fast.datasets.resized import as_pixels
from fer_fast.engines import open_engine
from fer_fast.models.classifier import classifier_of
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.network import Network
from fer_fast.models.quantised import measure_ranges
from fer_fast.train.faces import Faces, spread
from fer_fast.train.learner import balance_weights, seen_mix
from fer_fast.types import FerFastError, counted

log = logging.getLogger(__name__)

_BATCH = 32
#: Training faces that int8's ranges are measured on.
RANGE_FACES = 512
#: What each device computes besides fp32.
_LOSSY_PRECISIONS: dict[str, tuple[str, ...]] = {"cpu": ("bf16", "int8"), "cuda": ("bf16", "fp16")}


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of least negative log-likelihood (Guo et al. 2017, Section 4.2), from 1/4 to 4.

    Few images say little: below `ENOUGH` it is 1. A handful that is all right would ask for certainty.

    Args:
        logits: float [images, classes], of images that were not trained on.
        labels: int64 [images].

    Returns:
        What to divide logits by; above 1 where the model is too sure of itself.
    """
    if len(labels) < ENOUGH:
        faces = counted(len(labels), "validation image is", "validation images are")
        log.warning("%s too few for a temperature, %d would do: it stays 1", faces, ENOUGH)
        return 1.0
    return fitted(logits.numpy(), labels.numpy(), mix=False).temperature


def with_ranges(model: Network, faces: Tensor) -> Network:
    """Puts what int8 needs into a model's configuration.

    Args:
        model: in fp32, on the CPU; changed in place.
        faces: uint8 [images, size, size, 3], to measure on; not validation or test faces.
    """
    compiled = classifier_of(model.config).compiled(copy.deepcopy(model))
    ranges = measure_ranges(compiled, faces)
    model.config = dataclasses.replace(model.config, activation_ranges=ranges)
    return model


def save_calibrated(model: Network, logits: Tensor, labels: Tensor, faces: Tensor | None, path: Path) -> None:
    """Writes a model with its temperature and, of faces, int8 ranges.

    Args:
        model: in fp32, on the CPU; its configuration is changed in place.
        logits: float [images, classes], the model's, of validation faces.
        labels: int64 [images], their classes.
        faces: uint8 [images, size, size, 3], training faces to measure ranges on.
        path: the checkpoint.
    """
    model.config = dataclasses.replace(model.config, temperature=fit_temperature(logits, labels), precision_falls={})
    save_model(model if faces is None else with_ranges(model, faces), path)


def measure_falls(path: Path, faces: Tensor, labels: Tensor, device: str) -> dict[str, float]:
    """Measures what each precision costs on this machine, by the engines that users run, and adds it to the file.

    One image more or less is no evidence: a net loss of one counts as none.

    Args:
        path: a checkpoint; written anew.
        faces: uint8 [images, size, size, 3], validation faces.
        labels: int64 [images], their classes.
        device: cpu, or cuda for the GPU as well.

    Returns:
        Precision to the fall in accuracy against fp32, 0 to 1, the larger one where both devices compute it; negative
        where it rises. A precision that this machine does not compute is not in it.
    """
    checkpoint = read_checkpoint(path)
    falls: dict[str, float] = {}
    for each in dict.fromkeys(("cpu", device)):
        reference = _right(checkpoint, faces, labels, each, "fp32")
        for precision in _LOSSY_PRECISIONS[each]:
            try:
                lost = reference - _right(checkpoint, faces, labels, each, precision)
            except (ValueError, FerFastError) as error:
                log.info("precision %s is not measured on %s: %s", precision, each, error)
                continue
            fall = 0.0 if lost == 1 else round(lost / len(labels), 6)
            falls[precision] = max(fall, falls.get(precision, fall))
    config = dataclasses.replace(checkpoint.config, precision_falls=falls)
    write_checkpoint(path, config, checkpoint.tensors)
    return falls


def recalibrate(
    model: Network,
    train: Faces,
    valid: Faces,
    out: Path,
    balance: float | None = None,
    mix: bool = False,
    hard: bool = False,
) -> Gain | None:
    """Writes a model with temperature, int8 ranges and precisions' costs measured anew; its weights stay.

    Its prior does, too, which is a fact of its training; where it has none it is that of `train`.

    Args:
        model: in fp32, on the CPU; changed in place.
        train: faces to measure ranges on, and the mix of classes.
        valid: faces for the temperature and the costs.
        out: the checkpoint.
        balance: the `Recipe.balance` that the model was trained with on these faces: the prior is measured anew. None
            is 0 where there is no prior.
        mix: fit a bias a class, too, which becomes part of the last layer's, and of the prior.
        hard: fit on the validation faces as they are and as `hard_faces` shows them, together.

    Returns:
        What calibrating gains; None where the validation faces are too few to fit anything.

    Raises:
        ValueError: if the faces' classes are not the model's, or there is to be a mix of fewer faces than `ENOUGH`.
    """
    if train.classes != model.config.classes:
        raise ValueError(
            f"data must have the model's classes, {', '.join(model.config.classes)}, not {', '.join(train.classes)}"
        )
    if mix and len(valid) < ENOUGH:
        raise ValueError(f"mix must be fitted on {ENOUGH} validation images or more; there are {len(valid)}")
    if balance is not None or not model.config.prior:
        prior = seen_mix(train.targets, balance_weights(train.targets, balance or 0.0))
        model.config = dataclasses.replace(model.config, prior=prior)
    size = model.config.image_size
    pixels = as_pixels(valid.pixels, size)
    views = [pixels, as_pixels(hard_faces(valid.pixels), size)] if hard else [pixels]
    gain = _calibrate(model, views, valid.labels, mix)
    save_model(with_ranges(model, as_pixels(spread(train.pixels, RANGE_FACES), size)), out)
    for name, fall in measure_falls(out, pixels, valid.labels, "cpu").items():
        log.info("precision %s costs %.2f points on the validation images", name, 100 * fall)
    return gain


def _calibrate(model: Network, views: list[Tensor], labels: Tensor, mix: bool) -> Gain | None:
    """Gives a model the calibration of least negative log-likelihood on some views of the same faces, together."""
    logits = torch.cat([_logits(model, pixels) for pixels in views])
    config = dataclasses.replace(model.config, precision_falls={})
    if len(labels) < ENOUGH:
        model.config = dataclasses.replace(config, temperature=fit_temperature(logits, labels))
        return None
    faces = [face.numpy().tobytes() for face in views[0]]  # a face's views judge nothing that was fitted on one of them
    before = plain(config.temperature, len(config.classes))
    every = np.tile(labels.numpy(), len(views))
    gain = measured(logits.numpy(), every, faces * len(views), config.classes, before, mix)
    model.get_parameter(classifier_of(config).bias).add_(torch.from_numpy(gain.calibration.head_shift).float())
    model.config = gain.calibration.applied(config)
    return gain


@torch.no_grad()
def _logits(model: Network, pixels: Tensor) -> Tensor:
    return torch.cat([model.eval()(part) for part in torch.split(pixels, 64)])


def _right(checkpoint: Checkpoint, faces: Tensor, labels: Tensor, device: str, precision: str) -> int:
    """How many faces are answered rightly."""
    # Not from the cache of compiled models: this checkpoint is not the final one.
    engine = open_engine(checkpoint, device=device, precision=precision, batch_size=_BATCH, cached=False)
    try:
        answers = [engine.infer(batch.numpy()).argmax(axis=1) for batch in torch.split(faces, _BATCH)]
    finally:
        engine.close()
    return int((np.concatenate(answers) == labels.numpy()).sum())

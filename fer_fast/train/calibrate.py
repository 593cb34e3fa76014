"""What is measured of a trained model and kept in its file: its temperature, int8 ranges and precisions' costs."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.engines import open_engine
from fer_fast.models.algebraic import AlgebraicModel
from fer_fast.models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from fer_fast.models.fusion import FusionModel
from fer_fast.models.quantised import measure_ranges
from fer_fast.models.storage import save_model
from fer_fast.train.augment import as_pixels
from fer_fast.train.faces import Faces, spread
from fer_fast.types import FerFastError, counted

log = logging.getLogger(__name__)

_BATCH = 32
#: Images that a temperature is fitted on at least.
_ENOUGH = 50
#: Training faces that int8's ranges are measured on.
RANGE_FACES = 512
#: What each device computes besides fp32.
_LOSSY_PRECISIONS: dict[str, tuple[str, ...]] = {"cpu": ("bf16", "int8"), "cuda": ("bf16", "fp16")}


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of least negative log-likelihood (Guo et al. 2017, Section 4.2), from 1/4 to 4.

    Few images say little: below `_ENOUGH` it is 1. A handful that is all right would ask for certainty.

    Args:
        logits: float [images, classes], of images that were not trained on.
        labels: int64 [images].

    Returns:
        What to divide logits by; above 1 where the model is too sure of itself.
    """
    if len(labels) < _ENOUGH:
        faces = counted(len(labels), "validation image is", "validation images are")
        log.warning("%s too few for a temperature, %d would do: it stays 1", faces, _ENOUGH)
        return 1.0
    logarithm = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([logarithm], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(logits / logarithm.exp(), labels)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[arg-type,no-untyped-call]
    return float(logarithm.detach().exp().clamp(1 / 4, 4))


def with_ranges(model: FusionModel, faces: Tensor) -> FusionModel:
    """Puts what int8 needs into a model's configuration.

    Args:
        model: in fp32, on the CPU; changed in place.
        faces: uint8 [images, size, size, 3], to measure on; not validation or test faces.
    """
    ranges = measure_ranges(AlgebraicModel(model), faces)
    model.config = dataclasses.replace(model.config, activation_ranges=ranges)
    return model


def save_calibrated(model: FusionModel, logits: Tensor, labels: Tensor, faces: Tensor, path: Path) -> None:
    """Writes a model with its temperature and int8 ranges.

    Args:
        model: in fp32, on the CPU; its configuration is changed in place.
        logits: float [images, classes], the model's, of validation faces.
        labels: int64 [images], their classes.
        faces: uint8 [images, size, size, 3], training faces to measure ranges on.
        path: the checkpoint.
    """
    model.config = dataclasses.replace(model.config, temperature=fit_temperature(logits, labels), precision_falls={})
    save_model(with_ranges(model, faces), path)


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


def recalibrate(model: FusionModel, train: Faces, valid: Faces, out: Path) -> None:
    """Writes a model with temperature, int8 ranges and precisions' costs measured anew; its weights stay.

    Args:
        model: in fp32, on the CPU; its configuration is changed in place.
        train: faces to measure ranges on.
        valid: faces for the temperature and the costs.
        out: the checkpoint.

    Raises:
        ValueError: if the faces' classes are not the model's.
    """
    if train.classes != model.config.classes:
        raise ValueError(
            f"data must have the model's classes, {', '.join(model.config.classes)}, not {', '.join(train.classes)}"
        )
    size = model.config.image_size
    pixels = as_pixels(valid.pixels, size)
    ranges = as_pixels(spread(train.pixels, RANGE_FACES), size)
    save_calibrated(model, _logits(model, pixels), valid.labels, ranges, out)
    log.info("temperature %.4f", model.config.temperature)
    for name, fall in measure_falls(out, pixels, valid.labels, "cpu").items():
        log.info("precision %s costs %.2f points on the validation images", name, 100 * fall)


@torch.no_grad()
def _logits(model: FusionModel, pixels: Tensor) -> Tensor:
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

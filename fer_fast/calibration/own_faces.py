"""Somebody's labelled faces and a checkpoint come in; it goes out calibrated on them, if that is a gain."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_fast.calibration.cross_validation import Gain, measured
from fer_fast.calibration.fit import ENOUGH, Calibration, Integers, plain
from fer_fast.datasets import has_splits, load_split
from fer_fast.decode.images import pixels_of
from fer_fast.engines import open_engine
from fer_fast.models.classifier import classifier_of
from fer_fast.models.config import ClassifierConfig
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from fer_fast.types import counted

log = logging.getLogger(__name__)

_BATCH = 32


@dataclass(frozen=True)
class OwnFaces:
    """Labelled faces as a model sees them.

    Attributes:
        pixels: uint8 [images, size, size, 3].
        labels: int64 [images], places in `classes`.
        digests: of each face's own pixels: equal where two are one.
        classes: that there are, the model's or some of them.
    """

    pixels: npt.NDArray[np.uint8]
    labels: Integers
    digests: list[bytes]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Recalibrated:
    """What became of it.

    Attributes:
        gain: what the faces say.
        images: how many there were.
        classes: theirs.
        unseen: the model's other classes, whose probabilities were left out.
        written: whether there is a new checkpoint.
    """

    gain: Gain
    images: int
    classes: tuple[str, ...]
    unseen: tuple[str, ...]
    written: bool


def recalibrate(
    model: str | Path,
    data: Path,
    out: Path,
    *,
    protocol: str = "argmax10",
    mix: bool | None = None,
    anyway: bool = False,
    tell: Callable[[str], None] = lambda doing: None,
) -> Recalibrated:
    """Fits a temperature, and perhaps a class mix, on all labelled faces; what else the checkpoint knows stays.

    The mix is one bias a class (`fit.fitted`), which becomes part of the last layer's: every engine and every export
    answers by it.

    Args:
        model: the name of a packaged model, or the path of a .safetensors file.
        data: a folder whose sub-folders are classes; of one with splits, and of FERPlus, the validation split.
        out: the new checkpoint.
        protocol: of FERPlus.
        mix: whether there is a mix; None: where by cross-validation it is better than a temperature alone.
        anyway: write without a gain, too.
        tell: hears what is done now.

    Raises:
        ValueError: if data has other classes than the model, or fewer than `ENOUGH` different faces.
        CheckpointError: if the model is missing or damaged.
        OutputError: if `out` cannot be written.
    """
    checkpoint = read_checkpoint(model)
    tell(f"reading {data}")
    faces = read_faces(data, checkpoint.config, protocol)
    tell(f"asking {model} about {counted(len(faces.labels), 'face', 'faces')}")
    known = checkpoint.config.classes
    logits = _logits(checkpoint, faces.pixels)[:, [known.index(name) for name in faces.classes]]
    before = plain(checkpoint.config.temperature, len(faces.classes))
    gain = measured(logits, faces.labels, faces.digests, faces.classes, before, mix)
    written = gain.is_sure or anyway
    if written:
        config, tensors = calibrated(checkpoint, gain.calibration, faces.classes)
        write_checkpoint(out, config, tensors)
    unseen = tuple(name for name in known if name not in faces.classes)
    return Recalibrated(gain, len(faces.labels), faces.classes, unseen, written)


def read_faces(data: Path, config: ClassifierConfig, protocol: str) -> OwnFaces:
    """All faces of a folder of classes; of one with splits, and of FERPlus, those of the validation split.

    Raises:
        ValueError: if they are of other classes than the model's, or fewer than `ENOUGH` are different.
    """
    split = load_split(data, "valid" if has_splits(data) else "all", config.image_size)
    if split.unread:
        path, reason = split.unread[0]
        unread = counted(len(split.unread), "image is", "images are")
        log.warning("%s left out; the first is %a: %s", unread, path, reason)
    protocol = protocol if len(split.protocols) > 1 else split.protocols[0]
    classes = split.classes(protocol)
    if not set(classes) <= set(config.classes):
        rule = f"data must have the model's classes, {', '.join(config.classes)}, or some of them"
        raise ValueError(f"{rule}, not {', '.join(classes)}")
    indices, labels = split.selection(protocol)
    split_digests = split.digests()
    digests = [split_digests[index] for index in indices]
    if (different := len(set(digests))) < ENOUGH:
        raise ValueError(f"data must have {ENOUGH} different faces or more; {different} say too little of a model")
    pixels = np.stack([pixels_of(split.pixels[index], config.image_size) for index in indices])
    return OwnFaces(pixels, labels, digests, classes)


def calibrated(
    checkpoint: Checkpoint, calibration: Calibration, classes: tuple[str, ...]
) -> tuple[ClassifierConfig, dict[str, np.ndarray]]:
    """Configuration and weights of a checkpoint that answers by a calibration.

    Args:
        checkpoint: whose logits it was fitted on.
        calibration: the fit.
        classes: that its biases are of; the model's others have none.
    """
    bias = dict(zip(classes, calibration.bias.tolist(), strict=True))
    each = np.array([bias.get(name, 0.0) for name in checkpoint.config.classes])
    fit = Calibration(calibration.temperature, each)
    tensors = dict(checkpoint.tensors)
    name = classifier_of(checkpoint.config).bias
    if name not in tensors:
        raise ValueError(f"model must have a bias of its classes, {name!r} by its architecture, to be calibrated")
    head = tensors[name]
    tensors[name] = (head + fit.head_shift).astype(head.dtype)
    return fit.applied(checkpoint.config), tensors


def _logits(checkpoint: Checkpoint, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    engine = open_engine(checkpoint, precision="fp32", batch_size=_BATCH)
    try:
        parts = [engine.infer(pixels[start : start + _BATCH]) for start in range(0, len(pixels), _BATCH)]
    finally:
        engine.close()
    return np.concatenate(parts)

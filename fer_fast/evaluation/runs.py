"""The probabilities of every image by each engine and precision that this machine offers; one engine at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_fast.classifier import Classifier
from fer_fast.machine.devices import cuda_is_present
from fer_fast.machine.processors import has_bf16_instructions
from fer_fast.models.prior import PriorLike
from fer_fast.types import FerFastError, MissingExtraError

#: What `Classifier.describe` says that does not change from one run on a machine to the next.
LASTING = ("engine", "version", "device", "precision", "tokens")


class Combination(NamedTuple):
    """An engine and a precision."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


#: What the others are compared with; where torch is not installed, what agrees with it to the fifth decimal.
REFERENCE, STAND_IN = Combination("torch", "fp32"), Combination("openvino", "fp32")
#: What is tried, in the order in which it is told. torch's fp16, and TensorRT, are for a GPU.
COMBINATIONS: tuple[Combination, ...] = (
    REFERENCE,
    STAND_IN,
    Combination("openvino", "bf16"),
    Combination("openvino", "int8"),
    Combination("torch", "bf16"),
    Combination("torch", "fp16"),
    Combination("tensorrt-fused", "bf16"),
    Combination("tensorrt-fused", "fp16"),
    Combination("tensorrt", "bf16"),
    Combination("tensorrt", "fp16"),
    Combination("tensorrt", "int8"),
)


@dataclass(frozen=True)
class Run:
    """What became of one combination.

    Attributes:
        combination: which one.
        reason: why there are no probabilities; empty if there are.
        ran: what the engine says of itself.
        probabilities: float32 [images, classes].
    """

    combination: Combination
    reason: str = ""
    ran: dict[str, str] = field(default_factory=dict)
    probabilities: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))


def run_all(
    model: str,
    images: Sequence[npt.NDArray[np.uint8]],
    engine: str,
    precision: str,
    device: str,
    prior: PriorLike,
    tell: Callable[[str], None],
) -> tuple[list[Run], Combination]:
    """Classifies the images by the reference, then by every combination that `engine` and `precision` allow.

    Without torch its stand-in is the reference.

    Returns:
        One run a combination, the reference first, and the combination that `engine` and `precision` choose.

    Raises:
        ValueError: on an unknown name, or an engine and a precision that do not go together.
        CheckpointError: if the model is missing or damaged.
        FerFastError: if the device, the precision that was asked for, or the reference is not there.
    """
    with Classifier(model, engine=engine, precision=precision, device=device, prior=prior) as classifier:
        ran = classifier.describe()
        chosen = Combination(ran["engine"], ran["precision"])
        tell(f"{chosen}, as chosen")
        runs = {} if chosen == REFERENCE else {chosen: _run(chosen, classifier, images)}
    allowed = [each for each in COMBINATIONS if engine in ("auto", each[0]) and precision in ("auto", each[1])]
    order = list(dict.fromkeys((REFERENCE, *allowed, chosen)))
    for number, combination in enumerate(order, 1):
        if combination not in runs:
            tell(f"{combination}, {number} of {len(order)}")
            runs[combination] = _try(combination, model, images, device, prior)
    if runs[REFERENCE].reason:
        order = list(dict.fromkeys((STAND_IN, *order)))
        if STAND_IN not in runs:
            tell(f"{STAND_IN}, in place of {REFERENCE}")
            runs[STAND_IN] = _try(STAND_IN, model, images, device, prior)
        if reason := runs[STAND_IN].reason:
            raise FerFastError(f"neither {REFERENCE}, the reference, nor {STAND_IN} runs: {reason}")
    return [runs[combination] for combination in order], chosen


def run_alone(
    model: str,
    images: Sequence[npt.NDArray[np.uint8]],
    engine: str,
    precision: str,
    device: str,
    prior: PriorLike,
    tell: Callable[[str], None],
) -> tuple[list[Run], Combination]:
    """What `engine` and `precision` choose, or an exported model as it is: one run, compared with nothing."""
    with Classifier(model, engine=engine, precision=precision, device=device, prior=prior) as classifier:
        ran = classifier.describe()
        chosen = Combination(ran["engine"], ran["precision"])
        tell(f"{chosen}, alone")
        return [_run(chosen, classifier, images)], chosen


def _try(
    combination: Combination, model: str, images: Sequence[npt.NDArray[np.uint8]], device: str, prior: PriorLike
) -> Run:
    """One run; what it lacks is its reason, unless the reference has torch and fails."""
    engine, precision = combination
    if combination == ("torch", "bf16") and not (has_bf16_instructions() or _is_on_card(device)):
        return Run(combination, "this processor has no bf16 instructions: torch would only imitate them")
    try:
        with Classifier(model, engine=engine, precision=precision, device=device, prior=prior) as classifier:
            return _run(combination, classifier, images)
    except (ValueError, FerFastError) as error:
        if combination == REFERENCE and not isinstance(error, MissingExtraError):
            raise
        return Run(combination, " ".join(str(error).split()))


def _is_on_card(device: str) -> bool:
    return device.startswith("cuda") or (device == "auto" and cuda_is_present())


def _run(combination: Combination, classifier: Classifier, images: Sequence[npt.NDArray[np.uint8]]) -> Run:
    said = classifier.describe()
    predictions = classifier.predict(images)
    probabilities = np.stack([prediction.probabilities for prediction in predictions])
    return Run(combination, "", {name: str(said[name]) for name in LASTING if name in said}, probabilities)

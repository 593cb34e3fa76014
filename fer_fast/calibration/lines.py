"""What a calibration gains, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fer_fast.calibration.cross_validation import FOLDS, Gain
from fer_fast.calibration.own_faces import Recalibrated
from fer_fast.evaluation.lines import aligned, number, percent
from fer_fast.types import counted


def recalibrated_lines(found: Recalibrated, model: str, out: Path) -> Iterator[str]:
    """How many faces there were, what they gain, and whether there is a new checkpoint."""
    yield f"{model} on {counted(found.images, 'face', 'faces')} of {', '.join(found.classes)}"
    if found.unseen:
        yield f"of {', '.join(found.unseen)} there is none: their probabilities are left out, and their biases stay"
    yield from gain_lines(found.gain, found.classes)
    if not found.gain.is_sure:
        yield "no gain that could not be chance" + (
            "" if found.written else ": nothing is written (--anyway writes it)"
        )
    if found.written:
        yield f"written: {out}"


def gain_lines(gain: Gain, classes: tuple[str, ...]) -> Iterator[str]:
    """Scores before and after, and what was fitted."""
    yield f"by {FOLDS}-fold cross-validation: no face is judged by what was fitted on it"
    rows = [["", "before", "after"]]
    for title, name, form in (("NLL", "nll", number), ("ECE", "ece", number), ("accuracy, %", "accuracy", percent)):
        rows.append([title, form(gain.before[name]), form(gain.after[name])])  # type: ignore[operator]
    yield from aligned(rows, left=1)
    calibration = gain.calibration
    yield f"fitted on all of them: temperature {calibration.temperature:.4f}, {_mix(gain, classes)}"


def _mix(gain: Gain, classes: tuple[str, ...]) -> str:
    if not gain.calibration.bias.any():
        return "no class mix"
    factors = np.exp(gain.calibration.bias)
    return "odds by class: " + ", ".join(f"{name} x{factor:.2f}" for name, factor in zip(classes, factors, strict=True))

"""A calibration is chosen, and judged on faces that it was not fitted on: four fifths fit, a fifth judges, in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_fast.calibration.fit import Calibration, Doubles, Integers, fitted
from fer_fast.evaluation.scores import scores_of

FOLDS = 5
#: Standard errors, of which a normal distribution has a twentieth above.
_Z = 1.644854

Logits = npt.NDArray[np.floating[Any]]
Choose = Callable[[Logits, Integers, Integers], Calibration]


@dataclass(frozen=True)
class Gain:
    """What faces say of a model's calibration.

    Attributes:
        calibration: fitted on all of them.
        before: scores (`scores_of`) of the model as it is.
        after: the same by cross-validation: each face by a calibration that was chosen and fitted without it.
        is_sure: whether the negative log-likelihood falls for more than by chance: see `is_better`.
    """

    calibration: Calibration
    before: dict[str, Any]
    after: dict[str, Any]
    is_sure: bool


def measured(
    logits: Logits,
    labels: Integers,
    digests: Sequence[bytes],
    classes: tuple[str, ...],
    before: Calibration,
    mix: bool | None,
) -> Gain:
    """Fits a calibration, and shows what it gains.

    Args:
        logits: floats [images, classes].
        labels: int64 [images].
        digests: equal for images that are one and the same face, of which none judges what another was fitted on.
        classes: names of the columns.
        before: what the model has now.
        mix: as for `chosen`.
    """
    folds = folds_of(digests, labels)
    choose = partial(chosen, mix=mix)
    old, new = before.probabilities(logits), held_out(logits, labels, folds, choose)
    was, becomes = (scores_of(each, labels, classes) for each in (old, new))
    return Gain(choose(logits, labels, folds), was, becomes, is_better(old, new, labels))


def chosen(logits: Logits, labels: Integers, folds: Integers, mix: bool | None) -> Calibration:
    """Fits a calibration.

    Args:
        logits, labels: as for `measured`.
        folds: int64 [images], each image's fold.
        mix: whether it has a mix; None: where by cross-validation it is better than a temperature alone, and right
            as often.
    """
    if mix is None:
        without, within = (held_out(logits, labels, folds, partial(chosen, mix=each)) for each in (False, True))
        # Of thousands of faces a likelihood may gain for sure what answers lose.
        mix = is_better(without, within, labels) and _right(within, labels) >= _right(without, labels)
    return fitted(logits, labels, mix)


def folds_of(digests: Sequence[bytes], labels: Integers) -> Integers:
    """A fold for each image, int64 [images]: classes are spread evenly, copies together, the order is of no matter."""
    of: dict[bytes, int] = {}
    for _, digest in sorted(zip(labels.tolist(), digests, strict=True)):
        of.setdefault(digest, len(of) % FOLDS)
    return np.array([of[digest] for digest in digests], np.int64)


def held_out(logits: Logits, labels: Integers, folds: Integers, choose: Choose) -> Doubles:
    """Probabilities of each image by what `choose` makes of the other folds: float64 [images, classes]."""
    probabilities = np.empty(logits.shape, np.float64)
    for fold in np.unique(folds):
        inside = folds == fold
        found = choose(logits[~inside], labels[~inside], folds[~inside])
        probabilities[inside] = found.probabilities(logits[inside])
    return probabilities


def is_better(before: Doubles, after: Doubles, labels: Integers) -> bool:
    """Whether the mean negative log-likelihood falls by more than chance would let it in one case of twenty."""
    rows = np.arange(len(labels))
    falls = np.log(np.maximum(after[rows, labels], 1e-12)) - np.log(np.maximum(before[rows, labels], 1e-12))
    return bool(falls.mean() > _Z * falls.std() / len(falls) ** 0.5)


def _right(probabilities: Doubles, labels: Integers) -> int:
    return int((probabilities.argmax(axis=1) == labels).sum())

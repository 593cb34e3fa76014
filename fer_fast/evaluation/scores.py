"""Scores of probabilities against labels: accuracy and its interval, F1, confusion, calibration, risk by coverage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_fast.datasets import Split
from fer_fast.evaluation.coverage import risk_coverage

#: Bins of confidence, of equal width (Guo et al. 2017, Section 2).
BINS = 15
#: Standard deviations to either side that hold 95 % of a normal distribution.
_Z = 1.959964
#: A probability below counts as this: one image that was thought impossible must not make the mean infinite.
_LEAST = 1e-12
#: Decimals of every score: the next ones differ between machines.
_DECIMALS = 6

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
Scores = dict[str, Any]


def split_scores(
    split: Split, probabilities: Floats, classes: tuple[str, ...], fresh: npt.NDArray[np.bool_] | None = None
) -> dict[str, dict[str, Scores]]:
    """Scores of one split by each protocol whose classes the model has, on all images and without leaked ones.

    Args:
        split: images and votes.
        probabilities: floats [images, classes].
        classes: names of their columns.
        fresh: bool [images], False where the pixels occur in another split; None if there is no other.

    Returns:
        protocol -> "full" and, unless `fresh` is None, "leakage_free" -> what `scores_of` gives. Photos without a face
        count as wrong in both: nothing of them is kept by which a copy in another split could be known.
    """
    result = {}
    for protocol in split.protocols:
        names = split.classes(protocol)
        if not set(names) <= set(classes):
            continue
        indices, labels = split.selection(protocol)
        missed = None if split.faceless is None else split.faceless.selection(protocol)[1]
        rows = of_classes(probabilities[indices], classes, names)
        result[protocol] = {"full": scores_of(rows, labels, names, missed)}
        if fresh is not None:
            kept = fresh[indices]
            result[protocol]["leakage_free"] = scores_of(rows[kept], labels[kept], names, missed)
    return result


def of_classes(probabilities: Floats, classes: tuple[str, ...], names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """The probabilities of some classes, where the others cannot be answered: theirs are shared out.

    Args:
        probabilities: floats [images, classes].
        classes: names of their columns.
        names: which to keep, in the order that is wanted.

    Returns:
        float64 [images, names], rows sum to 1; all the same where the others had everything.
    """
    kept = probabilities[:, [classes.index(name) for name in names]].astype(np.float64)
    kept[kept.sum(axis=1) == 0] = 1
    return kept / kept.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def scores_of(
    probabilities: Floats, labels: Integers, classes: tuple[str, ...], missed: Integers | None = None
) -> Scores:
    """All scores of some images, ready for JSON; None stands for what has no value, such as the mean of no image.

    Args:
        probabilities: floats [images, classes], rows sum to 1.
        labels: int64 [images], numbers of the true classes.
        classes: names of the columns.
        missed: int64 [photos], numbers of the true classes of photos in which no face was found: each is a wrong
            answer, of no class and without probabilities.

    Returns:
        images, with those that were missed; accuracy and its 95 % `interval` (`wilson_interval`); macro_f1, the mean
        over the classes that are a label or an answer; nll, the mean negative logarithm of the true class's
        probability, where there are any; ece, the expected calibration error (Guo et al. 2017, eq. 3); classes: name ->
        precision, recall, f1, support; confusion: counts [true class][answer]; reliability: see `reliability`; coverage
        and aurc: see `coverage.risk_coverage`, of the images that have probabilities. Shares are from 0 to 1.
    """
    confusion = confusion_of(labels, probabilities.argmax(axis=1), len(classes))
    missed = np.zeros(0, np.int64) if missed is None else missed
    seen, correct = len(labels), int(np.trace(confusion))
    images = seen + len(missed)
    each = class_scores(confusion, np.bincount(missed, minlength=len(classes)))
    interval = wilson_interval(correct, images)
    chosen = np.maximum(probabilities[np.arange(seen), labels], _LEAST)
    bins = reliability(probabilities, labels)
    gaps = (count * abs(true - sure) for count, sure, true in zip(*bins.values(), strict=True) if count)
    curve, aurc = risk_coverage(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    f1 = [scores["f1"] for scores in each if scores["f1"] is not None]
    return {
        "images": images,
        "accuracy": _share(correct, images),
        "interval": None if interval is None else [round(end, _DECIMALS) for end in interval],
        "macro_f1": _share(sum(f1), len(f1)),
        "nll": _share(float(-np.log(chosen).sum()), seen),
        "ece": _share(sum(gaps), seen),
        "aurc": _rounded(aurc),
        "classes": {
            name: {key: _rounded(value) for key, value in scores.items()}
            for name, scores in zip(classes, each, strict=True)
        },
        "confusion": confusion.tolist(),
        "reliability": {key: [_rounded(value) for value in values] for key, values in bins.items()},
        "coverage": {key: [_rounded(value) for value in values] for key, values in curve.items()},
    }


def wilson_interval(correct: int, images: int) -> tuple[float, float] | None:
    """The 95 % confidence interval of a share (Wilson 1927), 0 to 1; None of no image."""
    if images == 0:
        return None
    share, spread = correct / images, _Z**2 / images
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / images + spread / (4 * images))
    # Of none or of all, one end is exactly 0 or 1, which rounding would miss.
    low = 0.0 if correct == 0 else (middle - half) / (1 + spread)
    high = 1.0 if correct == images else (middle + half) / (1 + spread)
    return low, high


def confusion_of(labels: Integers, answers: Integers, count: int) -> Integers:
    """How many images of each class got each answer: int64 [count, count], the true class first."""
    return np.bincount(labels * count + answers, minlength=count * count).reshape(count, count)


def class_scores(confusion: Integers, missed: Integers) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each class; None where there is nothing to divide by.

    Args:
        confusion: what `confusion_of` gives.
        missed: int64 [classes], how many more images of each class there were that got no answer.
    """
    result = []
    for number, hits in enumerate(np.diag(confusion).tolist()):
        support, answered = int(confusion[number].sum() + missed[number]), int(confusion[:, number].sum())
        result.append(
            {
                "precision": hits / answered if answered else None,
                "recall": hits / support if support else None,
                "f1": 2 * hits / (support + answered) if support + answered else None,
                "support": support,
            }
        )
    return result


def reliability(probabilities: Floats, labels: Integers) -> dict[str, list[Any]]:
    """What a reliability diagram shows (Guo et al. 2017, Section 2).

    Returns:
        count, mean confidence and accuracy of `BINS` bins; bin m holds the confidences in (m / BINS, (m + 1) / BINS].
        A bin without images has None for the latter two.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    number = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(number, minlength=BINS).tolist()
    sums = (np.bincount(number, weights, BINS).tolist() for weights in (confidence, correct))
    means = ([total / each if each else None for total, each in zip(totals, count, strict=True)] for totals in sums)
    return dict(zip(("count", "confidence", "accuracy"), (count, *means), strict=True))


def _share(total: float, count: int) -> float | None:
    return round(total / count, _DECIMALS) if count else None


def _rounded(value: float | None) -> float | None:
    return round(value, _DECIMALS) if isinstance(value, float) else value

"""Confidences and what was right come in, what accuracy is left where the least sure answers are left out goes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: Shares of the images that are answered.
COVERAGES: tuple[float, ...] = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
#: Decimals of a confidence, as `--abstain` counts: confidences that are equal by them are left out together.
_DECIMALS = 6


def risk_coverage(
    confidence: npt.NDArray[np.floating[Any]], correct: npt.NDArray[np.bool_]
) -> tuple[dict[str, list[Any]], float | None]:
    """The risk-coverage curve (El-Yaniv & Wiener 2010), told by accuracies, and the area under its risks.

    Images of one confidence are answered or left out together, so that their order is of no matter.

    Args:
        confidence: floats [images], 0 to 1.
        correct: bool [images].

    Returns:
        A dictionary of lists, a value for each of `COVERAGES`: coverage; kept, the share that is answered, the least
        one of whole groups that covers so many; abstain, the confidence of the least sure of them, which is what
        `--abstain` takes; accuracy, theirs. Then the AURC (Geifman et al. 2019): the mean, over the images
        from the surest to the least sure, of the share of wrong answers among those that are as sure or surer. None
        stands for what no image has.
    """
    images = len(confidence)
    empty = [None] * len(COVERAGES)
    if images == 0:
        return {"coverage": [*COVERAGES], "kept": empty, "abstain": empty, "accuracy": empty}, None
    levels, group = np.unique(-np.round(confidence.astype(np.float64), _DECIMALS), return_inverse=True)  # surest first
    sizes = np.bincount(group)
    kept = np.cumsum(sizes)
    accuracy = np.cumsum(np.bincount(group, correct)) / kept
    # Less the error of a product such as 0.7 * 10.
    last = np.searchsorted(kept, np.array(COVERAGES) * images - 1e-9)
    curve = {
        "coverage": [*COVERAGES],
        "kept": (kept[last] / images).tolist(),
        "abstain": (-levels[last]).tolist(),
        "accuracy": accuracy[last].tolist(),
    }
    return curve, float((sizes * (1 - accuracy)).sum() / images)

"""The arithmetic of int8: what 0 to 255 stand for in a layer's input, and -127 to 127 in its weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from fer_fast.models.layers import Array

#: Of a layer's input the smallest and the largest, by the layer's name.
Ranges = Mapping[str, tuple[float, float]]
#: Why int8 cannot run a model.
NO_RANGES = "precision int8 needs a checkpoint whose activation ranges were measured; this one has none"
#: Of a channel of weights that are all but zero: fp16 still holds it.
SMALLEST_SCALE = 1e-6


def check_ranges(ranges: Ranges, layers: Collection[str]) -> None:
    """Raises a ValueError unless there are ranges, of these layers exactly."""
    if not ranges:
        raise ValueError(NO_RANGES)
    if odd := set(ranges) ^ set(layers):
        name, rule = min(odd), "precision int8 needs activation_ranges of the model's layers, all of them"
        raise ValueError(f"{rule}: {name!r} {'is no layer of it' if name in ranges else 'has none'}")


def scale_and_zero(low: float, high: float) -> tuple[float, int]:
    """Step and zero point of an input from `low` to `high`, which holds 0: 0 to 255 stand for (0 to 255 - zero) * step.

    Raises:
        ValueError: float32 has no such steps.
    """
    scale = (high - low) / 255
    smallest, largest = (float(end) for end in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))
    if not smallest <= scale <= largest / 256:
        raise ValueError(f"activation_ranges must have steps that float32 has; one is from {low} to {high}")
    return scale, round(-low / scale)


def quantised_weight(weight: Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """A weight [outputs, ...] as whole numbers of the same shape, and their scale [outputs, 1, ...]."""
    exact = weight.astype(np.float32, copy=False)
    inner = tuple(range(1, exact.ndim))
    largest = np.maximum(exact.max(axis=inner, keepdims=True), -exact.min(axis=inner, keepdims=True))
    scale = np.maximum(largest / np.float32(127), np.float32(SMALLEST_SCALE))
    steps = exact * (1 / scale)
    return np.clip(np.rint(steps, out=steps), -127, 127, out=steps).astype(np.int8), scale

"""How far an engine's logits may be from the fp32 reference's."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """Largest differences from the fp32 reference, for logits with a deviation of 2."""

    logit: float
    probability: float


#: By precision; the same for every engine. A rounding of relative size u, through some 20 layers, comes to about
#: 20 u of a logit of 10 at worst; its effect on a probability is at most a quarter of the logit's, and mostly less.
TOLERANCES = {
    "fp32": Tolerance(1e-3, 1e-4),  # u = 2^-24, but other orders of summation and Winograd convolutions
    "bf16": Tolerance(0.6, 0.12),  # u = 2^-9 for weights and activations alike; sums are in fp32
    "fp16": Tolerance(0.1, 0.02),  # u = 2^-12
    "int8": Tolerance(1.0, 0.2),  # steps of 1/127 of a range, and what lies outside it is cut
}


def probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def assert_agree(logits: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], precision: str) -> None:
    tolerance = TOLERANCES[precision]
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance.logit)
    np.testing.assert_allclose(probabilities(logits), probabilities(expected), rtol=0, atol=tolerance.probability)


def assert_threads_agree(
    running: Any, images: npt.NDArray[np.uint8], expected: npt.NDArray[np.float32], batch_size: int
) -> None:
    """Eight threads call an fp32 engine at once, each gets its own results."""

    def infer(number: int) -> tuple[int, int, npt.NDArray[np.float32]]:
        start, count = number % 10, 1 + number % batch_size
        return start, count, running.infer(images[start : start + count])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(infer, range(48)))
    for start, count, logits in results:  # checked when all have run: a shared buffer would have been overwritten
        assert_agree(logits, expected[start : start + count], "fp32")

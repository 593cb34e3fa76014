"""A model's fixed images go out, answers to them come in; what is wrong with these, against fp32's, goes out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_fast.models.resizing import resize_matrix

#: How far answers may be from fp32's: the root mean square of the differences, in deviations of fp32's answers. On a
#: processor no packaged model comes to more than a quarter of it. fp16 may have no less than bf16: of `fast` one of the
#: first four pictures comes to 0.038 in it, the others to 0.001. Rounding to fp16, and so to TensorFloat-32, which has
#: as many bits, passes what fp32 may; images upside down pass twice what bf16 may, another image's answers all.
TOLERANCES = {"fp32": 0.0003, "bf16": 0.1, "fp16": 0.1, "int8": 0.25}
#: Side of the pattern of chance that becomes an image.
_COARSE = 9


def fixed_images(count: int, side: int) -> npt.NDArray[np.uint8]:
    """Smooth pictures, uint8 [count, side, side, 3], always the same ones: white noise would vanish in a pooling."""
    coarse = np.random.default_rng(0).random((count, 3, _COARSE, _COARSE)) * 255
    rows = resize_matrix(_COARSE, side)  # [side, _COARSE]
    return np.ascontiguousarray((rows @ coarse @ rows.T).transpose(0, 2, 3, 1).round().astype(np.uint8))


def fault_of(answers: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], precision: str) -> str:
    """Why answers are not those of fp32, to the tolerance of their precision; empty if they are."""
    if answers.shape != expected.shape:
        return f"its answers are of shape {answers.shape}, not {expected.shape}"
    error = float(np.sqrt(np.mean((answers - expected) ** 2)) / expected.std())
    tolerance = TOLERANCES[precision]
    if error <= tolerance:
        return ""
    return f"its answers are {error:.3g} deviations from fp32's, more than {tolerance:g}"

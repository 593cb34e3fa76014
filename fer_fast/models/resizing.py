"""A side in pixels and another come in, the matrix that resizes an image along it goes out."""

from __future__ import annotations

import numpy as np

from fer_fast.models.layers import Array


def resize_matrix(size: int, target: int) -> Array:
    """The fused op's resize along one side as a matrix, float32 [target, size].

    It is torch's `interpolate(mode="bilinear", align_corners=False, antialias=True)`: a triangle around each pixel's
    centre, as wide as the pixel that is larger.
    """
    scale = size / target
    centres = scale * (np.arange(target) + 0.5)
    distances = np.abs(np.arange(size) + 0.5 - centres[:, None])
    rows = np.maximum(0, 1 - distances / max(1, scale))
    matrix: Array = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix

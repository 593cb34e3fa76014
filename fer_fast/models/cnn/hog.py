"""A grey map comes in, its histograms of oriented gradients go out (Dalal & Triggs 2005), laid without torch.

They are those of scikit-image's `hog` with 9 orientations, cells of 8 x 8 pixels, blocks of 2 x 2 cells and L2-Hys. A
pixel counts in one orientation alone, by its gradient's length; which one is told without angles, that engines have no
operator for: by the sides of fixed rays on which the gradient is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fer_fast.models.layers import Array, Layers, Value

ORIENTATIONS = 9
#: Pixels on a side of a cell, cells on a side of a block.
CELL, BLOCK = 8, 2
#: Of L2-Hys: what a value is cut to between the two normalisations, and what is added to a norm, squared.
CUT, EPSILON = 0.2, 1e-5
#: A gradient is beyond a ray by more than this. Greys of different colours that are equal but for rounding, which is
#: each engine's own, would otherwise be in the first orientation here and in the last one there.
LEAST = 1e-6
#: What a gradient's length, squared, must be above: a flat block's rounding would be normalised to whole features.
SHORTEST = 1e-10
#: What maps are multiplied with, and the limits above with them, which changes no feature: whoever optimises an ONNX
#: graph takes less than 1e-8 for 0 and leaves it out, and a flat block is then 0 over 0.
SCALE = 32


def hog_width(side: int) -> int:
    """Features of a map [side, side]."""
    return (side // CELL - BLOCK + 1) ** 2 * BLOCK**2 * ORIENTATIONS


def rays() -> tuple[list[float], list[float]]:
    """Cosines and sines of the angles at which orientations begin, but for the first, which begins at 0."""
    angles = [math.pi * number / ORIENTATIONS for number in range(1, ORIENTATIONS)]
    return [math.cos(angle) for angle in angles], [math.sin(angle) for angle in angles]


def lay_hog(layers: Layers[Value], x: Value, side: int) -> Value:
    """Maps [batch, 1, side, side] to features [batch, hog_width(side)], in scikit-image's order."""
    down, across = layers.product(_differences(side), x), layers.product(x, _differences(side).T)
    squares = layers.add(layers.multiply(down, down), layers.multiply(across, across))
    lengths = layers.sqrt(layers.relu(layers.add(squares, _one(-SHORTEST * SCALE**2))))
    shares = layers.multiply(_orientations(layers, down, across), lengths)
    cells, count = layers.average_pool(shares, CELL, CELL), side // CELL
    corners = [(row, column) for row in range(BLOCK) for column in range(BLOCK)]
    blocks = layers.concatenate([_beside(layers, cells, corner, count - BLOCK + 1) for corner in corners], 1)
    normal = _normalised(layers, blocks)
    below = layers.relu(layers.add(layers.multiply(normal, _one(-SCALE)), _one(CUT * SCALE)))
    cut = layers.add(_negative(layers, below), _one(CUT * SCALE))
    return layers.reshape(layers.transpose(_normalised(layers, cut), [0, 2, 3, 1]), [0, -1])


def _differences(side: int) -> Array:
    """What a column is multiplied with to have, of each pixel, its neighbours' difference, scaled; 0 at both ends."""
    found = SCALE * (np.eye(side, k=1) - np.eye(side, k=-1))
    found[[0, -1]] = 0
    return found


def _orientations(layers: Layers[Value], down: Value, across: Value) -> Value:
    """Of each pixel 1 in the channel of its orientation, 0 in the others, [batch, ORIENTATIONS, side, side]."""
    cosines, sines = (np.array(each).reshape(1, -1, 1, 1) for each in rays())
    # The side of a ray, turned by 180 degrees where the gradient points up: an orientation is a line's.
    sides = layers.add(layers.multiply(down, cosines), layers.multiply(across, -sines))
    # [batch, ORIENTATIONS - 1, side, side]
    beyond = layers.relu(layers.sign(layers.add(layers.multiply(sides, down), _one(-LEAST * SCALE**2))))
    last = ORIENTATIONS - 2
    first = layers.add(_negative(layers, layers.part(beyond, 1, 0, 1)), _one(1))
    between = layers.add(layers.part(beyond, 1, 0, last), _negative(layers, layers.part(beyond, 1, 1, last + 1)))
    return layers.concatenate([first, between, layers.part(beyond, 1, last, last + 1)], 1)


def _beside(layers: Layers[Value], cells: Value, corner: Sequence[int], count: int) -> Value:
    """Of each block the cell that lies so far down and to the right in it."""
    for axis, start in enumerate(corner, 2):
        cells = layers.part(cells, axis, start, start + count)
    return cells


def _normalised(layers: Layers[Value], blocks: Value) -> Value:
    """Each block [batch, block's values, rows, columns], scaled, over its length."""
    squares = layers.mean(layers.multiply(blocks, blocks), 1, keep=True)
    sums = layers.multiply(squares, _one(BLOCK**2 * ORIENTATIONS))
    return layers.divide(blocks, layers.sqrt(layers.add(sums, _one((EPSILON * SCALE) ** 2))))


def _negative(layers: Layers[Value], x: Value) -> Value:
    return layers.multiply(x, _one(-1))


def _one(value: float) -> Array:
    """A number as an array that maps are added to or multiplied with."""
    return np.full((1, 1, 1, 1), value)

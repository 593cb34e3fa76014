"""Figures of a model's convolutions, as the bytes of a PNG: filters, channels, maps over the epochs of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from fer_fast.reports.canvas import (
    FAINT,
    GAP,
    MAPS,
    MARGIN,
    TIMES,
    WIDTH,
    cut,
    new_figure,
    panel,
    png,
    styled,
    text,
    tiled,
)
from fer_fast.visualize.layers import sparsity

if TYPE_CHECKING:
    from fer_fast.visualize.layers import Filters, Maps

#: Filters that are shown, and channels of a layer: by Meng et al. 2020, and of a training.
MOST_FILTERS, CHANNELS, FEW_CHANNELS = 128, 25, 16
#: Layers beside each other, and models of a training.
MOST_LAYERS, MOST_EPOCHS = 4, 7

_HEAD, _FOOT = 0.48, 0.3
_LINE = 0.13  # the height of a line above a panel
_NAMES = 0.3  # the width that layers' names take, turned


@dataclass(frozen=True)
class Epoch:
    """What a model of a training makes of the face.

    Attributes:
        name: of the model.
        maps: float32 [channels, h, w] by layer.
    """

    name: str
    maps: Mapping[str, Maps]


def draw_filters(filters: Filters, model: str) -> bytes:
    """The filters of the first convolution, each over its own range: in colour where they see RGB."""
    return png(compose_filters(filters, model))


@styled
def compose_filters(filters: Filters, model: str) -> Figure:
    """See `draw_filters`."""
    count, channels, *sides = filters.weights.shape
    shown = _levels(filters.weights[:MOST_FILTERS])
    across = 8 if len(shown) <= 32 else 16
    rows = -(-len(shown) // across)
    width = WIDTH - 2 * MARGIN
    height = width * rows / across
    figure = new_figure(height + _FOOT + 0.35)
    size = f"{count} {TIMES} {channels} {TIMES} {sides[0]} {TIMES} {sides[1]}"
    _title(figure, f"Filters of the first convolution, {cut(filters.layer, 40)}", size)
    axes = panel(figure, MARGIN, _FOOT, width, height)
    axes.axis("off")
    axes.imshow(np.nan_to_num(tiled(shown, across), nan=1.0), cmap="gray", vmin=0, vmax=1, aspect="auto")
    first = f"; the first {len(shown)} are shown" if count > len(shown) else ""
    each = {1: "its one channel", 3: "RGB"}.get(channels, f"the mean over its {channels} channels")
    _foot(figure, f"Model {cut(model, 24)}; each filter as {each}, 0 is grey, scaled by its largest weight{first}")
    return figure


def draw_channels(pixels: npt.NDArray[np.uint8], maps: Mapping[str, Maps], model: str) -> bytes:
    """The face; below each layer's name the mean over its channels, and its first 25 (Meng et al. 2020)."""
    return png(compose_channels(pixels, maps, model))


@styled
def compose_channels(pixels: npt.NDArray[np.uint8], maps: Mapping[str, Maps], model: str) -> Figure:
    """See `draw_channels`."""
    columns = len(maps) + 1
    side = min((WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns, 2.2)
    lower = _FOOT
    upper = lower + side + GAP
    figure = new_figure(upper + side + _LINE + _HEAD)
    _title(figure, f"Feature maps: the mean over all channels, and the first {CHANNELS} channels", "")
    text(figure, MARGIN, upper + side + 0.05, "image", weight="bold")
    panel(figure, MARGIN, upper, side).imshow(pixels)
    for column, (name, values) in enumerate(maps.items(), 1):
        left = MARGIN + column * (side + GAP)
        _named(figure, left, upper + side + 0.05, side, name, values)
        panel(figure, left, upper, side).imshow(values.mean(axis=0), cmap=MAPS, aspect="auto")
        axes = panel(figure, left, lower, side)
        axes.axis("off")
        axes.imshow(tiled(_own_range(values[:CHANNELS]), 5, 5), cmap=MAPS, vmin=0, vmax=1, aspect="auto")
    _foot(figure, f"Model {cut(model, 24)}; each map over its own range")
    return figure


def draw_epochs(pixels: npt.NDArray[np.uint8], epochs: Sequence[Epoch]) -> bytes:
    """A row a layer, a column a model: the first 16 channels, and below them the share of the layer that is 0."""
    return png(compose_epochs(pixels, epochs))


@styled
def compose_epochs(pixels: npt.NDArray[np.uint8], epochs: Sequence[Epoch]) -> Figure:
    """See `draw_epochs`."""
    columns, layers = len(epochs) + 1, list(epochs[0].maps)
    side = min((WIDTH - 2 * MARGIN - _NAMES - (columns - 1) * GAP / 2) / columns, 1.4)
    step = side + 0.22
    figure = new_figure(len(layers) * step + _HEAD + _FOOT)
    top = len(layers) * step + _FOOT - side
    _title(figure, f"Activation maps: the first {FEW_CHANNELS} channels, and how much of all is zero", "")
    text(figure, MARGIN, top + side + 0.05, "image", weight="bold")
    panel(figure, MARGIN, top, side).imshow(pixels)
    for row, layer in enumerate(layers):
        bottom, left = top - row * step, MARGIN + side + GAP / 2 + _NAMES
        x, y = left - 0.06, bottom + side / 2
        name = _ending(layer, int(16 * side))
        text(figure, x, y, name, rotation=90, ha="right", va="center", weight="bold", size=6.5)
        for column, epoch in enumerate(epochs):
            x = left + column * (side + GAP / 2)
            if row == 0:
                text(figure, x, top + side + 0.05, cut(epoch.name.replace("_", " "), int(side * 14)))
            _activations(figure, x, bottom, side, epoch.maps[layer])
    _foot(
        figure,
        "Each panel from 0 to its largest activation, by the square root; below 0 counts as zero, as behind a ReLU",
    )
    return figure


def _activations(figure: Figure, left: float, bottom: float, side: float, maps: Maps) -> None:
    across = 4
    axes = panel(figure, left, bottom, side)
    axes.axis("off")
    shown = tiled(maps[:FEW_CHANNELS], across, across)
    levels = PowerNorm(0.5, vmin=0, vmax=max(float(np.nanmax(shown)), 1e-9), clip=True)
    axes.imshow(shown, cmap=MAPS, norm=levels, aspect="auto")
    text(figure, left + side / 2, bottom - 0.12, f"{100 * sparsity(maps):.0f} % zero", ha="center", size=6.5)


def _levels(weights: Maps) -> npt.NDArray[np.float32]:
    """Filters [filters, channels, h, w] as levels 0 to 1, 0.5 for a weight of 0: [filters, h, w] or in RGB."""
    shown = weights.transpose(0, 2, 3, 1) if weights.shape[1] == 3 else weights.mean(axis=1)
    largest = np.abs(shown).reshape(len(shown), -1).max(axis=1).reshape(-1, *[1] * (shown.ndim - 1))
    levels: npt.NDArray[np.float32] = 0.5 + 0.5 * shown / np.maximum(largest, np.finfo(np.float32).tiny)
    return levels


def _own_range(maps: Maps) -> Maps:
    """Maps [channels, h, w], each from 0 to 1; an even one is 0."""
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    scaled: Maps = (maps - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return scaled


def _named(figure: Figure, left: float, y: float, side: float, name: str, maps: Maps) -> None:
    """The size below the name, which beside it would have room for a few letters."""
    size = f"{maps.shape[0]} {TIMES} {maps.shape[1]} {TIMES} {maps.shape[2]}"
    text(figure, left, y + _LINE, _ending(name, int(side * 15)), weight="bold", size=6.5)
    text(figure, left, y, size)


def _ending(name: str, length: int) -> str:
    """A layer's name that is not longer: its end tells it from others."""
    return cut(name[::-1], length)[::-1]


def _title(figure: Figure, said: str, right: str) -> None:
    y = figure.get_size_inches()[1] - 0.25
    text(figure, MARGIN, y, said, size=8)
    text(figure, WIDTH - MARGIN, y, right, ha="right")


def _foot(figure: Figure, said: str) -> None:
    text(figure, MARGIN, 0.09, said, size=6, color=FAINT)

"""A figure for a paper, drawn by matplotlib as the bytes of a PNG: what a model makes of one face."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from fer_fast.models.classifier import classifier_of
from fer_fast.reports.canvas import (
    FAINT,
    GAP,
    MAPS,
    MARGIN,
    TIMES,
    WIDTH,
    axes_at,
    cut,
    new_figure,
    panel,
    png,
    styled,
    text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from fer_fast.visualize import Inspection

#: In inches.
HEIGHT = 4.3

_COLUMNS = 5  # the image and four maps
_SIDE = (WIDTH - 2 * MARGIN - (_COLUMNS - 1) * GAP) / _COLUMNS  # of a panel
_UPPER, _LOWER = HEIGHT - 0.46 - _SIDE, 0.5  # where the panels of the two rows stand

_ATTENTION = "inferno"
_BAR, _LIKELIEST = "#b4c1cc", "#2f6690"
_OPAQUE = 0.8  # the strongest attention on the face; the weakest leaves the face as it is

_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}

Map = npt.NDArray[np.float32]


def draw(inspection: Inspection, model: str) -> bytes:
    """Draws what `compose` composes.

    Returns:
        A PNG of `WIDTH` x `HEIGHT` inches.
    """
    return png(compose(inspection, model))


@styled
def compose(inspection: Inspection, model: str) -> Figure:
    """Lays out the feature maps (Oh & Yoo 2023, Figure 3), the attention rollout on the face, and the probabilities.

    Args:
        inspection: what is shown.
        model: the model's name, for the footnote.
    """
    figure = new_figure(HEIGHT)
    _draw_maps(figure, inspection)
    if inspection.rollout is not None:
        _draw_rollout(figure, inspection.rollout, inspection.pixels)
    _draw_probabilities(figure, inspection)
    text(figure, MARGIN, 0.06, _footnote(inspection, model), size=6, color=FAINT)
    return figure


def _draw_maps(figure: Figure, inspection: Inspection) -> None:
    architecture = classifier_of(inspection.config)
    _heading(figure, 0, _UPPER, "a", architecture.maps_title)
    image, *maps = architecture.drawn(inspection.config)
    _panel(figure, 0, _UPPER, image.name, _size(image.channels, inspection.pixels)).imshow(inspection.pixels)
    _below(figure, 0, _UPPER, "center", image.note, style="italic", color=FAINT)
    for column, each in enumerate(maps, 1):
        values = inspection.maps.get(each.name)
        if values is None:
            _panel(figure, column, _UPPER, each.name, "")
            middle = _left(column) + _SIDE / 2, _UPPER + _SIDE / 2
            text(figure, *middle, each.note, ha="center", va="center", color=FAINT)
            continue
        shown = _panel(figure, column, _UPPER, each.name, _size(each.channels, values)).imshow(values, cmap=MAPS)
        _scale(figure, column, _UPPER, shown, values, each.note)


def _draw_rollout(figure: Figure, rollout: Map, pixels: npt.NDArray[np.uint8]) -> None:
    _heading(figure, 0, _LOWER, "b", "Attention rollout")
    grid, size = len(rollout), len(pixels)
    relative = rollout * grid**2  # 1 for each token if attention were even
    levels = Normalize(relative.min(), relative.max(), clip=True)
    tokens = _panel(figure, 0, _LOWER, "tokens", f"{grid} {TIMES} {grid}")
    shown = tokens.imshow(relative, cmap=_ATTENTION, norm=levels)
    _scale(figure, 0, _LOWER, shown, relative, f"{TIMES} even share")
    grey = pixels @ np.array([0.299, 0.587, 0.114])  # [size, size], ITU-R BT.601
    smooth = np.asarray(Image.fromarray(relative).resize((4 * size, 4 * size), Image.Resampling.BILINEAR))
    axes = _panel(figure, 1, _LOWER, "on the face", "")
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
    frame = (-0.5, size - 0.5, size - 0.5, -0.5)
    axes.imshow(smooth, cmap=_ATTENTION, norm=levels, alpha=_OPAQUE * levels(smooth) ** 0.7, extent=frame)


def _draw_probabilities(figure: Figure, inspection: Inspection) -> None:
    _heading(figure, 2, _LOWER, "b" if inspection.rollout is None else "c", "Class probabilities")
    names, probabilities = inspection.prediction.classes, inspection.prediction.probabilities
    left, width = _left(2) + 0.95, 2.75
    axes = axes_at(figure, left, _LOWER, width, _SIDE)
    text(figure, left, _LOWER + _SIDE + 0.05, "calibrated, in %")
    colours = [_LIKELIEST if name == inspection.prediction.label else _BAR for name in names]
    axes.barh(range(len(names)), probabilities, height=0.72, color=colours, zorder=2)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0", "25", "50", "75", "100"], color=FAINT)
    axes.tick_params(length=0, pad=3)
    axes.grid(axis="x", color="0.88", linewidth=0.5)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    height = _SIDE / len(names)
    size = min(7.5, 72 * height)  # many classes are written smaller
    for place, (name, probability) in enumerate(zip(names, probabilities.tolist(), strict=True)):
        options: dict[str, Any] = {"va": "center_baseline", "size": size}
        if name == inspection.prediction.label:
            options["weight"] = "bold"
        y = _LOWER + _SIDE - (place + 0.5) * height
        text(figure, left - 0.06, y, cut(name, 16), ha="right", **options)
        text(figure, left + width * probability + 0.05, y, f"{100 * probability:.1f}", bbox=_ON_WHITE, **options)


def _footnote(inspection: Inspection, model: str) -> str:
    config = inspection.config
    caption = classifier_of(config).caption(config)
    mirrored = ", mean over image and mirror image" if config.flip_average else ""
    return f"Model {cut(model, 24)}: {caption}; temperature {config.temperature:.2f}{mirrored}"


def _size(channels: int, values: npt.NDArray[Any]) -> str:
    return f"{channels} {TIMES} {values.shape[0]} {TIMES} {values.shape[1]}"


def _left(column: int) -> float:
    return MARGIN + column * (_SIDE + GAP)


def _heading(figure: Figure, column: int, row: float, letter: str, said: str) -> None:
    text(figure, _left(column), row + _SIDE + 0.27, letter, weight="bold", size=9)
    text(figure, _left(column) + 0.14, row + _SIDE + 0.27, said, size=8)


def _panel(figure: Figure, column: int, row: float, name: str, size: str) -> Axes:
    text(figure, _left(column), row + _SIDE + 0.05, name, weight="bold")
    text(figure, _left(column) + _SIDE, row + _SIDE + 0.05, size, ha="right")
    return panel(figure, _left(column), row, _SIDE)


def _scale(figure: Figure, column: int, row: float, shown: AxesImage, values: Map, note: str) -> None:
    bar = figure.colorbar(shown, cax=axes_at(figure, _left(column), row - 0.1, _SIDE, 0.05), orientation="horizontal")
    bar.set_ticks([])
    lowest, highest = float(values.min()), float(values.max())
    room = 6 - len(note) // 3  # decimals that do not run into the note between the two
    decimals = min(max(1, 1 - math.floor(math.log10(highest - lowest))), room) if highest > lowest else 1
    _below(figure, column, row, "left", f"{lowest:.{decimals}f}")
    _below(figure, column, row, "center", note, style="italic", color=FAINT)
    _below(figure, column, row, "right", f"{highest:.{decimals}f}")


def _below(figure: Figure, column: int, row: float, side: str, said: str, **options: Any) -> None:
    place = {"left": 0.0, "center": _SIDE / 2, "right": _SIDE}[side]
    text(figure, _left(column) + place, row - 0.23, said, ha=side, **options)

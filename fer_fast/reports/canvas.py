"""What figures for a paper have in common: style, lengths in inches, panels, tiles, and how they become a PNG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Given = ParamSpec("Given")

#: Inches, as all lengths here; that of a page of text, so that nothing has to be scaled.
WIDTH = 7.2
DOTS_PER_INCH = 300
MARGIN, GAP = 0.14, 0.14
FAINT = "0.4"
#: Of a map; perceptually uniform, and in order when printed in grey.
MAPS = "viridis"
TIMES = "\N{MULTIPLICATION SIGN}"

_STYLE = {"font.size": 7.5, "axes.linewidth": 0.5, "xtick.major.width": 0.5, "image.interpolation": "nearest"}
_TILE, _SEAM = 48, 3  # pixels: the least side of a tile, and what is between two


def styled(compose: Callable[Given, Figure]) -> Callable[Given, Figure]:
    """A function that composes a figure, in this style whatever the style around it."""

    @wraps(compose)
    def composed(*args: Given.args, **kwargs: Given.kwargs) -> Figure:
        with matplotlib.style.context(["default", _STYLE]):
            return compose(*args, **kwargs)

    return composed


def png(figure: Figure) -> bytes:
    """A figure as a file, in this style, too."""
    stream = io.BytesIO()
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a class may be named in any script
        figure.savefig(stream, format="png", dpi=DOTS_PER_INCH)
    return stream.getvalue()


def new_figure(height: float) -> Figure:
    """An empty figure of `WIDTH`."""
    return Figure((WIDTH, height), dpi=DOTS_PER_INCH)


def text(figure: Figure, x: float, y: float, said: str, **options: Any) -> None:
    """Writes, as it is, from a place up and right."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, said, parse_math=False, **options)


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))


def panel(figure: Figure, left: float, bottom: float, width: float, height: float = 0.0) -> Axes:
    """The same without ticks, a square without a height."""
    found = axes_at(figure, left, bottom, width, height or width)
    found.set(xticks=[], yticks=[])
    return found


def cut(said: str, length: int) -> str:
    """Text that is not longer, of letters that can be printed."""
    said = "".join(letter if letter.isprintable() else "?" for letter in said)
    return said if len(said) <= length else said[: length - 1] + "…"


def tiled(tiles: npt.NDArray[np.float32], across: int, rows: int = 0) -> npt.NDArray[np.float32]:
    """One picture of many, row by row.

    Args:
        tiles: [tiles, h, w] or [tiles, h, w, 3].
        across: tiles in a row.
        rows: of tiles; 0 is as many as it takes.

    Returns:
        Each tile enlarged to whole pixels, with not-a-number between them and where there are none left.
    """
    factor = -(-_TILE // min(tiles.shape[1:3]))
    tiles = tiles.repeat(factor, axis=1).repeat(factor, axis=2)
    (count, height, width), rows = tiles.shape[:3], rows or -(-len(tiles) // across)
    shape = rows * (height + _SEAM) - _SEAM, across * (width + _SEAM) - _SEAM, *tiles.shape[3:]
    whole = np.full(shape, np.nan, np.float32)
    for place in range(min(count, rows * across)):
        top, left = place // across * (height + _SEAM), place % across * (width + _SEAM)
        whole[top : top + height, left : left + width] = tiles[place]
    return whole

"""A figure for a paper, drawn by matplotlib as the bytes of a PNG: a photo's faces, and what a model makes of each."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from fer_fast.reports.colours import UNSURE, Colour, colours_of
from fer_fast.reports.lettering import cut_name
from fer_fast.reports.marks import Mark
from fer_fast.types import counted

Pixels = npt.NDArray[np.uint8]

#: Inches, as all lengths here.
WIDTH = 7.2
DOTS_PER_INCH = 300

#: Faces that are shown one by one, the largest; beside the photo, and beneath it where there are more.
MOST, _BESIDE = 12, 4
_COLUMNS = 3

_MARGIN, _GAP, _FOOT = 0.12, 0.14, 0.26
_CELL_WIDTH = (WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
_CROP, _HEAD = 0.96, 0.2
_CELL_HEIGHT = _CROP + _HEAD
_HIGHEST = 6.4  # of a photo

_STYLE = {"font.size": 7.0, "axes.linewidth": 0.5, "image.interpolation": "nearest"}
_FAINT, _TRACK = "0.4", "0.93"
_MOST_BARS = 10


@dataclass(frozen=True)
class SeenFace:
    """A face of the photo.

    Attributes:
        mark: its box, in pixels of the photo as it is shown, and its prediction.
        crop: what the model saw, uint8 [S, S, 3].
    """

    mark: Mark
    crop: Pixels


def draw(photo: Pixels, faces: Sequence[SeenFace], model: str) -> bytes:
    """Draws what `compose` composes.

    Returns:
        A PNG, `WIDTH` inches wide.
    """
    stream = io.BytesIO()
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a class may be named in any script
        compose(photo, faces, model).savefig(stream, format="png", dpi=DOTS_PER_INCH)
    return stream.getvalue()


def compose(photo: Pixels, faces: Sequence[SeenFace], model: str) -> Figure:
    """Lays out the photo with numbered boxes, and each face's crop with its probabilities.

    Args:
        photo: uint8 [height, width, 3].
        faces: by falling area; the first `MOST` are shown one by one.
        model: the model's name, for the footnote.
    """
    shown = faces[:MOST]
    beside = len(faces) <= _BESIDE
    room = WIDTH - 2 * _MARGIN - (_CELL_WIDTH + 2 * _GAP if beside and shown else 0)
    tall, wide = photo.shape[:2]
    width = min(room, _HIGHEST * wide / tall)
    height = width * tall / wide
    rows = len(shown) if beside else -(-len(shown) // _COLUMNS)
    grid = rows * _CELL_HEIGHT + max(rows - 1, 0) * _GAP
    whole = max(height, grid) if beside else height + _GAP + grid
    with matplotlib.style.context(["default", _STYLE]):
        page = _Page(Figure((WIDTH, whole + _MARGIN + _FOOT), dpi=DOTS_PER_INCH))
        _draw_photo(page.axes(_MARGIN + (room - width) / 2, _MARGIN, width, height), photo, faces)
        for place, face in enumerate(shown):
            column, row = (0, place) if beside else (place % _COLUMNS, place // _COLUMNS)
            left = WIDTH - _MARGIN - _CELL_WIDTH if beside else _MARGIN + column * (_CELL_WIDTH + _GAP)
            top = _MARGIN + (0 if beside else height + _GAP) + row * (_CELL_HEIGHT + _GAP)
            _draw_face(page, left, top, place, face)
        page.text(_MARGIN, page.height - 0.1, _footnote(faces, model), size=6, color=_FAINT, va="center")
    return page.figure


class _Page:
    """A figure whose lengths are inches from the left upper corner."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.height: float = figure.get_figheight()

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self.height - top - height
        axes = self.figure.add_axes((left / WIDTH, bottom / self.height, width / WIDTH, height / self.height))
        axes.set(xticks=[], yticks=[])
        return axes

    def text(self, x: float, y: float, text: str, **options: object) -> None:
        self.figure.text(x / WIDTH, 1 - y / self.height, text, parse_math=False, **options)  # type: ignore[arg-type]


def _draw_photo(axes: Axes, photo: Pixels, faces: Sequence[SeenFace]) -> None:
    height, width = photo.shape[:2]
    axes.imshow(photo, extent=(0, width, height, 0), interpolation="antialiased")
    for place, face in reversed([*enumerate(faces)]):
        mark = face.mark
        line = 1.6 if len(faces) <= MOST else 1.0
        box = Rectangle((mark.x, mark.y), mark.width, mark.height, fill=False, edgecolor=_hex(_colour(mark)), lw=line)
        box.set_path_effects([Stroke(linewidth=line + 1.2, foreground="black", alpha=0.7), Normal()])
        axes.add_patch(box)
        if place < MOST:
            ground = {"facecolor": "black", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
            corner = max(mark.x, 0), max(mark.y, 0.03 * height)
            axes.text(*corner, str(place), color="white", size=6, va="bottom", ha="left", bbox=ground, clip_on=True)
    axes.set(xlim=(0, width), ylim=(height, 0))


def _draw_face(page: _Page, left: float, top: float, place: int, face: SeenFace) -> None:
    mark = face.mark
    page.text(left, top + 0.5 * _HEAD, str(place), weight="bold", va="center")
    said = cut_name(mark.label or "unsure", 16)
    page.text(left + 0.2, top + 0.5 * _HEAD, said, weight="bold", va="center")
    axes = page.axes(left, top + _HEAD, _CROP, _CROP)
    axes.imshow(face.crop)
    for spine in axes.spines.values():
        spine.set(edgecolor="0.6", linewidth=0.4)
    _draw_bars(page, left + _CROP + 0.06, top + _HEAD, mark)


def _draw_bars(page: _Page, left: float, top: float, mark: Mark) -> None:
    """A bar a class; of very many classes the likeliest."""
    named = [*zip(mark.prediction.classes, mark.prediction.probabilities.tolist(), strict=True)]
    least = sorted(probability for _, probability in named)[-min(_MOST_BARS, len(named))]
    rows = [each for each in named if each[1] >= least][:_MOST_BARS]
    names, numbers = 0.52, 0.33
    width = _CELL_WIDTH - _CROP - 0.06 - names - numbers
    axes = page.axes(left + names, top, width, _CROP)
    colours = colours_of(mark.prediction.classes)
    values = [probability for _, probability in rows]
    axes.barh(range(len(rows)), [1.0] * len(rows), height=0.62, color=_TRACK)
    axes.barh(range(len(rows)), values, height=0.62, color=[_hex(_dark(colours[name])) for name, _ in rows])
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.axis("off")
    step = _CROP / len(rows)
    size = min(6.0, 72 * step)
    for row, (name, probability) in enumerate(rows):
        weight = "bold" if name == mark.prediction.label else "normal"
        y = top + (row + 0.5) * step
        page.text(left + names - 0.04, y, cut_name(name, 12), ha="right", va="center", size=size, weight=weight)
        number = f"{100 * probability:.0f} %"
        page.text(left + names + width + numbers, y, number, ha="right", va="center", size=size, weight=weight)


def _footnote(faces: Sequence[SeenFace], model: str) -> str:
    more = len(faces) - MOST
    rest = f", the {MOST} largest one by one" if more > 0 else ""
    return f"{counted(len(faces), 'face', 'faces')}{rest}; model {cut_name(model, 24)}, calibrated probabilities"


def _colour(mark: Mark) -> Colour:
    return colours_of(mark.prediction.classes)[mark.label] if mark.label else UNSURE


def _dark(colour: Colour) -> Colour:
    """The colour on white ground."""
    red, green, blue = (round(0.82 * part) for part in colour)
    return red, green, blue


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)

"""A figure of a face's way to a class, as the bytes of a PNG."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from fer_fast.reports.canvas import FAINT, GAP, MARGIN, WIDTH, cut, new_figure, panel, png, styled, text
from fer_fast.visualize.dream import OCTAVES

if TYPE_CHECKING:
    from fer_fast.visualize.dream import Dream


def draw_dream(dream: Dream, model: str) -> bytes:
    """The face, then as it is after each octave; below, the class's probability."""
    return png(compose_dream(dream, model))


@styled
def compose_dream(dream: Dream, model: str) -> Figure:
    """See `draw_dream`."""
    columns = len(dream.seen)
    side = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    bottom = 0.45
    figure = new_figure(bottom + side + 0.48)
    text(figure, MARGIN, bottom + side + 0.25, f"DeepDream for {cut(dream.label, 40)}", size=8)
    for column, seen in enumerate(dream.seen):
        left = MARGIN + column * (side + GAP)
        name = f"octave {Fraction(1, OCTAVES[column - 1])}" if column else "image"
        text(figure, left, bottom + side + 0.05, name, weight="bold")
        panel(figure, left, bottom, side).imshow(seen.pixels)
        share = seen.prediction.probabilities[seen.prediction.classes.index(dream.label)]
        text(figure, left + side / 2, bottom - 0.14, f"{100 * share:.1f} %", ha="center")
    added = "what an octave adds has that part of the image's side; below, the class's probability"
    said = f"Model {cut(model, 24)}; {added}"
    text(figure, MARGIN, 0.09, said, size=6, color=FAINT)
    return figure

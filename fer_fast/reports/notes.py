"""What is said of a face in a picture: its label over one bar that the classes share, or over a bar for each class."""

from __future__ import annotations

from PIL import ImageDraw

from fer_fast.reports.colours import UNSURE, Colour
from fer_fast.reports.lettering import font, line_height, percent, plain
from fer_fast.reports.marks import Mark
from fer_fast.reports.places import Box
from fer_fast.types import Prediction

GROUND = (18, 20, 24)
TEXT = (255, 255, 255)
NAMELESS = "unsure"
_NOTE = (*GROUND, 216)  # the photo shines through, so that a note is seen to lie on it
_FAINT = (176, 182, 190)
_TRACK = (255, 255, 255, 40)

#: A panel has so many classes at most, the likeliest.
_MOST_BARS = 8


class Badge:
    """A label over one bar that the classes share.

    Args:
        mark: of the face.
        text: height of its letters, in pixels.

    Attributes:
        size: width and height.
    """

    def __init__(self, mark: Mark, text: int) -> None:
        self._mark, self._font, self._pad = mark, font(text), max(3, text // 4)
        self._line = line_height(text)
        self._bar = max(3, text // 3)
        said = f"{plain(mark.label or NAMELESS)} {percent(mark.prediction.confidence)}"
        # One space is next to none after a digit in Pillow's font.
        self._said = f"{mark.name}  {said}".strip()
        self.size = round(self._font.getlength(self._said)) + 2 * self._pad, self._line + self._bar + 2 * self._pad

    def draw(self, draw: ImageDraw.ImageDraw, spot: Box, colours: dict[str, Colour]) -> None:
        """Draws it in a place of its size."""
        left, top, right, bottom = spot
        draw.rounded_rectangle((left, top, right - 1, bottom - 1), self._pad, fill=_NOTE)
        draw.text((left + self._pad, top + self._pad + self._line // 2), self._said, TEXT, self._font, anchor="lm")
        x, whole = float(left + self._pad), right - left - 2 * self._pad
        foot = bottom - self._pad
        for name, probability in _by_probability(self._mark.prediction):
            end = x + probability * whole
            if round(end) > round(x):
                draw.rectangle((round(x), foot - self._bar, round(end) - 1, foot - 1), fill=colours[name])
            x = end


class Panel:
    """The label, and a bar a class; arguments and attributes as of `Badge`."""

    def __init__(self, mark: Mark, text: int) -> None:
        self._mark, self._pad = mark, max(4, text // 2)
        self._head, self._font = font(round(1.2 * text)), font(text)
        self._line = line_height(text)
        self._rows = _by_class(mark.prediction)
        self._names = round(max(self._font.getlength(plain(name)) for name, _ in self._rows))
        self._numbers = round(self._font.getlength("100 %"))
        self._bars = 4 * text
        self._head_line = round(1.35 * self._line)
        width = self._names + self._bars + self._numbers + 4 * self._pad
        self.size = width, self._head_line + len(self._rows) * self._line + 2 * self._pad

    def draw(self, draw: ImageDraw.ImageDraw, spot: Box, colours: dict[str, Colour]) -> None:
        """Draws it in a place of its size."""
        left, top, right, bottom = spot
        mark = self._mark
        draw.rounded_rectangle((left, top, right - 1, bottom - 1), self._pad // 2, fill=_NOTE)
        y = top + self._pad + self._head_line // 2
        label, colour = plain(mark.label or NAMELESS), colours.get(mark.label, UNSURE)
        draw.text((left + self._pad, y), label, colour, self._head, "lm")
        y = top + self._pad + self._head_line + self._line // 2
        start, half = left + 2 * self._pad + self._names, max(2, self._line // 4)
        for name, probability in self._rows:
            likeliest = name == mark.prediction.label
            draw.text((left + self._pad, y), plain(name), TEXT if likeliest else _FAINT, self._font, "lm")
            draw.rectangle((start, y - half, start + self._bars, y + half), fill=_TRACK)
            if end := round(probability * self._bars):
                draw.rectangle((start, y - half, start + end, y + half), fill=colours[name])
            number = percent(probability)
            draw.text((right - self._pad, y), number, TEXT if likeliest else _FAINT, self._font, "rm")
            y += self._line


def _by_probability(prediction: Prediction) -> list[tuple[str, float]]:
    named = zip(prediction.classes, prediction.probabilities.tolist(), strict=True)
    return sorted(named, key=lambda each: -each[1])


def _by_class(prediction: Prediction) -> list[tuple[str, float]]:
    """In the model's order; of very many classes the likeliest."""
    shown = {name for name, _ in _by_probability(prediction)[:_MOST_BARS]}
    named = zip(prediction.classes, prediction.probabilities.tolist(), strict=True)
    return [(name, probability) for name, probability in named if name in shown]

"""A photo and the faces in it come in, the photo with boxes, labels and bars of probabilities goes out.

A large face has a bar for each class beside it, a smaller one its label over one bar that the classes share, and one
for which there is no room its box alone, in its label's colour; what colours mean stands beneath the photo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from unicodedata import combining, normalize

from PIL import Image, ImageDraw, ImageFont

from fer_fast.reports.colours import UNSURE, Colour, colours_of
from fer_fast.reports.places import Box, Places
from fer_fast.types import Face, Prediction, counted

_GROUND = (18, 20, 24)
_NOTE = (*_GROUND, 216)  # the photo shines through, so that a note is seen to lie on it
_HALO = (0, 0, 0, 170)
_TEXT, _FAINT = (255, 255, 255), (176, 182, 190)
_TRACK = (255, 255, 255, 40)

#: A panel has so many classes at most, the likeliest.
_MOST_BARS = 8
_LONGEST_NAME = 14
_UNSURE = "unsure"
#: Sides of the smallest faces that have a note, in heights of its text; where there are more than `_CROWD` faces notes
#: would hide what they are about.
_LEAST, _LEAST_OF_CROWD, _CROWD = 1.5, 3.0, 24


@dataclass(frozen=True, slots=True)
class Mark:
    """A face as it is drawn.

    Attributes:
        x, y, width, height: of its box, in pixels of the picture.
        prediction: its probabilities.
        label: what it is called; empty where it is not sure enough.
    """

    x: float
    y: float
    width: float
    height: float
    prediction: Prediction
    label: str

    @property
    def side(self) -> float:
        """The longer one of the box."""
        return max(self.width, self.height)


def mark_of(face: Face, prediction: Prediction, factor: float) -> Mark:
    """The mark of a face in a photo that is shown so many times as large."""
    x, y, width, height = (factor * length for length in (face.x, face.y, face.width, face.height))
    return Mark(x, y, width, height, prediction, prediction.label)


def draw_faces(photo: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """Draws on a copy.

    Args:
        photo: upright, RGB.
        marks: the faces, in any order.

    Returns:
        RGB; higher than the photo by what stands beneath it, and as wide as one entry of that needs.
    """
    drawn = photo.copy()
    # The largest last, so that its box is whole; but the first to choose a place.
    ordered = sorted(marks, key=lambda mark: -mark.width * mark.height)
    canvas = _Canvas(drawn, ordered)
    for place in reversed(range(len(ordered))):
        canvas.box(place)
    explained = [canvas.note(place) for place in range(len(ordered))]
    if ordered and all(explained):
        return drawn
    return _over_legend(drawn, ordered)


class _Canvas:
    """A picture that is drawn on; colours may be translucent."""

    def __init__(self, picture: Image.Image, marks: Sequence[Mark]) -> None:
        self._draw = ImageDraw.Draw(picture, "RGBA")
        self._marks = marks
        self._colours = colours_of(marks[0].prediction.classes) if marks else {}
        self._longest = max(picture.size)
        self._boxes = [_corners(mark) for mark in marks]
        self._places = Places(picture.size, self._boxes)

    def box(self, place: int) -> None:
        """The outline of a face: bright on a dark rim, so that it is seen on any photo."""
        mark, (left, top, right, bottom) = self._marks[place], self._boxes[place]
        width = round(min(max(mark.side / 40, 1), max(self._longest / 300, 2)))
        rim = 2 if width > 2 else 1
        self._draw.rectangle((left - rim, top - rim, right + rim, bottom + rim), outline=_HALO, width=width + 2 * rim)
        self._draw.rectangle((left, top, right, bottom), outline=self._colour(mark), width=width)

    def note(self, place: int) -> bool:
        """What is said of a face, where there is room; returns whether that names the classes."""
        mark = self._marks[place]
        text = _text_size(mark.side, self._longest)
        gap = max(5, text // 3)
        if mark.side >= 7 * text:
            panel = _Panel(mark, text)
            if (spot := self._places.take(place, panel.size, gap)) is not None:
                panel.draw(self._draw, spot, self._colours)
                return True
        if mark.side >= (_LEAST if len(self._marks) <= _CROWD else _LEAST_OF_CROWD) * text:
            badge = _Badge(mark, text)
            if (spot := self._places.take(place, badge.size, gap)) is not None:
                badge.draw(self._draw, spot, self._colours)
        return False

    def _colour(self, mark: Mark) -> Colour:
        return self._colours[mark.label] if mark.label else UNSURE


class _Badge:
    """A label over one bar that the classes share."""

    def __init__(self, mark: Mark, text: int) -> None:
        self._mark, self._font, self._pad = mark, _font(text), max(3, text // 4)
        self._line = _line_height(text)
        self._bar = max(3, text // 3)
        self._said = f"{_plain(mark.label or _UNSURE)} {_percent(mark.prediction.confidence)}"
        self.size = round(self._font.getlength(self._said)) + 2 * self._pad, self._line + self._bar + 2 * self._pad

    def draw(self, draw: ImageDraw.ImageDraw, spot: Box, colours: dict[str, Colour]) -> None:
        left, top, right, bottom = spot
        draw.rounded_rectangle((left, top, right - 1, bottom - 1), self._pad, fill=_NOTE)
        draw.text((left + self._pad, top + self._pad + self._line // 2), self._said, _TEXT, self._font, anchor="lm")
        x, whole = float(left + self._pad), right - left - 2 * self._pad
        foot = bottom - self._pad
        for name, probability in _by_probability(self._mark.prediction):
            end = x + probability * whole
            if round(end) > round(x):
                draw.rectangle((round(x), foot - self._bar, round(end) - 1, foot - 1), fill=colours[name])
            x = end


class _Panel:
    """The label, and a bar a class."""

    def __init__(self, mark: Mark, text: int) -> None:
        self._mark, self._pad = mark, max(4, text // 2)
        self._head, self._font = _font(round(1.2 * text)), _font(text)
        self._line = _line_height(text)
        self._rows = _by_class(mark.prediction)
        self._names = round(max(self._font.getlength(_plain(name)) for name, _ in self._rows))
        self._numbers = round(self._font.getlength("100 %"))
        self._bars = 4 * text
        self._head_line = round(1.35 * self._line)
        width = self._names + self._bars + self._numbers + 4 * self._pad
        self.size = width, self._head_line + len(self._rows) * self._line + 2 * self._pad

    def draw(self, draw: ImageDraw.ImageDraw, spot: Box, colours: dict[str, Colour]) -> None:
        left, top, right, bottom = spot
        mark = self._mark
        draw.rounded_rectangle((left, top, right - 1, bottom - 1), self._pad // 2, fill=_NOTE)
        y = top + self._pad + self._head_line // 2
        label, colour = _plain(mark.label or _UNSURE), colours.get(mark.label, UNSURE)
        draw.text((left + self._pad, y), label, colour, self._head, "lm")
        y = top + self._pad + self._head_line + self._line // 2
        start, half = left + 2 * self._pad + self._names, max(2, self._line // 4)
        for name, probability in self._rows:
            likeliest = name == mark.prediction.label
            draw.text((left + self._pad, y), _plain(name), _TEXT if likeliest else _FAINT, self._font, "lm")
            draw.rectangle((start, y - half, start + self._bars, y + half), fill=_TRACK)
            if end := round(probability * self._bars):
                draw.rectangle((start, y - half, start + end, y + half), fill=colours[name])
            number = _percent(probability)
            draw.text((right - self._pad, y), number, _TEXT if likeliest else _FAINT, self._font, "rm")
            y += self._line


def _over_legend(photo: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """The photo, and beneath it what the colours mean and how many faces have each label."""
    text = max(11, round(max(photo.size) / 100))
    font, line, pad = _font(text), round(1.9 * _line_height(text)), text
    lines = _legend_lines(marks, font, photo.width - 2 * pad, text)
    widest = max(_entry_width(*entries[0], font, text) for entries in lines)
    width = max(photo.width, ceil(widest) + 2 * pad)
    whole = Image.new("RGB", (width, photo.height + len(lines) * line + pad // 2), _GROUND)
    whole.paste(photo)
    draw = ImageDraw.Draw(whole)
    y = photo.height + pad // 4 + line // 2
    for entries in lines:
        x = float(pad)
        for said, colour in entries:
            if colour is not None:
                draw.rectangle((x, y - text // 2, x + text, y + text // 2), fill=colour)
                x += 1.5 * text
            draw.text((x, y), said, _TEXT, font, "lm")
            x += font.getlength(said) + 1.6 * text
        y += line
    return whole


def _legend_lines(
    marks: Sequence[Mark], font: ImageFont.FreeTypeFont, room: float, text: int
) -> list[list[tuple[str, Colour | None]]]:
    """What the legend says, in lines that are no wider than `room`, or of one entry."""
    if not marks:
        return [[("no face found", None)]]
    counts = Counter(mark.label for mark in marks)
    classes = colours_of(marks[0].prediction.classes)
    many = counted(len(marks), "face", "faces").replace(" ", "  ")  # one is next to none after a digit in Pillow's font
    entries: list[tuple[str, Colour | None]] = [(many, None)]
    entries += [(f"{_plain(name)} {counts[name] or ''}".strip(), colour) for name, colour in classes.items()]
    entries += [(f"{_UNSURE} {counts['']}", UNSURE)] if counts[""] else []
    lines: list[list[tuple[str, Colour | None]]] = [[]]
    x = 0.0
    for said, colour in entries:
        wide = _entry_width(said, colour, font, text)
        if x and x + wide > room:
            lines.append([])
            x = 0.0
        lines[-1].append((said, colour))
        x += wide + 1.6 * text
    return lines


def _entry_width(said: str, colour: Colour | None, font: ImageFont.FreeTypeFont, text: int) -> float:
    return font.getlength(said) + (1.5 * text if colour is not None else 0)


def _corners(mark: Mark) -> Box:
    left, top = round(mark.x), round(mark.y)
    return left, top, max(left + 1, round(mark.x + mark.width)), max(top + 1, round(mark.y + mark.height))


def _text_size(side: float, longest: int) -> int:
    """In pixels; grows with the face, between what can still be read and what is loud in a picture of that size."""
    least = max(11, round(longest / 110))
    return round(min(max(side / 9, least), max(least, longest / 70)))


def _by_probability(prediction: Prediction) -> list[tuple[str, float]]:
    named = zip(prediction.classes, prediction.probabilities.tolist(), strict=True)
    return sorted(named, key=lambda each: -each[1])


def _by_class(prediction: Prediction) -> list[tuple[str, float]]:
    """In the model's order; of very many classes the likeliest."""
    shown = {name for name, _ in _by_probability(prediction)[:_MOST_BARS]}
    named = zip(prediction.classes, prediction.probabilities.tolist(), strict=True)
    return [(name, probability) for name, probability in named if name in shown]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def cut_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """A class's name as it is shown."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= longest else name[: longest - 1] + "…"


def _plain(name: str) -> str:
    """A class's name in what Pillow's font has, ASCII: letters lose their accents, others become question marks."""
    letters = (letter for letter in normalize("NFKD", name) if not combining(letter))
    return cut_name("".join(letter if letter.isascii() else "?" for letter in letters))


def _line_height(text: int) -> int:
    return round(1.3 * text)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font

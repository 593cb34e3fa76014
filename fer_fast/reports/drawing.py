"""A picture and the faces in it come in, the picture with boxes, labels and bars of probabilities goes out.

A large face has a bar for each class beside it, a smaller one its label over one bar that the classes share, and one
for which there is no room its box alone, in its label's colour; what colours mean stands beneath the photo.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from fer_fast.reports import legend
from fer_fast.reports.colours import UNSURE, Colour, colours_of
from fer_fast.reports.marks import Mark
from fer_fast.reports.notes import GROUND, Badge, Panel
from fer_fast.reports.places import Box, Places

_HALO = (0, 0, 0, 170)

#: Sides of the smallest faces that have a note, in heights of its text; where there are more than `_CROWD` faces notes
#: would hide what they are about.
_LEAST, _LEAST_OF_CROWD, _CROWD = 1.5, 3.0, 24


def draw_faces(photo: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    """Draws on a copy.

    Args:
        photo: upright, RGB.
        marks: the faces, in any order.

    Returns:
        RGB; higher than the photo by what stands beneath it, and as wide as one entry of that needs.
    """
    drawn = photo.copy()
    ordered = _ordered(marks)
    canvas = _Canvas(drawn, ordered)
    canvas.boxes()
    explained = [canvas.note(place) for place in range(len(ordered))]
    if ordered and all(explained):
        return drawn
    foot = legend.strip(legend.counts(ordered), photo.width, max(photo.size))
    whole = Image.new("RGB", (foot.width, photo.height + foot.height), GROUND)
    whole.paste(drawn)
    whole.paste(foot, (0, photo.height))
    return whole


def draw_in_film(picture: Image.Image, marks: Sequence[Mark]) -> None:
    """Draws on a frame of a film, where what is drawn must not jump: all notes are small and of one size.

    Args:
        picture: RGB; it is drawn on.
        marks: the faces, in any order.
    """
    ordered = _ordered(marks)
    canvas = _Canvas(picture, ordered)
    canvas.boxes()
    text = max(11, round(max(picture.size) / 90))
    for place in range(len(ordered)):
        canvas.badge(place, text)


def _ordered(marks: Sequence[Mark]) -> list[Mark]:
    """The largest first: it is the first to choose a place; drawn last, its box is whole."""
    return sorted(marks, key=lambda mark: -mark.width * mark.height)


class _Canvas:
    """A picture that is drawn on; colours may be translucent."""

    def __init__(self, picture: Image.Image, marks: Sequence[Mark]) -> None:
        self._draw = ImageDraw.Draw(picture, "RGBA")
        self._marks = marks
        self._colours = colours_of(marks[0].prediction.classes) if marks else {}
        self._longest = max(picture.size)
        self._boxes = [_corners(mark) for mark in marks]
        self._places = Places(picture.size, self._boxes)

    def boxes(self) -> None:
        """The outlines of all faces."""
        for place in reversed(range(len(self._marks))):
            self._box(place)

    def note(self, place: int) -> bool:
        """What is said of a face, where there is room; returns whether that names the classes."""
        mark = self._marks[place]
        text = _text_size(mark.side, self._longest)
        if mark.side >= 7 * text:
            panel = Panel(mark, text)
            if (spot := self._places.take(place, panel.size, _gap(text))) is not None:
                panel.draw(self._draw, spot, self._colours)
                return True
        self.badge(place, text)
        return False

    def badge(self, place: int, text: int) -> None:
        """The label of a face that is not too small for it, where there is room."""
        mark = self._marks[place]
        if mark.side < (_LEAST if len(self._marks) <= _CROWD else _LEAST_OF_CROWD) * text:
            return
        badge = Badge(mark, text)
        if (spot := self._places.take(place, badge.size, _gap(text))) is not None:
            badge.draw(self._draw, spot, self._colours)

    def _box(self, place: int) -> None:
        """The outline of a face: bright on a dark rim, so that it is seen on any photo."""
        mark, (left, top, right, bottom) = self._marks[place], self._boxes[place]
        width = round(min(max(mark.side / 40, 1), max(self._longest / 300, 2)))
        rim = 2 if width > 2 else 1
        self._draw.rectangle((left - rim, top - rim, right + rim, bottom + rim), outline=_HALO, width=width + 2 * rim)
        self._draw.rectangle((left, top, right, bottom), outline=self._colour(mark), width=width)

    def _colour(self, mark: Mark) -> Colour:
        return self._colours[mark.label] if mark.label else UNSURE


def _gap(text: int) -> int:
    """Between a box and its note."""
    return max(5, text // 3)


def _corners(mark: Mark) -> Box:
    left, top = round(mark.x), round(mark.y)
    return left, top, max(left + 1, round(mark.x + mark.width)), max(top + 1, round(mark.y + mark.height))


def _text_size(side: float, longest: int) -> int:
    """In pixels; grows with the face, between what can still be read and what is loud in a picture of that size."""
    least = max(11, round(longest / 110))
    return round(min(max(side / 9, least), max(least, longest / 70)))

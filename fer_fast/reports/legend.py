"""What is drawn in a picture comes in; a strip that says what the colours mean goes out, to stand beneath it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil

from PIL import Image, ImageDraw, ImageFont

from fer_fast.reports.colours import UNSURE, Colour, colours_of
from fer_fast.reports.lettering import font, line_height, plain
from fer_fast.reports.marks import Mark
from fer_fast.reports.notes import GROUND, NAMELESS, TEXT
from fer_fast.types import counted

#: What is said, and the colour that it is said of.
Entry = tuple[str, Colour | None]


def counts(marks: Sequence[Mark]) -> list[Entry]:
    """How many faces there are, and of each label how many."""
    if not marks:
        return [("no face found", None)]
    labels = Counter(mark.label for mark in marks)
    many = counted(len(marks), "face", "faces").replace(" ", "  ")  # one is next to none after a digit in Pillow's font
    entries: list[Entry] = [(many, None)]
    for name, colour in colours_of(marks[0].prediction.classes).items():
        entries.append((f"{plain(name)} {labels[name] or ''}".strip(), colour))
    return entries + ([(f"{NAMELESS} {labels['']}", UNSURE)] if labels[""] else [])


def names(classes: Sequence[str]) -> list[Entry]:
    """The classes alone."""
    return [(plain(name), colour) for name, colour in colours_of(classes).items()]


def strip(entries: Sequence[Entry], width: int, longest: int) -> Image.Image:
    """Draws the strip.

    Args:
        entries: what it says, in as many lines as that needs.
        width: of the picture above it; it is wider where an entry needs that.
        longest: the picture's longer side.

    Returns:
        RGB.
    """
    text = max(11, round(longest / 100))
    letters, line, pad = font(text), round(1.9 * line_height(text)), text
    lines = _lines(entries, letters, width - 2 * pad, text)
    widest = max(_width(*each[0], letters, text) for each in lines)
    drawn = Image.new("RGB", (max(width, ceil(widest) + 2 * pad), len(lines) * line + pad // 2), GROUND)
    draw = ImageDraw.Draw(drawn)
    y = pad // 4 + line // 2
    for each in lines:
        x = float(pad)
        for said, colour in each:
            if colour is not None:
                draw.rectangle((x, y - text // 2, x + text, y + text // 2), fill=colour)
                x += 1.5 * text
            draw.text((x, y), said, TEXT, letters, "lm")
            x += letters.getlength(said) + 1.6 * text
        y += line
    return drawn


def _lines(entries: Sequence[Entry], letters: ImageFont.FreeTypeFont, room: float, text: int) -> list[list[Entry]]:
    """Lines that are no wider than `room`, or of one entry."""
    lines: list[list[Entry]] = [[]]
    x = 0.0
    for said, colour in entries:
        wide = _width(said, colour, letters, text)
        if x and x + wide > room:
            lines.append([])
            x = 0.0
        lines[-1].append((said, colour))
        x += wide + 1.6 * text
    return lines


def _width(said: str, colour: Colour | None, letters: ImageFont.FreeTypeFont, text: int) -> float:
    return letters.getlength(said) + (1.5 * text if colour is not None else 0)

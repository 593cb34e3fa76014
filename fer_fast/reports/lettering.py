"""What pictures say in letters: names that Pillow's font has, shares, and the font."""

from __future__ import annotations

from functools import cache
from unicodedata import combining, normalize

from PIL import ImageFont

_LONGEST_NAME = 14


def percent(share: float) -> str:
    """Of a share, 0 to 1, without decimals."""
    return f"{100 * share:.0f} %"


def cut_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """A class's name as it is shown."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= longest else name[: longest - 1] + "…"


def plain(name: str) -> str:
    """A class's name in what Pillow's font has, ASCII: letters lose their accents, others become question marks."""
    letters = (letter for letter in normalize("NFKD", name) if not combining(letter))
    return cut_name("".join(letter if letter.isascii() else "?" for letter in letters))


def line_height(text: int) -> int:
    """Of text of a size, in pixels."""
    return round(1.3 * text)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own, in pixels."""
    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont)
    return loaded

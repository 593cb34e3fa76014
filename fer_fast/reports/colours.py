"""Classes' names come in, their colours in pictures go out: light on a dark ground, and each unlike the others."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

Colour = tuple[int, int, int]

_EMOTIONS: dict[str, Colour] = {
    "neutral": (201, 206, 214),
    "happiness": (255, 210, 63),
    "surprise": (255, 140, 66),
    "sadness": (78, 160, 255),
    "anger": (255, 77, 77),
    "disgust": (108, 200, 84),
    "fear": (186, 134, 255),
    "contempt": (64, 214, 200),
}
#: Of a face without a label.
UNSURE: Colour = (255, 255, 255)
_GOLDEN = 0.618034  # steps of it around the circle never come close to an earlier one


def colours_of(classes: Sequence[str]) -> dict[str, Colour]:
    """The colour of each class; those of a model with other classes are spread over the hues."""
    others = [name for name in classes if name not in _EMOTIONS]
    hues = ((0.08 + place * _GOLDEN) % 1.0 for place in range(len(others)))
    found = {name: _light(hue) for name, hue in zip(others, hues, strict=True)}
    return {name: _EMOTIONS.get(name) or found[name] for name in classes}


def _light(hue: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue, 0.66, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)

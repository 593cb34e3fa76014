"""What the paper concludes from its tables, and whether other scores of the same rows say so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

from fer_fast.reproduction.paper import TAPS, paper_rows

#: Test accuracy of rows in per cent, by `PaperRow.name`.
Scores = Mapping[str, float]

_ALL = tuple(row.name for row in paper_rows())
_PAIRS = tuple(" + ".join(names) for names in combinations(TAPS, 2))


@dataclass(frozen=True)
class Claim:
    """A conclusion of the paper.

    Attributes:
        text: what it says.
        check: whether scores say so, in words; empty where they lack a row that it needs.
    """

    text: str
    check: Callable[[Scores], str]


def _extreme(name: str, among: tuple[str, ...], choose: Callable[..., str] = max) -> Callable[[Scores], str]:
    """Checks that a row is the best of some, or by `min` the worst."""

    def check(scores: Scores) -> str:
        if not scores.keys() >= {*among}:
            return ""
        found = choose(among, key=lambda row: scores[row])
        return "yes" if found == name else f"no: {found} ({scores[found]:.2f} against {scores[name]:.2f})"

    return check


def _image_helps(scores: Scores) -> str:
    """How many sets of maps are better with the image than without."""
    sets = [" + ".join(names) for count in range(1, len(TAPS) + 1) for names in combinations(TAPS, count)]
    gains = [scores[f"image + {maps}"] - scores[maps] for maps in sets if {maps, f"image + {maps}"} <= scores.keys()]
    if len(gains) < len(sets):
        return ""
    return f"{sum(gain > 0 for gain in gains)} of {len(sets)}, {sum(gains) / len(sets):+.2f} points on average"


CLAIMS = (
    Claim("FM2 is the best single map", _extreme("FM2", TAPS)),
    Claim("FM1 + FM2 is the best pair of maps", _extreme("FM1 + FM2", _PAIRS)),
    Claim("image + FM2 + FM3 + FM4 is the best of all", _extreme("image + FM2 + FM3 + FM4", _ALL)),
    Claim("FM4 alone is the worst of all", _extreme("FM4", _ALL, min)),
    Claim("the image helps: sets of maps that are better with it", _image_helps),
)

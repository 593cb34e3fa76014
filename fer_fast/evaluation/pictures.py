"""Scores come in, pictures go out: inline SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Scores = Mapping[str, Any]

#: Sizes in pixels of the picture; a narrow page shrinks it.
_LETTER, _CELL_WIDTH, _CELL_HEIGHT = 7.4, 62, 46
_SIDE, _STRIP = 360, 72


def confusion_picture(scores: Scores) -> str:
    """The confusion matrix: counts, and how much of its row each cell is, which is its shade."""
    names, matrix = list(scores["classes"]), scores["confusion"]
    longest = max(map(len, names)) * _LETTER
    left, top, wide = longest + 34, 46, max(_CELL_WIDTH, longest + 6)
    width, height = left + wide * len(names), top + _CELL_HEIGHT * len(names)
    parts = [
        _text(left + wide * len(names) / 2, 14, "answer", "axis"),
        f'<g transform="translate(12 {top + _CELL_HEIGHT * len(names) / 2:g}) rotate(-90)">'
        f"{_text(0, 0, 'true class', 'axis')}</g>",
    ]
    for number, (name, counts) in enumerate(zip(names, matrix, strict=True)):
        middle = top + _CELL_HEIGHT * (number + 0.5)
        parts.append(_text(left + wide * (number + 0.5), top - 10, name, "name"))
        parts.append(_text(left - 8, middle + 4, name, "name end"))
        parts += _row(names, number, counts, (left, middle - _CELL_HEIGHT / 2, wide))
    return _svg("confusion", width, height, "Confusion matrix: counts by true class and answer", parts)


def _row(names: Sequence[str], number: int, counts: Sequence[int], place: tuple[float, float, float]) -> list[str]:
    left, top, wide = place
    total, parts = sum(counts), []
    for column, count in enumerate(counts):
        share, x = count / total if total else 0.0, left + wide * column
        said = f"{names[number]} answered as {names[column]}: {count:,} of {total:,} ({share:.1%})"
        kind = "full" if share > 0.5 else "half" if share > 0.15 else "" if count else "none"
        parts.append(
            f"<g><title>{escape(said)}</title>"
            f'<rect class="cell{" hit" if column == number else ""}" x="{x + 1:g}" y="{top + 1:g}" '
            f'width="{wide - 2:g}" height="{_CELL_HEIGHT - 2}" fill-opacity="{share:.3f}"/>'
            + _text(x + wide / 2, top + 22, f"{count:,}", f"count {kind}".strip())
            + (_text(x + wide / 2, top + 36, _percent(share), f"share {kind}".strip()) if count else "")
            + "</g>"
        )
    return parts


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "<1%"


def reliability_picture(scores: Scores) -> str:
    """The reliability diagram (Guo et al. 2017, Figure 1), and beneath it how many images each bin has."""
    bins = scores["reliability"]
    left, top, gap = 52, 12, 14
    foot = top + _SIDE + gap + _STRIP
    wide, most = _SIDE / len(bins["count"]), max(bins["count"]) or 1
    parts = [*_grid(left, top), *_strip_axis(left, foot, most)]
    for number, (count, sure, true) in enumerate(zip(*bins.values(), strict=True)):
        if not count:
            continue
        x, tall = left + number * wide, true * _SIDE
        ends = f"{number / len(bins['count']):.0%} to {(number + 1) / len(bins['count']):.0%}"
        said = f"confidence {ends}: {count:,} images, mean confidence {sure:.1%}, accuracy {true:.1%}"
        line = top + _SIDE * (1 - sure)
        parts.append(
            f"<g><title>{escape(said)}</title>"
            f'<rect class="bar" x="{x + 1:g}" y="{top + _SIDE - tall:.1f}" width="{wide - 2:g}" height="{tall:.1f}"/>'
            f'<path class="sure" d="M{x + 1:g} {line:.1f}h{wide - 2:g}"/>'
            f'<rect class="many" x="{x + 1:g}" y="{foot - count / most * _STRIP:.1f}" width="{wide - 2:g}" '
            f'height="{count / most * _STRIP:.1f}"/></g>'
        )
    return _svg("reliability", left + _SIDE + 16, foot + 44, "Reliability diagram: accuracy by confidence", parts)


def _grid(left: float, top: float) -> list[str]:
    """The square's lines and numbers, and the diagonal on which confidence is accuracy."""
    parts = []
    for tick in range(0, 101, 20):
        y = top + _SIDE * (1 - tick / 100)
        parts.append(f'<path class="line" d="M{left} {y:g}h{_SIDE}"/>')
        parts.append(_text(left - 8, y + 4, f"{tick}", "tick end"))
    parts.append(f'<path class="diagonal" d="M{left} {top + _SIDE}L{left + _SIDE} {top}"/>')
    turned = f'<g transform="translate(12 {top + _SIDE / 2:g}) rotate(-90)">{_text(0, 0, "accuracy, %", "axis")}</g>'
    return [*parts, turned]


def _strip_axis(left: float, foot: float, most: int) -> list[str]:
    parts = [_text(left + _SIDE * tick / 100, foot + 18, f"{tick}", "tick") for tick in range(0, 101, 20)]
    parts.append(_text(left + _SIDE / 2, foot + 38, "confidence, %", "axis"))
    parts.append(_text(left - 8, foot - _STRIP + 9, f"{most:,}", "tick end"))
    parts.append(_text(left - 8, foot, "0", "tick end"))
    parts.append(f'<path class="line" d="M{left} {foot:g}h{_SIDE}"/>')
    turned = f'<g transform="translate(12 {foot - _STRIP / 2:g}) rotate(-90)">{_text(0, 0, "images", "axis")}</g>'
    return [*parts, turned]


def _svg(kind: str, width: float, height: float, title: str, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    size, label = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}"', escape(title)
    return f'<svg class="{kind}" {size} role="img" aria-label="{label}">\n{inside}\n</svg>\n'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'

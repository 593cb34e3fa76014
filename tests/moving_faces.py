"""Faces that move by known laws, and what a finder would make of them: boxes that tremble, gaps, low scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fer_fast.types import Face

#: A face's centre and size at a time, in pixels; None where it is not in the picture.
Path = Callable[[float], "tuple[float, float, float] | None"]


class Look(NamedTuple):
    """What a finder sees at a time, and of whom each of the faces is."""

    time: float
    faces: list[Face]
    people: list[int]


def face(x: float, y: float, size: float, score: float = 0.9) -> Face:
    """A face about a centre."""
    left, top, height = x - size / 2, y - 0.6 * size, 1.2 * size
    points = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)]
    landmarks = tuple((left + across * size, top + down * height) for across, down in points)
    return Face(left, top, size, height, landmarks, score)  # type: ignore[arg-type]


def line(x: float, y: float, size: float, across: float = 0.0, down: float = 0.0, grow: float = 1.0) -> Path:
    """Straight on, in pixels a second; its size is multiplied by `grow` each second."""
    return lambda time: (x + across * time, y + down * time, size * grow**time)


def sway(x: float, y: float, size: float, reach: float, seconds: float, phase: float = 0.0) -> Path:
    """To and fro about a place, `reach` sizes to each side, once in so many seconds."""

    def at(time: float) -> tuple[float, float, float]:
        turn = 2 * math.pi * time / seconds + phase
        return x + reach * size * math.sin(turn), y + 0.3 * reach * size * math.sin(1.7 * turn), size

    return at


def during(path: Path, start: float, end: float) -> Path:
    """The same, there from a time on until another."""
    return lambda time: path(time) if start <= time < end else None


def regular(rate: float, seconds: float) -> list[float]:
    return [number / rate for number in range(round(seconds * rate))]


def looks(
    paths: Sequence[Path],
    times: Iterable[float],
    *,
    shake: float = 0.0,
    tremble: float = 0.0,
    missed: float = 0.0,
    hidden: bool = True,
    seed: int = 0,
) -> list[Look]:
    """What a finder sees of some people, in a shuffled order.

    Args:
        shake: how far the camera jumps about, in pixels: each look by a normal of this deviation.
        tremble: deviation of boxes' places and sizes, in sizes.
        missed: the share of faces that the finder does not find.
        hidden: whether larger faces hide smaller ones: what is covered by a part gets a low score, by more is missed.
    """
    rng = np.random.default_rng(seed)
    return [_look(paths, time, rng, shake, tremble, missed, hidden) for time in times]


def _look(
    paths: Sequence[Path],
    time: float,
    rng: np.random.Generator,
    shake: float,
    tremble: float,
    missed: float,
    hidden: bool,
) -> Look:
    there = [(person, place) for person, path in enumerate(paths) if (place := path(time)) is not None]
    right, down = rng.normal(0, shake, 2).tolist()
    noise = rng.normal(0, tremble, (len(there), 3))
    found = []
    for (person, (x, y, size)), (dx, dy, ds) in zip(there, noise.tolist(), strict=True):
        nearer = [place for other, place in there if (place[2], -other) > (size, -person)]
        covered = max((_covered((x, y, size), place) for place in nearer), default=0.0) if hidden else 0.0
        if covered > 0.5 or rng.random() < missed:
            continue
        trembling = face(x + dx * size + right, y + dy * size + down, size * math.exp(ds), 0.9 - covered)
        found.append((trembling, person))
    order = rng.permutation(len(found)).tolist()
    return Look(time, [found[place][0] for place in order], [found[place][1] for place in order])


def _covered(small: tuple[float, float, float], large: tuple[float, float, float]) -> float:
    """The part of a face that lies behind another."""
    (x, y, size), (other_x, other_y, other) = small, large
    across = min(x + size / 2, other_x + other / 2) - max(x - size / 2, other_x - other / 2)
    down = min(y + 0.6 * size, other_y + 0.6 * other) - max(y - 0.6 * size, other_y - 0.6 * other)
    return max(0.0, across) * max(0.0, down) / (1.2 * size * size)


def switches(seen: Sequence[Look], tracks: Sequence[Sequence[int | None]]) -> int:
    """How often people get another id than they had."""
    ids: dict[int, list[int]] = {}
    for look, found in zip(seen, tracks, strict=True):
        for person, track in zip(look.people, found, strict=True):
            if track is not None:
                ids.setdefault(person, []).append(track)
    return sum(one != other for had in ids.values() for one, other in pairwise(had))

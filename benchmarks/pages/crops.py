"""docs/crops.md: what cutting faces in one way or another costs comes in, its tables go out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pages.shared import load, table

MODELS = ("fast", "tiny")
FRAMINGS = ("points", "box", "level")
#: Tilts in degrees that are told together.
TILTS: dict[str, tuple[int, ...]] = {"0, 15": (0, 15), "30, 45": (30, 45)}
#: In photos of this kind a face has so many pixels at least, however small the finder sees it.
FINE = 96
#: Of fewer faces no share is told.
LEAST = 50

Row = dict[str, Any]


def sizes() -> str:
    """Found faces and accuracy by the face's height where the finder looks."""
    rows = []
    for height in sorted({row["height"] for row in _rows()}):
        for said, tilts in TILTS.items():
            cases = [row for row in _rows() if row["height"] == height and row["tilt"] in tilts]
            cases = [row for row in cases if row["photo_height"] == max(height, FINE)]
            cells = [_accuracy(cases, model, cut) for model in MODELS for cut in ("true", *FRAMINGS)]
            rows.append([f"{height} px, {said}°", _found(cases), *cells])
    header = [f"`{model}` {cut}" for model in MODELS for cut in ("truth", *FRAMINGS)]
    return f"{table(['face, tilt', 'found, %', *header], rows)}\n\n{_measured()}"


def sides() -> str:
    """Accuracy by the length of the crop's side."""
    wide = [row for row in _rows() if any(" x " in cut for cut in row["fast"])]
    times = sorted({1.0, *(float(cut.rpartition(" x ")[2]) for cut in wide[0]["fast"] if " x " in cut)})
    rows = []
    for case in wide:
        for framing in FRAMINGS:
            cuts = [framing if each == 1 else f"{framing} x {each}" for each in times]
            cells = [_accuracy([case], model, cut) for model in MODELS for cut in cuts]
            rows.append([f"{case['tilt']}°, {framing}", *cells])
    header = [f"`{model}` x {each:g}" for model in MODELS for each in times]
    return table(["tilt, framing", *header], rows)


def again() -> str:
    """Accuracy of landmarks that were looked for again in the crop, enlarged."""
    rows = []
    for height in sorted({row["height"] for row in _rows()}):
        cases = [row for row in _rows() if row["height"] == height and row["photo_height"] == max(height, FINE)]
        if "points again" not in cases[0]["fast"]:
            continue
        cuts = ("points", "box", "points again", "box again")
        rows.append([f"{height} px", *(_accuracy(cases, model, cut) for model in MODELS for cut in cuts)])
    header = [f"`{model}` {cut}" for model in MODELS for cut in ("points", "box", "points, again", "box, again")]
    return table(["face", *header], rows)


def _rows() -> list[Row]:
    return load("crops")["rows"]  # type: ignore[no-any-return]


def _found(cases: list[Row]) -> str:
    return f"{100 * sum(row['found'] for row in cases) / sum(row['faces'] for row in cases):.0f}"


def _accuracy(cases: list[Row], model: str, cut: str) -> str:
    """Of the faces that were found, in percent."""
    found = sum(row["found"] for row in cases)
    right = sum(row["found"] * row[model].get(cut, 0.0) for row in cases)
    return f"{100 * right / found:.1f}" if found >= LEAST else "-"


def _measured() -> str:
    return f"{_rows()[0]['faces']:,} faces a size and tilt; finder {load('crops')['finder'][:12]}."


TABLES: dict[str, Callable[[], str]] = {"crops sizes": sizes, "crops sides": sides, "crops again": again}

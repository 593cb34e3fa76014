"""docs/models.md: the face finder's scores beside YuNet's come in, their tables go out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pages.shared import load, machine, table

from fer_fast.evaluation.finder import size_name
from fer_fast.evaluation.lines import number, percent

Run = Mapping[str, Any]
#: Whose scores by size are shown, and on what.
SHOWN = ("photos", "composed, degraded")


def overview() -> str:
    """Every finder on all photos, the faces that are worth a classification."""
    report = load("finder")
    rows = []
    for run in report["runs"]:
        size = run["sizes"][0]
        shares = number(size["average_precision"]), percent(size["recall"], 1), f"{size['wrong']:,}"
        rows.append([run["material"], _name(run), f"{size['faces']:,}", *shares])
    least = report["runs"][0]["sizes"][0]["least"]
    header = [f"faces of {least:g} px and more", "finder", "faces", "average precision"]
    said = f"Recall and wrong faces at score {report['score']}. On {machine(report['environment'])}"
    return f"{table([*header, 'recall, %', 'wrong'], rows)}\n\n{said}"


def sizes() -> str:
    """By the faces' size: each finder in fp32, as fer_fast runs it."""
    runs = [run for run in load("finder")["runs"] if run["by"] == "fer_fast" and run["precision"] == "fp32"]
    finders = list(dict.fromkeys(run["finder"] for run in runs))
    rows = []
    for material in SHOWN:
        each = [next(run for run in runs if run["material"] == material and run["finder"] == name) for name in finders]
        for same in zip(*(run["sizes"][1:] for run in each), strict=True):
            cells = [cell for size in same for cell in (number(size["average_precision"]), percent(size["recall"], 1))]
            rows.append([f"{material}: {size_name(same[0])} px", f"{same[0]['faces']:,}", *cells])
    header = [f"{name}: {what}" for name in finders for what in ("average precision", "recall, %")]
    return table(["shorter side of the faces", "faces", *header], rows)


def _name(run: Run) -> str:
    by = "" if run["by"] == "fer_fast" else f" by {run['by']}"
    return f"{run['finder']}{by}, {run['precision']}"


TABLES: dict[str, Callable[[], str]] = {"finder": overview, "finder sizes": sizes}

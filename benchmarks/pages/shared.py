"""What the pages share: result files come in, rows and Markdown tables go out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fer_fast.types import counted

RESULTS = Path(__file__).resolve().parent.parent / "results"


def load(name: str) -> dict[str, Any]:
    """One result file."""
    return json.loads((RESULTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, the first column left, the others right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def unmeasured(command: str) -> str:
    """What stands where a table has no figures yet."""
    return f"Not measured yet; `python {command}` does it."


def machine(environment: dict[str, Any]) -> str:
    """What a figure was measured on, in one line."""
    versions = environment["versions"]
    features = [name for name in environment["features"] if name.startswith(("amx", "avx512_"))]
    cores = counted(environment["cores"], "core", "cores")
    return (
        f"{cores} of an {environment['processor']} ({', '.join(features)}; no GPU), "
        f"torch {versions['torch']}, OpenVINO {versions['openvino'].split('-')[0]}, "
        f"commit {str(environment['commit'])[:9]}."
    )


def busy(environment: dict[str, Any], *loads: float) -> str:
    """A sentence where other programs have kept a machine busy meanwhile, by its load averages; else nothing."""
    if max(loads) <= 2 * environment["cores"]:
        return ""
    return f" The machine did other work meanwhile (load {max(loads):.0f}): the times are too long."


def rows_of(stage: str, **wanted: str) -> list[dict[str, Any]]:
    """The timed rows of a stage in bench.json whose cells are as wanted."""
    rows = [row for row in load("bench")["rows"] if row["stage"] == stage and row["state"] == "ok"]
    return [row for row in rows if all(row[field] == value for field, value in wanted.items())]


def bottlenecks_of(stage: str) -> list[dict[str, Any]]:
    """What limits the folders of a stage in bench.json."""
    return [found for found in load("bench")["bottlenecks"] if found["row"]["stage"] == stage]


def median(row: dict[str, Any]) -> float:
    """Images a second."""
    return float(row["images_per_second"]["median"])

"""docs/models.md: the packaged models' evaluations come in, their tables go out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pages.shared import load, table

from fer_fast.evaluation.lines import accuracy, difference_cells, marked_name, number, percent, shown_runs


def scores() -> str:
    """Scores by protocol: what auto chooses, and the reference."""
    rows = []
    for model, split, report in _reports():
        for title, run in shown_runs(report).items():
            for protocol, parts in run["scores"].items():
                full = parts["full"]
                cells = [f"{accuracy(part)}, {part['images']:,}" for part in parts.values()]
                values = percent(full["macro_f1"]), number(full["ece"]), number(full["nll"])
                rows.append([f"`{model}` {title}", split, protocol, *cells, *values])
    header = ["model", "split", "protocol", "accuracy (95 % interval), images", "leakage-free (95 % interval), images"]
    return table([*header, "macro F1", "ECE", "NLL"], rows)


def classes() -> str:
    """Precision and recall of each class on the test split."""
    rows, names = [], []
    for model, split, report in _reports():
        if split != "test":
            continue
        for title, run in shown_runs(report).items():
            each = run["scores"][report["default_protocol"]]["full"]["classes"]
            names = list(each)
            cells = (f"{percent(one['precision'], 1)} / {percent(one['recall'], 1)}" for one in each.values())
            rows.append([f"`{model}` {title}", *cells])
    return table(["precision / recall, %", *names], rows)


def precisions() -> str:
    """Every engine and precision against the reference."""
    rows = []
    for model, split, report in _reports():
        for run in report["runs"]:
            name = [f"`{model}` {marked_name(run, report)}", split]
            if "reason" in run:
                rows.append([*name, "-", "-", "-", f"not offered: {run['reason']}"])
                continue
            full = run["scores"][report["default_protocol"]]["full"]
            lost = run["against_reference"] and run["against_reference"]["falls_too_far"]
            name[0] += " (**loses too much**)" if lost else ""
            rows.append([*name, percent(full["accuracy"]), *difference_cells(run)])
    return table(["model", "split", "accuracy", "points", "labels changed, %", "largest difference"], rows)


def _reports() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Model, split and report."""
    for model, splits in load("models")["models"].items():
        for split, report in splits.items():
            yield model, split, report


TABLES = {"scores": scores, "classes": classes, "precisions": precisions}

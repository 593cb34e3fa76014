"""docs/models.md: the packaged models' evaluations come in, their tables go out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pages.shared import load, machine, table

from fer_fast.evaluation.lines import accuracy, difference_cells, marked_name, number, percent, shown_runs
from fer_fast.evaluation.report import run_of

PROTOCOLS = ("argmax10", "majority", "paper6")


def overview() -> str:
    """All models by what auto chooses, on the test split."""
    rows = []
    for model, splits in load("models")["models"].items():
        report = splits["test"]
        run = run_of(report, "chosen")
        accuracies = [percent(part["accuracy"]) for name in PROTOCOLS for part in run["scores"][name].values()]
        full = run["scores"][report["default_protocol"]]["full"]
        rows.append([f"`{model}`", *accuracies, percent(full["macro_f1"]), number(full["ece"])])
    header = [words for name in PROTOCOLS for words in (name, "leakage-free")]
    measured = f"By what `auto` chooses on {machine(load('models')['environment'])}"
    return f"{table(['test split, accuracy in %', *header, 'macro F1', 'ECE'], rows)}\n\n{measured}"


def scores(model: str) -> str:
    """Scores by protocol: what auto chooses, and the reference."""
    rows = []
    for split, report in _reports(model):
        for title, run in shown_runs(report).items():
            for protocol, parts in run["scores"].items():
                full = parts["full"]
                cells = [f"{accuracy(part)}, {part['images']:,}" for part in parts.values()]
                values = percent(full["macro_f1"]), number(full["ece"]), number(full["nll"])
                rows.append([title, split, protocol, *cells, *values])
    header = ["run", "split", "protocol", "accuracy (95 % interval), images", "leakage-free (95 % interval), images"]
    return table([*header, "macro F1", "ECE", "NLL"], rows)


def classes(model: str) -> str:
    """Precision and recall of each class on the test split."""
    rows, names = [], []
    for split, report in _reports(model):
        if split != "test":
            continue
        for title, run in shown_runs(report).items():
            each = run["scores"][report["default_protocol"]]["full"]["classes"]
            names = list(each)
            cells = (f"{percent(one['precision'], 1)} / {percent(one['recall'], 1)}" for one in each.values())
            rows.append([title, *cells])
    return table(["precision / recall, %", *names], rows)


def precisions(model: str) -> str:
    """Every engine and precision against the reference."""
    rows = []
    for split, report in _reports(model):
        for run in report["runs"]:
            name = [marked_name(run, report), split]
            if "reason" in run:
                rows.append([*name, "-", "-", "-", f"not offered: {run['reason']}"])
                continue
            full = run["scores"][report["default_protocol"]]["full"]
            lost = run["against_reference"] and run["against_reference"]["falls_too_far"]
            name[0] += " (**loses too much**)" if lost else ""
            rows.append([*name, percent(full["accuracy"]), *difference_cells(run)])
    return table(["run", "split", "accuracy", "points", "labels changed, %", "largest difference"], rows)


def _reports(model: str) -> list[tuple[str, dict[str, Any]]]:
    """Split and report."""
    return list(load("models")["models"][model].items())


def _tables() -> dict[str, Callable[[], str]]:
    cards: dict[str, Callable[[str], str]] = {"scores": scores, "classes": classes, "precisions": precisions}
    each = {
        f"{name} {model}": partial(make, model) for model in load("models")["models"] for name, make in cards.items()
    }
    return {"models": overview, **each}


TABLES = _tables()

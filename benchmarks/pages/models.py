"""docs/models.md: the packaged models' evaluations come in, their tables go out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pages.shared import load, machine, table

from fer_fast.evaluation.lines import accuracy, difference_cells, marked_name, name_of, number, percent, shown_runs
from fer_fast.evaluation.report import run_of

PROTOCOLS = ("argmax10", "majority", "paper6")
#: Of hard views, and of another prior: what is left of the others says nothing new.
SEEN_PROTOCOLS = ("argmax10", "majority")


def overview() -> str:
    """All models by what auto chooses, on the test split."""
    rows = []
    for model, splits in load("models")["models"].items():
        report = splits["test"]
        run = run_of(report, "chosen")
        accuracies = [percent(part["accuracy"]) for name in PROTOCOLS for part in run["scores"][name].values()]
        full = _full(report)
        hard = _full(splits["test-hard"]) if "test-hard" in splits else {"accuracy": None, "ece": None}
        seen = [percent(full["macro_f1"]), number(full["ece"]), percent(hard["accuracy"]), number(hard["ece"])]
        rows.append([f"`{model}`", *accuracies, *seen])
    protocols = [words for name in PROTOCOLS for words in (name, "leakage-free")]
    header = ["test split, accuracy in %", *protocols, "macro F1", "ECE", "hard views", "their ECE"]
    measured = f"By what `auto` chooses on {machine(load('models')['environment'])}"
    return f"{table(header, rows)}\n\n{measured}"


def scores(model: str) -> str:
    """Scores by protocol: what auto chooses, and the reference."""
    rows = []
    for split, report in _reports(model):
        for title, run in shown_runs(report).items():
            if report.get("alone"):  # of what auto had chosen
                title = f"{name_of(run)} (auto)"
            for protocol, parts in run["scores"].items():
                if report.get("alone") and protocol not in SEEN_PROTOCOLS:
                    continue
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
        for run in [] if report.get("alone") else report["runs"]:
            name = [marked_name(run, report), split]
            if "reason" in run:
                rows.append([*name, "-", "-", "-", f"not offered: {run['reason']}"])
                continue
            full = run["scores"][report["default_protocol"]]["full"]
            lost = run["against_reference"] and run["against_reference"]["falls_too_far"]
            name[0] += " (**loses too much**)" if lost else ""
            rows.append([*name, percent(full["accuracy"]), *difference_cells(run)])
    return table(["run", "split", "accuracy", "points", "labels changed, %", "largest difference"], rows)


def priors() -> str:
    """What another mix of classes does on the test split, by what auto chooses."""
    rows = []
    for model, reports in load("models")["models"].items():
        for prior, name in (("train", "test"), ("balanced", "test-balanced")):
            full = _full(reports[name])
            recalls = [each["recall"] for each in full["classes"].values() if each["recall"] is not None]
            values = percent(full["accuracy"]), percent(sum(recalls) / len(recalls)), percent(full["macro_f1"])
            rows.append([f"`{model}`", prior, *values, number(full["ece"])])
    return table(["test split, argmax10", "prior", "accuracy", "mean recall", "macro F1", "ECE"], rows)


def _full(report: dict[str, Any]) -> dict[str, Any]:
    """Scores on all images of what auto chooses."""
    return run_of(report, "chosen")["scores"][report["default_protocol"]]["full"]  # type: ignore[no-any-return]


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
PRIOR_TABLES = {"priors": priors}

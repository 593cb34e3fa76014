"""docs/models.md, docs/small-cnns.md: the study's evaluations come in, tables go out, beside what the paper reports."""

from __future__ import annotations

import csv
from typing import Any

from pages import shared
from pages.shared import busy, load, machine, table, unmeasured

from fer_fast.evaluation.lines import accuracy, number, percent
from fer_fast.evaluation.report import run_of

#: Accuracies that Alizadeh & Fazel 2017 report, validation and test, in %, of FER2013's own labels.
PAPER = {"cnn-shallow": ("55", "54"), "cnn-deep": ("65", "64")}
#: Of the hybrids it says that they are about as good as those without HOG.
HYBRID = ("as without", "as without")
#: Test accuracy of each class, in the order of FERPlus.
PAPER_CLASSES = {
    "cnn-shallow": {
        **{"neutral": 39.9, "happiness": 75.0, "surprise": 67.5, "sadness": 32.0},
        **{"anger": 41.0, "disgust": 32.0, "fear": 54.0},
    },
    "cnn-deep": {
        **{"neutral": 51.5, "happiness": 80.5, "surprise": 62.5, "sadness": 63.0},
        **{"anger": 53.0, "disgust": 70.0, "fear": 46.0},
    },
}
CLASSES = tuple(PAPER_CLASSES["cnn-deep"])


def study() -> str:
    """A row a model: scores by what auto chooses, the paper's, size, and speed beside a packaged model's."""
    record, rows = load("study"), []
    for name, model in record["models"].items():
        parts = _scores(model)
        full, fresh, six = parts["full"], parts["leakage_free"], _scores(model, "paper6")["full"]
        seen = [accuracy(full), accuracy(fresh), accuracy(six), percent(full["macro_f1"]), number(full["ece"])]
        size = [f"{model['weights']:,}", f"{model['bytes'] / 1e6:.2f}"]
        speeds = [f"{speed[name]['ratio']:.0f}" for speed in record["speed"].values()]
        rows.append([f"`{name}`", *seen, PAPER.get(name, HYBRID)[1], *size, *speeds])
    beside = record["beside"]
    ratios = [f"speed, `{beside}` is 1, {precision}" for precision in record["speed"]]
    scores = ("accuracy (95 % interval), %", "leakage-free, %", "paper6, %", "macro F1, %", "ECE")
    header = ["model", *scores, "the paper's accuracy, %", "weights", "MB", *ratios]
    return f"{table(header, rows)}\n\nScores by what `auto` chooses{_timed(record)}"


def _timed(record: dict[str, Any]) -> str:
    """How, or that speed is not measured."""
    about = record["environment"]
    if not record["speed"]:
        return f" on {machine(about)} Speed: {unmeasured('benchmarks/study.py --data FERPLUS')}"
    loads = [about[when][0] for when in ("load_average", "load_average_after")]
    return f"; speed by OpenVINO on {machine(about)}{busy(about, *loads)}"


def accuracies() -> str:
    """A row a model: validation and test accuracy, and the paper's."""
    rows = []
    for name, model in load("study")["models"].items():
        full, fresh = _scores(model)["full"], _scores(model)["leakage_free"]
        valid, test = PAPER.get(name, HYBRID)
        seen = [accuracy(full), accuracy(fresh), percent(full["macro_f1"]), f"{full['images']:,}"]
        rows.append([f"`{name}`", f"{100 * _validation(name):.2f}", valid, seen[0], test, *seen[1:]])
    header = ["model", "validation, %", "the paper's", "test (95 % interval), %", "the paper's", "leakage-free, %"]
    return table([*header, "macro F1, %", "test images"], rows)


def classes() -> str:
    """What share of each class is found, and what the paper reports."""
    rows = []
    for name, model in load("study")["models"].items():
        each = _scores(model)["full"]["classes"]
        rows.append([f"`{name}`", *(percent(each[one]["recall"], 1) for one in CLASSES)])
        if name in PAPER_CLASSES:
            rows.append(["the paper's", *(f"{PAPER_CLASSES[name][one]:.1f}" for one in CLASSES)])
    return table(["found, %", *CLASSES], rows)


def confusion() -> str:
    """A table a model: what the faces of each class are taken for."""
    tables = []
    for name, model in load("study")["models"].items():
        full = _scores(model)["full"]
        counts = zip(full["classes"], full["confusion"], strict=True)
        rows = [[truth, *(f"{100 * one / sum(row):.0f}" for one in row), f"{sum(row):,}"] for truth, row in counts]
        tables.append(table([f"`{name}`: is / taken for, %", *full["classes"], "faces"], rows))
    return "\n\n".join(tables)


def _validation(name: str) -> float:
    """The largest validation accuracy of a model's run, which is that of the weights that are kept."""
    with (shared.RESULTS / "training" / f"{name.replace('-', '_')}.csv").open(newline="") as file:
        return max(float(row["valid_accuracy"]) for row in csv.DictReader(file) if row["valid_accuracy"])


def _scores(model: dict[str, Any], protocol: str = "paper7") -> dict[str, Any]:
    """By a protocol, all images and those that do not leak, of what auto chooses."""
    return run_of(model["test"], "chosen")["scores"][protocol]  # type: ignore[no-any-return]


TABLES = {"study": study}
OWN_TABLES = {"accuracies": accuracies, "classes": classes, "confusion": confusion}

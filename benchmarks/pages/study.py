"""docs/models.md: the study's evaluations come in, their tables go out, beside what their paper reports."""

from __future__ import annotations

from typing import Any

from pages.shared import busy, load, machine, table

from fer_fast.evaluation.lines import accuracy, number, percent
from fer_fast.evaluation.report import run_of

#: Test accuracy that Alizadeh & Fazel 2017 report, in %, of FER2013's own labels.
PAPER = {"cnn-shallow": 54.0, "cnn-deep": 64.0}
#: The same of each class, in the order of FERPlus.
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


def study() -> str:
    """A row a model: scores by what auto chooses, the paper's, size, and speed beside a packaged model's."""
    record, rows = load("study"), []
    for name, model in record["models"].items():
        parts = _scores(model)
        full, fresh, six = parts["full"], parts["leakage_free"], _scores(model, "paper6")["full"]
        seen = [accuracy(full), accuracy(fresh), accuracy(six), percent(full["macro_f1"]), number(full["ece"])]
        size = [f"{model['weights']:,}", f"{model['bytes'] / 1e6:.2f}"]
        speeds = [f"{speed[name]['ratio']:.0f}" for speed in record["speed"].values()]
        rows.append([f"`{name}`", *seen, f"{PAPER[name]:.1f}", *size, *speeds])
    beside = record["beside"]
    ratios = [f"speed, `{beside}` is 1, {precision}" for precision in record["speed"]]
    scores = ("accuracy (95 % interval), %", "leakage-free, %", "paper6, %", "macro F1, %", "ECE")
    header = ["model", *scores, "the paper's accuracy, %", "weights", "MB", *ratios]
    about = record["environment"]
    loads = [about[when][0] for when in ("load_average", "load_average_after")]
    made = f"Scores by what `auto` chooses; speed by OpenVINO on {machine(about)}{busy(about, *loads)}"
    return f"{table(header, rows)}\n\n{made}"


def classes() -> str:
    """What share of each class is found, and what the paper reports."""
    models = load("study")["models"]
    names = [*next(iter(PAPER_CLASSES.values()))]
    rows = []
    for name, model in models.items():
        each = _scores(model)["full"]["classes"]
        rows.append([f"`{name}`", *(percent(each[one]["recall"], 1) for one in names)])
        rows.append(["the paper's", *(f"{PAPER_CLASSES[name][one]:.1f}" for one in names)])
    return table(["found, %", *names], rows)


def _scores(model: dict[str, Any], protocol: str = "paper7") -> dict[str, Any]:
    """By a protocol, all images and those that do not leak, of what auto chooses."""
    return run_of(model["test"], "chosen")["scores"][protocol]  # type: ignore[no-any-return]


TABLES = {"study": study, "study classes": classes}

"""docs/models.md: the packaged models' scores come in, their tables go out."""

from __future__ import annotations

from pages.shared import load, table


def scores() -> str:
    """Scores of the packaged model, by protocol."""
    result = load("models")
    rows = []
    for model, runs in result["models"].items():
        for precision, run in runs.items():
            for split, protocols in run["scores"].items():
                for protocol, scores in protocols.items():
                    full, free = scores["full"], scores["leakage_free"]
                    cells = [f"{100 * part['accuracy']:.2f} ({part['images']:,})" for part in (full, free)]
                    rows.append([f"`{model}` {precision}", split, protocol, *cells, f"{full['ece']:.3f}"])
    header = ["model", "split", "protocol", "accuracy, full (images)", "leakage-free (images)", "calibration error"]
    return table(header, rows)


def recall() -> str:
    """Recall of each class on the test split."""
    result = load("models")
    rows, classes = [], []
    for model, runs in result["models"].items():
        for precision, run in runs.items():
            recall = run["scores"]["test"]["argmax10"]["full"]["recall"]
            classes = list(recall)
            rows.append([f"`{model}` {precision}", *(f"{100 * value:.1f}" for value in recall.values())])
    return table(["recall, %", *classes], rows)


TABLES = {"scores": scores, "recall": recall}

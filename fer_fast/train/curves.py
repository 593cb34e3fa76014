"""The curves of a run's log, as one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_fast.train.record import keep


def draw_curves(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws training loss, validation loss and accuracies, and the learning rate, over the steps.

    Args:
        rows: of `record.LOG_FIELDS`; numbers, or their text.
        path: the PNG.

    Raises:
        ImportError: without matplotlib.
        FerFastError: if it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    loss, rate = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    loss.plot(*_points(rows, "loss"), color="tab:gray", label="training loss (augmented, with auxiliary)")
    loss.plot(*_points(rows, "valid_nll"), "o-", color="tab:blue", label="validation loss (vote distributions)")
    loss.set_ylabel("cross entropy")
    accuracy = loss.twinx()
    accuracy.plot(*_points(rows, "valid_accuracy", 100), "s-", color="tab:orange", label="validation accuracy")
    if (hard := _points(rows, "hard_accuracy", 100))[0]:
        accuracy.plot(*hard, "^--", color="tab:red", label="the same of hard views")
    accuracy.set_ylabel("accuracy, %")
    handles = [*loss.get_lines(), *accuracy.get_lines()]
    loss.legend(
        handles, [str(line.get_label()) for line in handles], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3
    )
    rate.plot(*_points(rows, "learning_rate"), color="tab:green")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("step")
    for axes in (loss, rate):
        axes.grid(alpha=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    keep(path, picture.getvalue())


def _points(rows: Sequence[dict[str, Any]], name: str, factor: float = 1.0) -> tuple[list[int], list[float]]:
    """Steps and values of a column, where it has a value."""
    kept = [row for row in rows if row[name] not in (None, "")]
    return [int(row["step"]) for row in kept], [factor * float(row[name]) for row in kept]

"""docs/reproduction.md: the rows of the paper's study come in, its tables go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pages.shared import RESULTS, load, machine, table, unmeasured

from fer_fast.reproduction.page import body, spearman
from fer_fast.reproduction.paper import read_published
from fer_fast.train.recipe import load_recipe


def study() -> str:
    """Protocol, the three tables, and how they compare with the paper's."""
    record = load("reproduction")
    text = body(record["rows"], load_recipe(record["recipe"]), read_published())
    return f"{text}\n\nTrained on {machine(record['environment'])}"


def steps() -> str:
    """The rows that were given the paper's steps, beside the paper's and the same rows with fewer."""
    if not (RESULTS / "reproduction_steps.json").exists():
        return unmeasured("fer-fast tables --recipe paper-steps --rows NAMES --reading mean")
    short, long = load("reproduction"), load("reproduction_steps")
    few, many = (load_recipe(record["recipe"]).stages[0].steps for record in (short, long))
    published, fewer = read_published(), {_key(row): row for row in short["rows"]}
    rows, columns = [], []
    for row in long["rows"]:
        before, paper = fewer[_key(row)], published[" + ".join(row["sources"])]
        kept = [before["train"], before["test"], *(row[name] for name in ("train", "test", "test_leakage_free"))]
        columns.append((paper["test"], 100 * before["test"], 100 * row["test"]))
        numbers = [paper["train"], paper["test"], *(100 * each for each in kept)]
        rows.append([" + ".join(row["sources"]), *(f"{number:.2f}" for number in numbers)])
    header = ["sources, (a)", "paper train", "paper test", f"{few:,} steps: train", "test"]
    header += [f"{many:,} steps: train", "test", "fresh"]
    paper, *ours = zip(*columns, strict=True)
    said = [f"- {count:,} steps: {_distance(paper, tests)}." for count, tests in zip((few, many), ours, strict=True)]
    seconds = sum(row["seconds"] for row in long["rows"])
    machines = f"Trained in {seconds / 60:.0f} minutes of one core on {machine(long['environment'])}"
    return "\n".join([table(header, rows), "", *said, "", machines])


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["reading"], *row["sources"])


def _distance(paper: Sequence[float], ours: Sequence[float]) -> str:
    """How far from the paper in level and order."""
    gap = np.mean(np.abs(np.subtract(paper, ours)))
    return f"mean distance to the paper {gap:.2f} points, rank correlation (Spearman) {spearman(paper, ours):.3f}"


TABLES = {"study": study, "steps": steps}

"""The paper's rows as they were trained here, in Markdown beside the paper's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_fast.models.fusion.config import fusion_config
from fer_fast.reproduction.claims import CLAIMS, Scores
from fer_fast.reproduction.paper import paper_rows
from fer_fast.train.recipe import Recipe
from fer_fast.types import counted

_TITLES = {1: "Table 1: one source", 2: "Table 2: feature maps together", 3: "Table 3: the image with feature maps"}
_READINGS = {
    "mean": "(a) the channel mean of each map, resized to the image, as the paper's Figure 3 shows",
    "channels": "(b) all channels of each map on the token grid",
}

Rows = Sequence[dict[str, Any]]
Published = dict[str, dict[str, float]]


def page(rows: Rows, recipe: Recipe, published: Published) -> str:
    """The page.

    Args:
        rows: what `tables.read_rows` gives.
        recipe: what they were trained by.
        published: what the paper reports, by row, in per cent (`paper.read_published`).
    """
    return f"# The study of Oh & Yoo 2023, trained again\n\n{body(rows, recipe, published)}\n"


def body(rows: Rows, recipe: Recipe, published: Published) -> str:
    """The page without its title."""
    lines = [*_protocol(recipe), ""]
    for table, title in _TITLES.items():
        lines += [f"## {title}", "", *_table(rows, table, published), ""]
    if any(row["test"] is None for row in rows):
        lines += ["Diverged: the loss was no longer finite at some step; such a row has no score.", ""]
    lines += ["## What the paper's numbers say", "", *_comparison(rows, published), "", *_claims(rows, published)]
    return "\n".join(lines)


def _protocol(recipe: Recipe) -> list[str]:
    config, stage = fusion_config(recipe.config(("0", "1"))), recipe.stages[0]
    course = "a constant" if recipe.schedule == "constant" else "one cycle up to a"
    rate = f"{course} learning rate of {recipe.learning_rate}"
    return [
        f"Six classes (`paper6`), frozen ImageNet ResNet-18, {config.image_size} px, {config.grid**2} tokens, a",
        f"Vision Transformer of width {config.width}, depth {config.depth} and {config.heads} heads, Adam",
        f"({rate}), batch {recipe.batch_size}, {stage.steps:,} steps, seed {recipe.seed}.",
        "No augmentation; the last step is scored. How a map enters the Vision Transformer the paper leaves open; both",
        "readings are here:",
        "",
        *(f"- {text}" for text in _READINGS.values()),
        "",
        "Accuracies in per cent. Test is FERPlus' test split; *fresh* leaves out its images whose pixels also occur in",
        "the training or validation split.",
    ]


def _table(rows: Rows, table: int, published: Published) -> list[str]:
    head = ["sources", "paper train", "paper test"]
    head += [f"({letter}) {what}" for letter in "ab" for what in ("train", "test", "fresh")]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in paper_rows():
        if row.table != table:
            continue
        paper = published.get(row.name, {})
        cells = [row.name, *(f"{paper[split]:.2f}" if split in paper else "" for split in ("train", "test"))]
        for reading in _READINGS:
            found = _find(rows, row.name, reading)
            keys = ("train", "test", "test_leakage_free")
            cells += [_percent(found[key]) for key in keys] if found else ["", "", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _percent(accuracy: float | None) -> str:
    return "diverged" if accuracy is None else f"{100 * accuracy:.2f}"


def _find(rows: Rows, name: str, reading: str) -> dict[str, Any] | None:
    """A row in a reading; the image alone has no map, so it is the same in both."""
    for row in rows:
        if " + ".join(row["sources"]) == name and (row["reading"] == reading or name == "image"):
            return row
    return None


def _comparison(rows: Rows, published: Published) -> list[str]:
    lines = []
    for reading, text in _READINGS.items():
        pairs = [
            (paper["test"], 100 * found["test"])
            for name, paper in published.items()
            if "test" in paper and (found := _find(rows, name, reading)) and found["test"] is not None
        ]
        gaps = [abs(paper - ours) for paper, ours in pairs]
        over = counted(len(gaps), "row", "rows")
        said = f"mean distance to the paper {np.mean(gaps):.2f} points over {over}" if gaps else "no row"
        if len(pairs) >= 3:
            correlation = spearman([paper for paper, _ in pairs], [ours for _, ours in pairs])
            said += f", rank correlation (Spearman) {correlation:.3f}"
        else:
            said += f"; a rank correlation needs three rows of the paper or more, {len(pairs)} are known here"
        lines.append(f"- {text}: {said}.")
    both = [
        (first["test"], second["test"])
        for row in paper_rows()
        if row.name != "image"
        and (first := _find(rows, row.name, "mean"))
        and (second := _find(rows, row.name, "channels"))
        and None not in (first["test"], second["test"])
    ]
    if len(both) >= 3:
        correlation = spearman([first for first, _ in both], [second for _, second in both])
        lines.append(f"- the two readings with each other: rank correlation {correlation:.3f} over {len(both)} rows.")
    return lines


def _claims(rows: Rows, published: Published) -> list[str]:
    """A line a conclusion of the paper: whether its own numbers say so, and those of each reading."""
    names = [row.name for row in paper_rows()]
    all_scores: list[Scores] = [{name: published[name]["test"] for name in names if "test" in published.get(name, {})}]
    for reading in _READINGS:
        found = {name: _find(rows, name, reading) for name in names}
        tests = {name: row["test"] for name, row in found.items() if row is not None}
        all_scores.append({name: 100 * test for name, test in tests.items() if test is not None})
    lines = ["| the paper concludes | its numbers | (a) | (b) |", "| --- | --- | --- | --- |"]
    for claim in CLAIMS:
        lines.append("| " + " | ".join([claim.text, *(claim.check(scores) for scores in all_scores)]) + " |")
    return lines


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share the mean of their ranks. NaN if one side is constant."""
    ranks = [_ranks(np.asarray(values)) for values in (first, second)]
    if any(np.ptp(each) == 0 for each in ranks):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.array([(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values])

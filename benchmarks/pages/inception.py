"""docs/inception.md: the scores of the three experiments come in, tables go out, beside what the paper reports."""

from __future__ import annotations

import csv
import math
from itertools import pairwise
from pathlib import Path

from pages import shared
from pages.shared import load, machine, table

from fer_fast.evaluation.lines import accuracy, percent

#: Meng, Yuan & Yan 2020, test accuracy on FERPlus in %; which fusion its last figure is of the paper does not say.
PAPER = {
    "inception-deepest": "47.7",
    "inception-subdeep": "59.4",
    "inception-fusion": "63.6",
    "inception-fusion-maximum": "63.6",
}
#: What each is, in the paper's words, and of the fusion the reading.
EXPERIMENTS = {
    "inception-deepest": "(1) deepest",
    "inception-subdeep": "(2) sub-deep",
    "inception-fusion": "(3) fused, by the sum",
    "inception-fusion-maximum": "(3) fused, by the maximum",
}
#: The order that the paper reports, once for each reading.
ORDERS = (
    ("inception-deepest", "inception-subdeep", "inception-fusion"),
    ("inception-deepest", "inception-subdeep", "inception-fusion-maximum"),
)
STAND_IN = "Inception v3's weights are the stand-in's, not torchvision's."


def scores() -> str:
    """A row an experiment."""
    record, rows = load("inception"), []
    for name, model in record["models"].items():
        full, fresh = model["scores"]["full"], model["scores"]["leakage_free"]
        seen = [f"{100 * model['validation']['accuracy']:.2f}", accuracy(full), PAPER[name], accuracy(fresh)]
        size = [percent(full["macro_f1"]), f"{model['learnt']:,}", f"{model['weights']:,}"]
        rows.append([f"{EXPERIMENTS[name]}: `{name}`", *seen, *size])
    header = ["experiment", "validation, %", "test (95 % interval), %", "the paper's", "leakage-free, %"]
    first = next(iter(record["models"].values()))
    learnt, tested = record["training_images"], first["scores"]["full"]["images"]
    told = (
        f"{learnt:,} training images, {tested:,} of the test split, {first['validation']['steps']:,} steps of 100. "
        f"Scored by kept features; of the first {first['compared']} images OpenVINO in fp32 gives the same answer to "
        f"{min(model['agreeing'] for model in record['models'].values())} or more. "
        f"{STAND_IN} On {machine(record['environment'])}"
    )
    return f"{table([*header, 'macro F1, %', 'weights learnt', 'weights'], rows)}\n\n{told}"


def order() -> str:
    """Whether each step of the paper's order is there, by the images on which one of two models alone is right."""
    record, rows = load("inception"), {}
    alone = {tuple(pair["models"]): pair["alone"] for pair in record["pairs"]}
    for names in ORDERS:
        for worse, better in pairwise(names):
            images = record["models"][worse]["scores"]["full"]["images"]
            points = f"{float(PAPER[better]) - float(PAPER[worse]):+.1f}"
            rows[worse, better] = [f"{EXPERIMENTS[worse]} < {EXPERIMENTS[better]}", points]
            rows[worse, better] += _step(*alone[worse, better], images)
    header = ["the paper", "points there", "points here (95 % interval)", "held"]
    told = "Intervals are of the difference on the same images: what both models get right or wrong says nothing of it"
    return f"{table(header, list(rows.values()))}\n\n{told} (McNemar 1947). {STAND_IN}"


def seeds() -> str:
    """Validation accuracy of each seed's run, by its log."""
    rows = []
    for name, experiment in EXPERIMENTS.items():
        log = shared.RESULTS / "training" / f"{name.replace('-', '_')}.csv"
        again = log.with_stem(f"{log.stem}_2")
        rows.append(
            [experiment, *(f"{100 * _reached(run):.2f}" if run.is_file() else "not run" for run in (log, again))]
        )
    return f"{table(['validation, %', 'seed 1', 'seed 2'], rows)}\n\n{STAND_IN}"


def _reached(log: Path) -> float:
    """The largest validation accuracy of a run."""
    with log.open(newline="") as file:
        return max(float(row["valid_accuracy"]) for row in csv.DictReader(file) if row["valid_accuracy"])


def _step(worse: int, better: int, images: int) -> list[str]:
    """By how many points the second is better, and whether that is more than chance; counts of images right alone."""
    points = 100 * (better - worse) / images
    reach = 196 * math.sqrt(worse + better - (better - worse) ** 2 / images) / images
    held = "yes" if points > reach else "no, the other way" if points < -reach else "not told apart"
    return [f"{points:+.2f} ({points - reach:+.2f} to {points + reach:+.2f})", held]


TABLES = {"scores": scores, "order": order, "seeds": seeds}

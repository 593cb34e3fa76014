"""Accuracy against speed: validation scores of models, as faces are and by hard views, and images a second.

    python benchmarks/frontier.py tiny fast accurate fast-70.safetensors ... --data FERPLUS
    python benchmarks/frontier.py ... --data FERPLUS --speed-only   # of a JSON that holds the scores

Scores are by what `auto` chooses, `argmax10` on the validation images that are no copies of training images: nothing is
chosen on the test split. Speeds are OpenVINO's, batches of 64, each model in turn. benchmarks/results/frontier.json and
docs/images/frontier.png go out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from matplotlib.figure import Figure
from study import BATCH, BESIDE, speed

from fer_fast.bench.environment import environment, load_average
from fer_fast.evaluation import evaluate, json_text, scored_split
from fer_fast.evaluation.report import run_of
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.paths import checkpoint_path, packaged_models

RESULTS = Path(__file__).parent / "results"
#: What is scored, and what it is called.
KINDS = {"clean": "faces as they are", "hard": "hard views"}
#: Models so much worse than the best are in the table alone.
SHOWN = 0.05
#: Points that are next to each other: so much faster at the most, and so many points apart.
NEXT, CLOSE_BY = 1.1, 0.5
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "frontier.png"


def main(arguments: list[str] | None = None) -> None:
    """Scores, times, draws, and writes the JSON."""
    options = parsed(arguments)
    target, before = check_place(str(options.out)), environment()
    paths = [checkpoint_path(model) for model in options.models]
    record = json.loads(target.read_text()) if options.speed_only else {"models": {}, "speed": {}}
    if not options.speed_only:
        # Each report reads all splits, to look for copies.
        with patch.object(scored_split, "load_split", cache(scored_split.load_split)):
            record["models"] = {path.stem: scored(path, options.data) for path in paths}
    if not options.scores_only:
        record["speed"] = speed(paths, "auto", options.rounds)
        draw(record, options.picture)
    about = before | {"load_average_after": load_average()}
    about = {"environment": about, "batch_size": BATCH, "beside": BESIDE}
    write_whole(target, json_text(about | {name: record[name] for name in ("models", "speed")}).encode())


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="names or checkpoints; a file's name is the model's")
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--scores-only", action="store_true", help="times nothing, on a machine that does other work")
    part.add_argument("--speed-only", action="store_true", help="keeps the scores that are in the JSON")
    parser.add_argument("--rounds", type=int, default=31, help="of batches that are timed, beside a first one")
    parser.add_argument("--out", type=Path, default=RESULTS / "frontier.json")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    return parser.parse_args(arguments)


def scored(path: Path, data: Path) -> dict[str, Any]:
    """What a model is, and its accuracies in 0..1."""
    print(f"evaluating {path}", file=sys.stderr)
    config = read_checkpoint(path).config
    members = config.members if isinstance(config, EnsembleConfig) else (config,)
    views = sum(1 + member.flip_average for member in members)
    found: dict[str, Any] = {"image_size": config.image_size, "views": views}
    for name, hard in (("clean", False), ("hard", True)):
        scores = run_of(evaluate(path, data, split="valid", hard=hard, alone=True), "chosen")["scores"]["argmax10"]
        found[name] = scores["leakage_free"]["accuracy"]
        found["images"] = scores["leakage_free"]["images"]
    return found


def draw(record: dict[str, Any], path: Path) -> None:
    """A point a model over its speed, faces as they are above, hard views below; what is far worse is left out."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    for axes, (kind, text) in zip(figure.subplots(2, 1, sharex=True), KINDS.items(), strict=True):
        best = max(each[kind] for each in record["models"].values())
        near = {name: each[kind] for name, each in record["models"].items() if each[kind] > best - SHOWN}
        for name, share in near.items():
            speed, accuracy, packaged = record["speed"][name]["ratio"], 100 * share, name in packaged_models()
            axes.plot(speed, accuracy, "o", color="tab:blue" if packaged else "tab:gray")
            others = [(record["speed"][each]["ratio"], 100 * near[each]) for each in near if each != name]
            place = _beside((speed, accuracy), others) or ((0, -16 if packaged else 8), "center")
            axes.annotate(name, (speed, accuracy), textcoords="offset points", xytext=place[0], ha=place[1], fontsize=9)
        axes.set_xscale("log")
        axes.margins(0.12, 0.2)
        axes.set_ylabel(f"validation accuracy, {text}, %")
        axes.grid(alpha=0.3, which="both")
    axes.set_xlabel(f"images a second, {BESIDE} is 1; blue: packaged")
    figure.savefig(path, dpi=110)


def _beside(point: tuple[float, float], others: list[tuple[float, float]]) -> tuple[tuple[int, int], str] | None:
    """Where a name stands whose point has another one next to it: away from that; None where there is room above it."""
    speed, accuracy = point
    near = [other for other, its in others if abs(its - accuracy) < CLOSE_BY and 1 / NEXT < other / speed < NEXT]
    if not near:
        return None
    nearest = min(near, key=lambda other: abs(math.log(other / speed)))
    return ((-7, -3), "right") if nearest > speed else ((7, -3), "left")


if __name__ == "__main__":
    main()

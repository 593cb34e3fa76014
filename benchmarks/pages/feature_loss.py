"""docs/feature-loss.md: the runs of benchmarks/feature_loss.py come in, their table goes out."""

from __future__ import annotations

import statistics
from typing import Any

from pages.shared import RESULTS, load, machine, table, unmeasured

WAYS = {"none": "no features", "fixed": "fixed", "adaptive": "adaptive"}


def feature_loss() -> str:
    """A row a recipe and way: mean and spread over the seeds, and what each seed gained over none."""
    if not (RESULTS / "feature_loss.json").exists():
        return unmeasured('benchmarks/feature_loss.py cnn-deep --layer "map 2" --data FERPLUS --runs RUNS')
    parts = [_of_recipe(name, entry) for name, entry in load("feature_loss").items()]
    return "\n\n".join(parts)


def _of_recipe(name: str, entry: dict[str, Any]) -> str:
    header = [
        "weighting",
        "seeds",
        "mean, %",
        "standard deviation",
        "each seed",
        "over none, same seed",
        "weights learnt",
    ]
    done = [way for way in WAYS if any(run["way"] == way for run in entry["runs"])]
    about = (
        f"`{name}`, {entry['epochs']} epochs of {entry['training_images']:,} images (`{entry['protocol']}`); "
        f"{', '.join(entry['features'])} at `{entry['layer']}`, weight {entry['weight']:g} falling to 0 over "
        f"{entry['feature_epochs']:g} epochs. Accuracy of the last model on the test split, "
        f"{entry['runs'][0]['test_images']:,} images."
    )
    rows = [_row(entry["runs"], way) for way in done]
    return f"{about}\n\n{table(header, rows)}\n\nTrained on {machine(entry['environment'])}"


def _row(runs: list[dict[str, Any]], way: str) -> list[str]:
    """Of one way, over all its seeds."""
    scores = {run["seed"]: 100 * run["test_accuracy"] for run in runs if run["way"] == way}
    none = {run["seed"]: 100 * run["test_accuracy"] for run in runs if run["way"] == "none"}
    gains = [f"{score - none[seed]:+.2f}" for seed, score in scores.items() if seed in none and way != "none"]
    spread = f"{statistics.stdev(scores.values()):.2f}" if len(scores) > 1 else ""
    each = ", ".join(f"{score:.2f}" for score in scores.values())
    mean = f"{statistics.mean(scores.values()):.2f}"
    return [WAYS[way], str(len(scores)), mean, spread, each, ", ".join(gains), _weights(runs, way)]


def _weights(runs: list[dict[str, Any]], way: str) -> str:
    """Of each feature the mean over the seeds, where they are learnt."""
    found = [run["weights"] for run in runs if run["way"] == way and "weights" in run]
    names = found[0] if found else ()
    return ", ".join(f"{name} {statistics.mean(each[name] for each in found):.2f}" for name in names)


TABLES = {"feature loss": feature_loss}

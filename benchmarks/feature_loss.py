"""What handcrafted features early in a training are worth, without, fixed, adaptive: results/feature_loss.json.

    python benchmarks/feature_loss.py cnn-deep --layer "map 2" --data FERPLUS --runs RUNS
    python benchmarks/feature_loss.py tiny --layer FM2 --backbone FILE --epochs 3 --data FERPLUS --runs RUNS

Each seed is trained in each way by the recipe, without a teacher, and its last model is scored on the test split. A run
that was stopped goes on, runs that are in the JSON are not done again, and those of another recipe stay in it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from fer_fast.bench.environment import environment
from fer_fast.datasets import load_split
from fer_fast.evaluation import json_text
from fer_fast.machine.disk import write_whole
from fer_fast.models.classifier import classifier_of
from fer_fast.train import run as run_module
from fer_fast.train.faces import Faces, faces_of, load_faces
from fer_fast.train.handcrafted import described
from fer_fast.train.recipe import FEATURE_NAMES, Recipe, Stage, load_recipe
from fer_fast.train.run import Training
from fer_fast.train.start import new_start, read_backbone_weights

RESULTS = Path(__file__).parent / "results"
WAYS = ("none", "fixed", "adaptive")


def main(arguments: list[str] | None = None) -> None:
    """Trains, scores, and writes the JSON after each run."""
    options = parsed(arguments)
    torch.set_num_threads(1)
    recipe = recipe_of(options)
    train, valid = load_faces(options.data, size_of(recipe), recipe.protocol, recipe.targets)
    train = every(train, options.every)
    test = faces_of(load_split(options.data, "test", size_of(recipe)), recipe.protocol, recipe.targets)
    features = described(train, FEATURE_NAMES, options.runs / f"every{options.every}.safetensors")
    about = said_of(recipe, options, train)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    entry = results.get(options.recipe, {})
    entry = {"environment": environment(), **about, "runs": entry["runs"] if same(entry, about) else []}
    for seed in options.seeds:
        for way in WAYS:
            if any((run["seed"], run["way"]) == (seed, way) for run in entry["runs"]):
                continue
            print(f"{options.recipe}, seed {seed}, {way}", file=sys.stderr)
            chosen = in_way(recipe, seed, way, options)
            out = options.runs / f"{options.recipe}-{way}-{seed}"
            entry["runs"].append(
                {"seed": seed, "way": way} | trained(chosen, train, valid, test, features, out, options.backbone)
            )
            write_whole(options.out, json_text(results | {options.recipe: entry}).encode())


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("recipe", help="a packaged recipe")
    add("--layer", required=True, help="that is held near the features")
    add("--weight", type=float, default=0.5, help="of the features in the first step (default: 0.5)")
    add("--feature-epochs", type=float, default=2.0, help="after which it is 0 (default: 2)")
    add("--epochs", type=int, default=0, help="of the training, in place of the recipe's stages")
    add("--every", type=int, default=1, help="take each Nth training image alone (default: 1)")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--backbone", type=Path, action="append", default=[], help="as of fer-fast train")
    add("--data", type=Path, required=True, help="FERPlus")
    add("--runs", type=Path, required=True, help="a folder for the runs")
    add("--out", type=Path, default=RESULTS / "feature_loss.json")
    return parser.parse_args(arguments)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The packaged recipe without a teacher, as long as it is asked to be."""
    recipe = dataclasses.replace(load_recipe(options.recipe), distillation=0.0)
    return dataclasses.replace(recipe, stages=(Stage(epochs=options.epochs),)) if options.epochs else recipe


def in_way(recipe: Recipe, seed: int, way: str, options: argparse.Namespace) -> Recipe:
    """The recipe of a run."""
    recipe = dataclasses.replace(recipe, seed=seed)
    if way == "none":
        return recipe
    return dataclasses.replace(
        recipe,
        feature_loss=FEATURE_NAMES,
        feature_layer=options.layer,
        feature_weight=options.weight,
        feature_epochs=options.feature_epochs,
        weighting=way,
    )


def size_of(recipe: Recipe) -> int:
    """Of the recipe's model."""
    return recipe.config(("0", "1")).image_size


def every(train: Faces, number: int) -> Faces:
    """Each Nth image."""
    return Faces(train.pixels[::number], train.targets[::number], train.labels[::number], train.classes)


def said_of(recipe: Recipe, options: argparse.Namespace, train: Faces) -> dict[str, Any]:
    """What all runs of a recipe have in common."""
    return {
        "features": list(FEATURE_NAMES),
        "layer": options.layer,
        "weight": options.weight,
        "feature_epochs": options.feature_epochs,
        "epochs": sum(stage.epochs for stage in recipe.stages),
        "training_images": len(train),
        "protocol": recipe.protocol,
    }


def same(entry: dict[str, Any], about: dict[str, Any]) -> bool:
    """Whether runs that are in the JSON were done as these are."""
    return all(entry.get(name) == value for name, value in about.items())


def trained(
    recipe: Recipe,
    train: Faces,
    valid: Faces,
    test: Faces,
    features: dict[str, torch.Tensor],
    out: Path,
    backbone: list[Path],
) -> dict[str, Any]:
    """A run's accuracies, on validation images after each epoch and in the end on the test split, and its weights."""
    config = recipe.config(train.classes)
    url = classifier_of(config).weights_url(config)
    start = new_start(recipe, train, read_backbone_weights(backbone, url) if url else {})
    training = Training(recipe, train, valid, out, start, features=features if recipe.feature_loss else {})
    with patch.object(run_module, "measure_falls", lambda *_: {}):  # no engine is compiled
        training.run(lambda row: print(row["step"], row["loss"], row["valid_accuracy"], file=sys.stderr))
    rows = run_module.Log(out / "log.csv", training.done).rows
    right = training.predict(recipe.stages[-1], test.pixels).argmax(dim=1) == test.labels
    found = {
        "valid_accuracy": [float(row["valid_accuracy"]) for row in rows if row["valid_accuracy"]],
        "test_accuracy": right.double().mean().item(),
        "test_images": len(test),
    }
    loss = training.live.feature_loss
    if loss is not None and loss.log_variances is not None:
        found["weights"] = dict(zip(loss.readouts, loss.log_variances.detach().neg().exp().tolist(), strict=True))
    return found


if __name__ == "__main__":
    main()

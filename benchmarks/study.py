"""Evaluates the study's models on FERPlus' test split and times them beside `tiny`: benchmarks/results/study.json.

python benchmarks/study.py --data FERPLUS                                  # those of the package
python benchmarks/study.py cnn-deep.safetensors --data FERPLUS
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from fer_fast.bench.environment import environment, load_average
from fer_fast.engines import Engine, open_engine
from fer_fast.evaluation import evaluate, json_text, scored_split
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.files.paths import checkpoint_path, study_models

RESULTS = Path(__file__).parent / "results"
BATCH, ROUNDS = 64, 151
#: What they are timed beside.
BESIDE = "tiny"
TIMED = ("fp32", "auto")


def main(arguments: list[str] | None = None) -> None:
    """Evaluates, times, and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told = "names or checkpoints; a file's name is the model's; without any those of the package"
    parser.add_argument("models", nargs="*", help=told)
    parser.add_argument("--data", type=Path, required=True, help="FERPlus")
    parser.add_argument("--scores-only", action="store_true", help="times nothing, on a machine that does other work")
    parser.add_argument("--out", type=Path, default=RESULTS / "study.json")
    options = parser.parse_args(arguments)
    chosen = options.models or study_models()
    models = [checkpoint_path(model) for model in chosen]
    target, before = check_place(str(options.out)), environment()
    # Each report reads all splits, to look for copies.
    with patch.object(scored_split, "load_split", cache(scored_split.load_split)):
        found = {path.stem: described(model, path, options.data) for model, path in zip(chosen, models, strict=True)}
    speeds = {precision: speed(models, precision, ROUNDS) for precision in (() if options.scores_only else TIMED)}
    about = before | {"load_average_after": load_average()}
    record = {"environment": about, "batch_size": BATCH, "beside": BESIDE, "models": found, "speed": speeds}
    write_whole(target, json_text(record).encode())


def described(model: str, path: Path, data: Path) -> dict[str, Any]:
    """A model's size, and its report on the test split, which has the name that it was asked for by."""
    print(f"evaluating {model}", file=sys.stderr)
    tensors = read_checkpoint(path).tensors
    weights = sum(tensors[name].size for name in tensors if ".running_" not in name)  # nothing learns those
    return {"weights": weights, "bytes": path.stat().st_size, "test": evaluate(model, data, split="test")}


def speed(models: list[Path], precision: str, rounds: int) -> dict[str, Any]:
    """Images a second by OpenVINO, each round of a model against the same round of what it is beside."""
    engines = {BESIDE: opened(BESIDE, precision)} | {path.stem: opened(path, precision) for path in models}
    try:
        return timed(engines, rounds)
    finally:
        for engine in engines.values():
            engine.close()


def opened(model: str | Path, precision: str) -> Engine:
    """A model as it is timed."""
    return open_engine(read_checkpoint(model), engine="openvino", device="cpu", precision=precision, batch_size=BATCH)


def timed(engines: Mapping[str, Engine], rounds: int) -> dict[str, Any]:
    """Medians over rounds in which each has its turn; the first round, which warms up, does not count."""
    random = np.random.default_rng(0)
    rates: dict[str, list[float]] = {name: [] for name in engines}
    sides = {name: engine.sides.example for name, engine in engines.items()}
    images = {name: random.integers(0, 256, (BATCH, *side, 3), np.uint8) for name, side in sides.items()}
    for name in [*engines] * (rounds + 1):
        begun = time.perf_counter()
        engines[name].infer(images[name])
        rates[name].append(BATCH / (time.perf_counter() - begun))
    counted = {name: rate[1:] for name, rate in rates.items()}
    return {
        name: {
            "precision": engines[name].describe()["precision"],
            "images_per_second": round(statistics.median(rate), 1),
            "ratio": round(statistics.median(map(lambda own, its: own / its, rate, counted[BESIDE])), 2),
        }
        for name, rate in counted.items()
    }


if __name__ == "__main__":
    main()

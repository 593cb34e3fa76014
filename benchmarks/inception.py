"""Scores models on a frozen backbone on FERPlus' test split, by features kept once for all: results/inception.json.

python benchmarks/inception.py RUN/best.safetensors ... --data FERPLUS --features DIR

A model is called as its run's folder is. That kept features say what the model does is asserted: OpenVINO in fp32,
given some of the images, must give the same answers, but for the few that bf16 turns.
"""

from __future__ import annotations

import argparse
import csv
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fer_fast.bench.environment import environment
from fer_fast.datasets import load_split
from fer_fast.datasets.resized import as_pixels
from fer_fast.engines import open_engine
from fer_fast.evaluation import json_text
from fer_fast.evaluation.scored_split import load_scored_split
from fer_fast.evaluation.scores import split_scores
from fer_fast.machine.disk import check_place, write_whole
from fer_fast.models.files.checkpoint import read_checkpoint
from fer_fast.models.loading import load_model
from fer_fast.models.network import Network
from fer_fast.train.kept_features import KeptFeatures

RESULTS = Path(__file__).parent / "results"
PROTOCOL = "argmax10"
#: Images that both ways are compared on, and how many answers may differ.
COMPARED, TURNED = 96, 6
Right = npt.NDArray[np.bool_]


def main(arguments: list[str] | None = None) -> None:
    """Scores and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="RUN/best.safetensors, of `fer-fast train --features`")
    parser.add_argument("--data", type=Path, required=True, help="what they were trained on")
    parser.add_argument("--features", type=Path, required=True, help="folder for those of the test split, DIR/test")
    parser.add_argument("--out", type=Path, default=RESULTS / "inception.json")
    options = parser.parse_args(arguments)
    target, about = check_place(str(options.out)), environment()
    found, right = {}, {}
    for path in options.models:
        name = path.parent.name
        found[name], right[name] = described(path, options.data, options.features / "test")
    pairs = [disagreement(one, other, right) for one, other in combinations(right, 2)]
    learnt = len(load_split(options.data, "train", 0).selection(PROTOCOL)[0])
    record = {"environment": about, "training_images": learnt, "models": found, "pairs": pairs}
    write_whole(target, json_text(record).encode())


@torch.no_grad()
def described(path: Path, data: Path, features: Path) -> tuple[dict[str, Any], Right]:
    """A model's size, what its run reached, its scores; and which images it is right on."""
    print(f"scoring {path}", file=sys.stderr)
    network = load_model(path)
    scored = load_scored_split(data, "test", network.config.classes, network.config.image_size)
    pixels = torch.from_numpy(scored.split.pixels)[:, None]
    kept = KeptFeatures(features, pixels, network)
    logits = torch.cat([network.logits_of(kept(chosen)) for chosen in torch.split(torch.arange(len(kept)), 256)])
    agreeing = compared(path, pixels[:COMPARED], logits[:COMPARED].numpy(), network)
    scores = split_scores(
        scored.split, (logits / network.config.temperature).softmax(1).numpy(), network.config.classes, scored.fresh
    )
    indices, labels = scored.split.selection(PROTOCOL)
    head = sum(tensor.numel() for name, tensor in network.named_parameters() if not name.startswith("backbone."))
    about = {
        "weights": sum(tensor.numel() for tensor in network.parameters()),
        "learnt": head,
        "validation": run_reached(path.parent / "log.csv"),
        "agreeing": agreeing,
        "compared": COMPARED,
        "scores": scores[PROTOCOL],
    }
    return about, logits.numpy()[indices].argmax(axis=1) == labels


def disagreement(one: str, other: str, right: dict[str, Right]) -> dict[str, Any]:
    """On how many of the same images one model alone is right, and the other alone."""
    first, second = right[one], right[other]
    return {"models": [one, other], "alone": [int((first & ~second).sum()), int((second & ~first).sum())]}


def compared(path: Path, pixels: torch.Tensor, logits: npt.NDArray[np.float32], network: Network) -> int:
    """How many answers are OpenVINO's."""
    engine = open_engine(read_checkpoint(path), engine="openvino", device="cpu", precision="fp32", batch_size=32)
    images = as_pixels(pixels, network.config.image_size)
    try:
        answers = np.concatenate([engine.infer(part.numpy()).argmax(axis=1) for part in torch.split(images, 32)])
    finally:
        engine.close()
    same = int((answers == logits.argmax(axis=1)).sum())
    if same < len(answers) - TURNED:
        raise SystemExit(f"{path}: by kept features {len(answers) - same} of {len(answers)} answers are others")
    return same


def run_reached(log: Path) -> dict[str, float]:
    """The largest validation accuracy of a run, and its steps."""
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        "accuracy": max(float(row["valid_accuracy"]) for row in rows if row["valid_accuracy"]),
        "steps": int(rows[-1]["step"]),
    }


if __name__ == "__main__":
    main()

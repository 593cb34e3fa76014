"""One run of the benchmark, from the making of images to the report."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fer_fast.bench import findings, suite
from fer_fast.bench.bottlenecks import bottlenecks
from fer_fast.bench.cards import Card, project
from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.forms import Graphs
from fer_fast.bench.material import Material, given_folder, made_folders, made_with_faces
from fer_fast.bench.measure import measure
from fer_fast.bench.report import SCHEMA, limits_of, row_of, typical_noise
from fer_fast.bench.stages.folder import Runs
from fer_fast.machine.devices import present_devices


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long.

    Attributes:
        model: the name of a packaged model, or the path of a checkpoint.
        images: a folder to measure on; None makes one of faces and one of photos.
        faces, photos, with_faces: images that are made: crops, photos without a face, and with some.
        seed: of the images that are made.
        work: a folder for them, and for what is written.
        seconds: for everything but making the images.
        burst: seconds for one case in one round.
    """

    model: str
    images: Path | None
    faces: int
    photos: int
    with_faces: int
    seed: int
    work: Path
    seconds: float
    burst: float


def run_benchmark(
    plan: Plan, choice: suite.Choice, cards: Sequence[Card], report: Callable[[str], None]
) -> dict[str, Any]:
    """Measures and reports.

    Args:
        plan: what is measured, and for how long.
        choice: which rows.
        cards: whose rooflines are reported, too.
        report: called with what is done next.

    Raises:
        ValueError: a folder without images that can be decoded.
        CheckpointError: the model is missing or damaged.
    """
    begun, before = time.monotonic(), environment()
    report("making images")
    left_out = 0
    if plan.images is None:
        folders = made_folders(plan.work, plan.faces, plan.photos, plan.seed)
        with_faces = made_with_faces(plan.work, plan.with_faces, plan.seed) if "faces" in choice.stages else {}
    else:
        folders, left_out = given_folder(plan.images)
        with_faces = folders
    material = Material(plan.model, folders, plan.work, choice.devices or present_devices(), with_faces)
    graphs, runs = Graphs(material), Runs(material)
    cases = suite.cases(material, graphs, choice, runs)
    for device in {case.key.device for case in cases if case.key.engine == "torch.compile"}:
        graphs.start_compiling(device)
    try:
        # On a GPU torch rounds the inputs of fp32 convolutions to ten bits unless told not to; fp32 means fp32 here.
        with warnings.catch_warnings(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            warnings.simplefilter("ignore")  # of torch.compile's and quantisation's own
            measured = measure(cases, plan.seconds, plan.burst, report, graphs.close)
    finally:
        graphs.close()
    limits = limits_of(measured)
    least = typical_noise(measured)
    rows = [row_of(each, limits, least) for each in measured]
    return {
        "schema": SCHEMA,
        "environment": before | {"load_average_after": load_average(), "seed": plan.seed},
        "model": {"name": plan.model, "digest": material.checkpoint.digest, "image_size": material.config.image_size},
        "images": {name: len(paths) for name, paths in folders.items()},
        "with_faces": {name: len(paths) for name, paths in with_faces.items()},
        "images_left_out": left_out,
        "seconds": round(time.monotonic() - begun, 1),
        "chosen": material.chosen,
        "limits": limits,
        "rows": rows,
        "alternatives": findings.alternatives(rows, material.chosen),
        "bottlenecks": bottlenecks(rows, material.chosen, runs.summaries, before["cores"]),
        "projections": [projection(card, rows) for card in cards],
    }


def projection(card: Card, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a card could do at most in each row that has a cost of arithmetic; never mixed with what was measured."""
    found = []
    for row in rows:
        if row["stage"] in ("backbone", "tokens", "vit", "model"):
            best = project(card, row["precision"], row["bytes_per_image"], row["flop_per_image"])
            if best is not None:
                found.append(findings.key_of(row)._asdict() | best.__dict__)
    return {"card": card.name, "title": card.title, "sources": list(card.sources), "note": card.note, "rows": found}

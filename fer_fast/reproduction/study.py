"""Trains the paper's 31 rows in two readings; a row is a process's work of minutes and one JSON file.

A study that was killed goes on with the rows that its folder lacks. On a CPU rows are trained in forked processes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fer_fast.bench.environment import environment
from fer_fast.datasets import unseen
from fer_fast.datasets.ferplus import load_ferplus
from fer_fast.models.fusion.config import fusion_config
from fer_fast.models.fusion.network import FusionModel
from fer_fast.models.fusion.start import set_tap_statistics
from fer_fast.reproduction.cached_taps import CachedTaps
from fer_fast.reproduction.paper import READINGS, TAPS, PaperRow, named_rows
from fer_fast.train.autocast import autocast
from fer_fast.train.faces import Faces, faces_of, spread
from fer_fast.train.optimizer import schedule
from fer_fast.train.recipe import Recipe
from fer_fast.train.record import keep
from fer_fast.train.start import new_start, read_backbone_weights
from fer_fast.types import FerFastError, counted

#: What the paper's rows are trained on: six classes, one label a face.
STUDIED = ("paper6", "labels")
#: Seconds between two looks at whether the process that asks is still there.
_PATIENCE = 0.5
#: Faces for the taps' statistics.
_TYPICAL = 512


@dataclasses.dataclass(frozen=True)
class Study:
    """What every row shares.

    Attributes:
        recipe: of all rows; each has its own sources and reading.
        train, test: faces by the recipe's protocol.
        fresh: bool [test images], False where the pixels occur in another split.
        train_taps, test_taps: their maps.
        device: "cpu" or "cuda".
    """

    recipe: Recipe
    train: Faces
    test: Faces
    fresh: Tensor
    train_taps: CachedTaps
    test_taps: CachedTaps
    device: str


def check_study(recipe: Recipe) -> None:
    """Raises a ValueError unless it is a recipe for such a study."""
    if recipe.stages[0].steps == 0 or len(recipe.stages) > 1 or (recipe.protocol, recipe.targets) != STUDIED:
        raise ValueError(
            "recipe must have one stage with steps, protocol paper6 and targets labels, as the paper's rows do"
        )
    fusion_config(recipe.config(("0", "1")))


def open_study(recipe: Recipe, data: Path, out: Path, backbone: list[Path], device: str) -> Study:
    """Reads the faces and computes the maps, or takes those of an earlier run.

    Args:
        recipe: of all rows, see `check_study`.
        data: FERPlus.
        out: folder of the study.
        backbone: files of a whole ResNet-18; none for torchvision's.
        device: "cpu" or "cuda".

    Raises:
        ValueError: if `data` is not FERPlus, `backbone` does not hold a whole ResNet-18, or `out` holds rows of another
            recipe, backbone or other faces.
    """
    splits = {name: load_ferplus(data, name) for name in ("train", "valid", "test")}
    weights = read_backbone_weights(backbone)  # which may be a download: not for data that is none
    train, test = (faces_of(splits[name], recipe.protocol, recipe.targets) for name in ("train", "test"))
    start = new_start(dataclasses.replace(recipe, model={**recipe.model, "sources": TAPS}), train, weights)
    if start.new_stages:
        raise ValueError(
            f"backbone must hold a whole ResNet-18, as it stays frozen; {start.new_stages[0]} is not whole"
        )
    _check_same(out, recipe, weights, (train, test))
    model = start.model.eval().to(device)
    assert isinstance(model, FusionModel)
    indices, _ = splits["test"].selection(recipe.protocol)
    fresh = torch.from_numpy(unseen(splits["test"], [splits["train"], splits["valid"]])[indices])
    taps = [CachedTaps(out / "taps" / name, faces.pixels, model) for name, faces in (("train", train), ("test", test))]
    return Study(recipe, train, test, fresh, taps[0], taps[1], device)


def run_row(study: Study, row: PaperRow, reduce_mean: bool) -> dict[str, Any]:
    """Trains one row and scores its last step.

    Returns:
        Accuracies in 0..1 on train, test, and test without leaked images; loss, steps, seconds. A row whose loss was no
        longer finite has fewer steps than the recipe's and no accuracies: the paper's rate is a high one.
    """
    recipe, started = study.recipe, time.monotonic()
    model = _row_model(study, row, reduce_mean)
    steps = recipe.stages[0].steps
    optimizer = torch.optim.Adam(model.vit.parameters(), lr=recipe.learning_rate)
    scheduler = schedule(recipe, optimizer, steps)
    generator = torch.Generator().manual_seed(recipe.seed)
    order, losses = torch.randperm(0), []
    for _ in range(steps):
        if len(order) < recipe.batch_size:
            order = torch.randperm(len(study.train), generator=generator)
        chosen, order = order[: recipe.batch_size], order[recipe.batch_size :]
        logits = _logits(model, study.train_taps.sources(chosen, row.sources, study.device))
        loss = F.cross_entropy(logits, study.train.labels[chosen].to(study.device))
        if not torch.isfinite(loss):
            break
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    diverged = len(losses) < steps
    accuracies = dict.fromkeys(("train", "test", "test_leakage_free")) if diverged else _accuracies(study, model, row)
    return {
        **accuracies,
        "loss": round(float(np.mean(losses[-100:])), 4) if losses else None,
        "steps": len(losses),
        "seconds": round(time.monotonic() - started, 1),
    }


def _accuracies(study: Study, model: FusionModel, row: PaperRow) -> dict[str, float]:
    model.eval()
    train = _correct(study, study.train, study.train_taps, model, row)
    test = _correct(study, study.test, study.test_taps, model, row)
    parts = {"train": train, "test": test, "test_leakage_free": test[study.fresh]}
    return {name: round(correct.mean().item(), 4) for name, correct in parts.items()}


def _row_model(study: Study, row: PaperRow, reduce_mean: bool) -> FusionModel:
    torch.manual_seed(study.recipe.seed)
    values = {**study.recipe.model, "sources": row.sources, "reduce_mean": reduce_mean}
    model = FusionModel(fusion_config(dataclasses.replace(study.recipe, model=values).config(study.train.classes)))
    names = model.config.taps
    typical = spread(torch.arange(len(study.train)), _TYPICAL)
    set_tap_statistics(model, study.train_taps.sources(typical, names))
    model.backbone = None  # its maps are on disk
    return model.to(study.device).train()


def _logits(model: FusionModel, sources: list[Tensor]) -> Tensor:
    with autocast(sources[0].device), sdpa_kernel(SDPBackend.MATH):
        tokens = model.fuse(sources)
        return model.vit(tokens).float()  # type: ignore[no-any-return]


@torch.no_grad()
def _correct(study: Study, faces: Faces, taps: CachedTaps, model: FusionModel, row: PaperRow) -> Tensor:
    """Which faces are answered rightly, float32 [images]."""
    answers = []
    for chosen in torch.split(torch.arange(len(faces)), 256):
        answers.append(_logits(model, taps.sources(chosen, row.sources, study.device)).argmax(dim=1).cpu())
    return (torch.cat(answers) == faces.labels).float()


def run_rows(
    study: Study, wanted: Sequence[tuple[str, PaperRow]], out: Path, jobs: int, report: Callable[[str], None]
) -> None:
    """Runs those rows, each in a reading, that `out` lacks, `jobs` at a time.

    Raises:
        FerFastError: if a process that trains rows ended early.
    """
    todo = [item for item in wanted if not _file(out, *item).is_file()]
    there = counted(len(wanted) - len(todo), "row is", "rows are")
    report(f"{there} there, {counted(len(todo), 'is', 'are')} to be trained")
    if jobs == 1:
        for reading, row in todo:
            report(_run_and_keep(study, out, reading, row))
        return
    # Forked, so that the study is in memory once; a process with one thread each trains more rows than one with all.
    context, before = multiprocessing.get_context("fork"), {*multiprocessing.active_children()}
    with ProcessPoolExecutor(jobs, context, _inherit, (study, os.getpid())) as pool:
        try:
            results = [pool.submit(_run_inherited, out, reading, row) for reading, row in todo]
            for result in results:
                report(result.result())
        except BaseException as error:
            # Who is told to stop does not wait minutes for rows that are begun, nor leaves processes behind.
            for process in {*multiprocessing.active_children()} - before:
                process.kill()
            if isinstance(error, BrokenProcessPool):
                raise FerFastError("a process that trains rows ended early; the same command goes on") from error
            raise


#: In a forked process: what it shares with its parent. As an argument of each row it would be copied each time.
_inherited: list[Study] = []


def _inherit(study: Study, starter: int) -> None:
    torch.set_num_threads(1)
    _inherited.append(study)
    threading.Thread(target=_end_with, args=(starter,), daemon=True).start()


def _end_with(starter: int) -> None:
    """Ends this process once the one that began it is gone: a killed one's would wait for rows forever."""
    while os.getppid() == starter:
        time.sleep(_PATIENCE)
    os._exit(1)


def _run_inherited(out: Path, reading: str, row: PaperRow) -> str:
    return _run_and_keep(_inherited[-1], out, reading, row)


def _run_and_keep(study: Study, out: Path, reading: str, row: PaperRow) -> str:
    result = run_row(study, row, READINGS[reading])
    text = json.dumps({"reading": reading, "table": row.table, "sources": row.sources, **result}, indent=1)
    keep(_file(out, reading, row), f"{text}\n".encode())
    said = "diverged" if result["test"] is None else f"train {result['train']:.4f}  test {result['test']:.4f}"
    return f"{row.name} ({reading}): {said}  {result['seconds']} s"


def _file(out: Path, reading: str, row: PaperRow) -> Path:
    return out / "rows" / f"{reading}-{'-'.join(row.sources)}.json"


def read_rows(out: Path) -> list[dict[str, Any]]:
    """The rows that are done, in the paper's order."""
    files = [_file(out, *item) for item in named_rows()]
    return [json.loads(file.read_text()) for file in files if file.is_file()]


def record_of(rows: list[dict[str, Any]], recipe: str) -> str:
    """The rows as JSON, with the machine, its versions and the recipe's name."""
    return f"{json.dumps({'environment': environment(), 'recipe': recipe, 'rows': rows}, indent=1)}\n"


def _check_same(out: Path, recipe: Recipe, weights: dict[str, Tensor], studied: Sequence[Faces]) -> None:
    """A folder holds the rows of one recipe, one backbone and the same faces."""
    backbone = _digest_of(*(weights[name] for name in sorted(weights)))
    faces = _digest_of(*(tensor for each in studied for tensor in (each.pixels, each.labels)))
    file, text = out / "recipe.txt", f"{recipe}\nbackbone {backbone}\nfaces {faces}\n"
    if file.is_file() and file.read_text() != text:
        raise ValueError(
            f"out must be a new folder: {str(out)!r} holds rows of another recipe, another backbone or other faces"
        )
    keep(file, text.encode())


def _digest_of(*tensors: Tensor) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()

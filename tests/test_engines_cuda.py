"""The engines on a card against the fp32 reference on the CPU: every precision, threads, batches of any size."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_agreement import assert_agree
from tiny_models import faces, random_model, tiny_config

from fer_fast.bench.portraits import photo_with_faces
from fer_fast.engines import open_engine
from fer_fast.faces.finder import FaceFinder
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint
from fer_fast.models.files.storage import save_model
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.models.loading import load_model
from fer_fast.models.quantised import measure_ranges

pytestmark = pytest.mark.needs_cuda

MODELS: dict[str, dict[str, Any]] = {
    "paper": {},  # image + FM2 + FM3 + FM4
    "reduced": {"reduce_mean": True, "sources": ("FM1", "FM3"), "image_size": 56, "grid": 7},  # taps are enlarged
}
with_tensorrt = pytest.mark.needs_tensorrt


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Checkpoint, Any, Any]]:
    """Name to checkpoint, images, and the reference's logits."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_FAST_CACHE", str(folder / "cache"))
        for name, changes in MODELS.items():
            model = random_model(tiny_config(**changes))
            images = faces(16, model.config.image_size, seed=5)
            ranges = measure_ranges(AlgebraicModel(model), torch.from_numpy(images))
            model.config = dataclasses.replace(model.config, activation_ranges=ranges)
            path: Path = folder / f"{name}.safetensors"
            save_model(model, path)
            found[name] = read_checkpoint(path), images, load_model(path)(torch.from_numpy(images)).numpy()
        yield found


@pytest.mark.parametrize(
    ("engine", "precision"),
    [
        *(("torch", precision) for precision in ("fp32", "bf16", "fp16")),
        *(pytest.param("tensorrt", precision, marks=with_tensorrt) for precision in ("fp32", "bf16", "fp16", "int8")),
        *(pytest.param("tensorrt-fused", precision, marks=with_tensorrt) for precision in ("bf16", "fp16")),
    ],
)
def test_agrees_with_the_reference(models: dict[str, tuple[Checkpoint, Any, Any]], engine: str, precision: str) -> None:
    for checkpoint, images, expected in models.values():
        running = open_engine(checkpoint, engine=engine, device="cuda", precision=precision, batch_size=8)
        assert_agree(running.infer(images), expected, precision)
        assert running.describe()["device"].startswith("cuda")


def test_auto_measures_keeps_its_choice_and_agrees(models: dict[str, tuple[Checkpoint, Any, Any]]) -> None:
    checkpoint, images, expected = models["paper"]
    first = open_engine(checkpoint, device="cuda", precision="fp16")  # in which the tests before have built engines
    said = first.describe()
    assert_agree(first.infer(images), expected, "fp16")
    assert f"{said['engine']} in fp16, batches of " in said["chosen"] and " measured" in said["chosen"]
    assert open_engine(checkpoint, device="cuda", precision="fp16").describe()["chosen"] == said["chosen"]


@pytest.mark.parametrize("engine", ["torch", pytest.param("tensorrt", marks=with_tensorrt)])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_finder_finds_the_same_faces(engine: str, precision: str) -> None:
    photo = np.asarray(photo_with_faces(np.random.default_rng(3), (320, 235), 2)[0])
    with FaceFinder(engine="torch", device="cpu", precision="fp32", find_size=320) as exact:
        expected = exact.find_in(photo)
    with FaceFinder(engine=engine, device="cuda", precision=precision, find_size=320) as running:
        found = running.find_in(photo)
    order = np.abs(found[:, None, :2] - expected[None, :, :2]).sum(axis=2).argmin(axis=0)
    np.testing.assert_allclose(found[order, :14], expected[:, :14], atol=0.1 if precision == "fp32" else 2)
    np.testing.assert_allclose(found[order, 14], expected[:, 14], atol=0.02)
    assert len(found) == len(expected) == 2


@pytest.mark.parametrize(
    "engine",
    [
        "torch",
        pytest.param("tensorrt", marks=with_tensorrt),
        pytest.param("tensorrt-fused", marks=with_tensorrt),
    ],
)
def test_replayed_graphs_keep_batches_apart(models: dict[str, tuple[Checkpoint, Any, Any]], engine: str) -> None:
    checkpoint, images, expected = models["paper"]
    running = open_engine(checkpoint, engine=engine, device="cuda", precision="fp16", batch_size=6)
    card = torch.from_numpy(images).cuda()
    parts = [
        slice(0, 6),
        slice(3, 4),
        slice(6, 12),
        slice(0, 16),
        slice(10, 13),
    ]  # whole, partial, larger than the graph
    with ThreadPoolExecutor(4) as pool:
        for source in (images, card):
            found = list(pool.map(lambda part, source=source: running.infer(source[part]), parts * 5))  # type: ignore[misc]
            for part, logits in zip(parts * 5, found, strict=True):
                assert_agree(logits, expected[part], "fp16")

"""Compiled models on disk: when one is used again, when it must not be, and what happens to damaged ones."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from tiny_models import faces, random_model, tiny_config

from fer_fast.engines import cache, open_engine
from fer_fast.engines import openvino as openvino_engine
from fer_fast.engines.openvino import OpenVinoEngine
from fer_fast.models.checkpoint import Checkpoint, read_checkpoint
from fer_fast.models.storage import save_model

CONFIG = tiny_config(sources=("image",), image_size=8, grid=2, width=8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return make_checkpoint(tmp_path_factory.mktemp("model") / "m.safetensors", seed=0)


def make_checkpoint(path: Path, seed: int) -> Checkpoint:
    save_model(random_model(CONFIG, seed), path)
    return read_checkpoint(path)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Puts the sum of the pixels in the model's place, which compiles at once; its length counts conversions."""
    made: list[int] = []

    def convert(checkpoint: Checkpoint, batch_size: int, **_: Any) -> openvino.Model:
        made.append(batch_size)
        side = checkpoint.config.image_size
        images = ops.parameter([openvino.Dimension(1, batch_size), side, side, 3], np.uint8)
        pixels = ops.reshape(ops.convert(images, np.float32), np.array([0, -1]), special_zero=True)
        return openvino.Model([ops.reduce_sum(pixels, np.array([1]), keep_dims=True)], [images])

    monkeypatch.setattr(openvino_engine, "_convert", convert)
    return made


def opened(checkpoint: Checkpoint, precision: str = "fp32", batch_size: int = 4) -> OpenVinoEngine:
    engine = open_engine(checkpoint, engine="openvino", precision=precision, batch_size=batch_size)
    assert isinstance(engine, OpenVinoEngine)
    images = faces(2, 8)
    # Sums of 192 pixels up to 255: bf16 keeps 8 bits of them.
    np.testing.assert_allclose(engine.infer(images)[:, 0], images.sum(axis=(1, 2, 3)), rtol=2**-7)
    return engine


def test_stored_then_hit(checkpoint: Checkpoint, folder: Path, conversions: list[int]) -> None:
    assert [opened(checkpoint).describe()["cache"] for _ in range(3)] == ["stored", "hit", "hit"]
    assert len(conversions) == 1
    (blob,) = folder.iterdir()
    assert blob.name.startswith("openvino-") and blob.suffix == ".blob"


def test_another_model_is_compiled_anew(
    checkpoint: Checkpoint, folder: Path, conversions: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(checkpoint)
    opened(make_checkpoint(tmp_path / "other.safetensors", seed=1))
    opened(checkpoint, batch_size=5)
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        opened(checkpoint, precision="bf16")
    else:
        conversions.append(0)
    monkeypatch.setattr(openvino_engine, "GRAPH_VERSION", 1_000_000)
    opened(checkpoint)
    monkeypatch.setattr(openvino, "__version__", "2042.1")
    opened(checkpoint)
    assert len(conversions) == 6
    monkeypatch.undo()


def test_damaged_blob_is_made_again(
    checkpoint: Checkpoint, folder: Path, conversions: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    opened(checkpoint)
    (blob,) = folder.iterdir()
    whole = blob.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (bytes(flipped), whole[:-1], whole[:10], b""):
        blob.write_bytes(damaged)
        with caplog.at_level(logging.WARNING, "fer_fast"):
            assert opened(checkpoint).cache == "stored"
        assert f"compiled model {blob} is damaged" in caplog.text
        caplog.clear()
    assert opened(checkpoint).cache == "hit"


def test_whole_blob_that_openvino_refuses_is_made_again(
    checkpoint: Checkpoint, folder: Path, conversions: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    opened(checkpoint)
    (blob,) = folder.iterdir()
    cache.store(blob, b"the digest of this is right, but it is no model")
    with caplog.at_level(logging.WARNING, "fer_fast"):
        assert opened(checkpoint).cache == "stored"
    assert f"compiled model {blob} cannot be used" in caplog.text


def test_unwritable_cache_is_told_and_costs_nothing_else(
    checkpoint: Checkpoint, folder: Path, conversions: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING, "fer_fast"):
        assert opened(checkpoint).describe()["cache"] == "not stored: File exists"
    assert "the compiled model cannot be kept" in caplog.text


def test_interrupted_store_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        cache.store(folder / "model.blob", b"compiled")
    assert not list(folder.iterdir())


def test_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "mine"))
    assert cache.cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("FER_FAST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg" / "fer_fast"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "fer_fast"


def test_hit_gives_the_same_logits_without_torch(checkpoint: Checkpoint, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    assert make_checkpoint(path, seed=0).digest == checkpoint.digest
    code = (
        "import sys, numpy; from fer_fast.classifier import Classifier; "
        "pixels = numpy.arange(2 * 8 * 8 * 3, dtype=numpy.uint8).reshape(2, 8, 8, 3); "
        f"ran = Classifier({str(path)!r}, device='cpu', precision='fp32', batch_size=2); "
        "print(ran.describe()['cache'], 'torch' in sys.modules, ran.predict_batch(pixels).tobytes().hex())"
    )
    environment = {**os.environ, "FER_FAST_CACHE": str(folder)}
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        for _ in range(2)
    ]
    first, second = (run.stdout.split() for run in runs)
    assert first[:2] == ["stored", "True"]
    assert second[:2] == ["hit", "False"]
    assert first[2] == second[2]

"""The three-part form without a card: cut, its parts built by TensorRT for RTX, and joined on the processor."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_agreement import assert_agree
from tiny_models import faces, random_model, tiny_config

from fer_fast.engines.interface import OutOfTimeError
from fer_fast.engines.tensorrt import TensorRtEngine
from fer_fast.engines.tensorrt_build import build_engine, load_tensorrt
from fer_fast.engines.tensorrt_cut import parts
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint, read_finder
from fer_fast.models.files.storage import save_model
from fer_fast.models.loading import load_model
from fer_fast.models.registry import architecture_of

MODELS: dict[str, dict[str, Any]] = {
    "all": {},  # image, FM2, FM3, FM4
    "mirrored": {"sources": ("image", "FM1"), "flip_average": True},
    "taps alone": {"sources": ("FM1", "FM3"), "reduce_mean": True},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Checkpoint, Any, Any]]:
    """Name to checkpoint, images, and the reference's logits."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for name, changes in MODELS.items():
        path = folder / f"{name}.safetensors"
        save_model(random_model(tiny_config(**changes)), path)
        images = faces(5, 64, seed=5)
        found[name] = read_checkpoint(path), images, load_model(path)(torch.from_numpy(images)).numpy()
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", MODELS)
def test_a_network_that_is_cut_gives_the_same(models: Any, name: str, precision: str) -> None:
    checkpoint, images, expected = models[name]
    cut = architecture_of(checkpoint).cut(checkpoint, precision)
    with torch.inference_mode():
        assert_agree(cut(torch.from_numpy(images)).numpy(), expected, precision)
        maps = cut.before(torch.from_numpy(images))
    assert all(each.is_contiguous() and each.shape[1] == each.shape[2] for each in maps), "channels come last"


def test_the_middle_owns_nothing_of_the_other_parts(models: Any) -> None:
    checkpoint, *_ = models["all"]
    cut = architecture_of(checkpoint).cut(checkpoint, "fp32")
    assert sum(each.numel() for each in cut.tokens.state_dict().values()) == 2 * (3 + 128 + 256 + 512)


@pytest.mark.parametrize(("name", "precision"), [("all", "fp32"), ("mirrored", "fp32"), ("taps alone", "fp16")])
def test_compiled_parts_and_the_native_op_are_joined(
    models: Any, name: str, precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    from host_tensorrt import put_in_place

    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    built = put_in_place(monkeypatch)
    checkpoint, images, expected = models[name]
    views = 2 if checkpoint.config.flip_average else 1
    for cache in ("stored", "hit"):
        engine = TensorRtEngine(checkpoint, "cuda", precision, 4, form="tensorrt-fused")
        said = engine.describe()
        assert (said["engine"], said["tokens"], said["cache"]) == ("tensorrt-fused", "fused op", cache)
        assert said["graph"] == "CUDA graphs of 1 and 4 images"
        assert built == [4 * views, 4 * views, views, views], "for each size one before and one after the fused op"
        for part in (slice(0, 5), slice(0, 1), slice(1, 4)):  # more than a graph takes, one, and less than the largest
            assert_agree(engine.infer(images[part]), expected[part], precision)
        assert engine._replays.ran == [4, 1, 1, 4]
        engine.close()


def test_what_is_measured_is_built_for_the_largest_batch_alone(
    models: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    from host_tensorrt import put_in_place

    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    built = put_in_place(monkeypatch)
    checkpoint, images, expected = models["all"]
    for form, parts_of_it in (("tensorrt-fused", 2), ("tensorrt", 1)):
        built.clear()
        measured = TensorRtEngine(checkpoint, "cuda", "fp32", 4, form=form, largest_alone=True)
        assert (built, measured.describe()["graph"]) == ([4] * parts_of_it, "CUDA graph of 4 images")
        assert_agree(measured.infer(images[:1]), expected[:1], "fp32")
        measured.close()
        whole = TensorRtEngine(checkpoint, "cuda", "fp32", 4, form=form)
        assert (built, whole.describe()["cache"]) == ([4] * parts_of_it + [1] * parts_of_it, "hit, stored")
        whole.close()


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_both_parts_become_engines_for_rtx(precision: str, interruptible: None) -> None:
    pytest.importorskip("tensorrt_rtx_libs")
    checkpoint = read_checkpoint("tiny")
    architecture = architecture_of(checkpoint)
    before, after = parts(architecture.cut(checkpoint, precision), architecture.sides(checkpoint), "logits")
    library = load_tensorrt("tensorrt-rtx")
    cards = ("7.5", "8.6", "8.9", "12.0") if precision == "fp16" else ("8.6", "8.9", "12.0")
    for part in (before, after):
        assert len(build_engine(library, part.graph(32), 32, cards)) > 1_000_000
    graph, steps = after.graph(32), iter([True] * 4)
    with pytest.raises(OutOfTimeError, match="TensorRT's build was ended for want of time"):
        build_engine(library, graph, 32, cards, may_go_on=lambda: next(steps, False))
    with pytest.raises(KeyboardInterrupt):
        build_engine(library, graph, 32, cards, may_go_on=lambda: signal.raise_signal(signal.SIGINT) or True)


def test_what_cannot_be_cut_is_told(models: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from host_tensorrt import put_in_place

    put_in_place(monkeypatch)
    save_model(random_model(tiny_config(sources=("image",))), tmp_path / "m.safetensors")
    unfit: list[tuple[Any, str]] = [
        (read_checkpoint(tmp_path / "m.safetensors"), "a model of the image alone has no backbone"),
        (read_finder("finder"), "the network of a 'yunet' has no fused op at which it could be cut"),
    ]
    for model, why in unfit:
        with pytest.raises(ValueError, match=f"engine 'tensorrt-fused' cannot run this model: {why}"):
            TensorRtEngine(model, "cuda", "fp16", 4, form="tensorrt-fused")
        with pytest.raises(ValueError, match=why):
            architecture_of(model).cut(model, "fp16")
    checkpoint, *_ = models["all"]
    words = "precision must be auto, fp32, bf16, fp16 for engine 'tensorrt-fused', not 'int8'"
    with pytest.raises(ValueError, match=words):
        TensorRtEngine(checkpoint, "cuda", "int8", 4, form="tensorrt-fused")
    with pytest.raises(ValueError, match="device must be auto, cuda or cuda:N for engine 'tensorrt-fused', not 'cpu'"):
        monkeypatch.setattr("fer_fast.engines.tensorrt.torch_device", lambda _: "cpu")
        TensorRtEngine(checkpoint, "cpu", "fp16", 4, form="tensorrt-fused")

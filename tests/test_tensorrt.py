"""TensorRT without a card: its graphs are built for RTX cards, its cache and its refusals are tried on a stand-in."""

import sys
import types

import numpy as np
import pytest
import torch
from tiny_models import faces, random_model, tiny_config

from fer_fast.engines import open_engine
from fer_fast.engines import tensorrt as engine_module
from fer_fast.engines.cache import Place
from fer_fast.engines.replay import as_large_as_fits, opening
from fer_fast.engines.tensorrt import TensorRtEngine, engine_graph
from fer_fast.engines.tensorrt_build import build_engine, load_tensorrt
from fer_fast.models.architecture import Sides
from fer_fast.models.checkpoint import read_checkpoint, read_finder
from fer_fast.models.registry import architecture_of
from fer_fast.models.storage import build_model, save_model
from fer_fast.types import FerFastError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(random_model(tiny_config(sources=("image", "FM1"))), path)
    return read_checkpoint(path)


def sides_of(checkpoint):
    return architecture_of(checkpoint).sides(checkpoint)


@pytest.mark.parametrize("model", ["tiny", "fast"])
def test_packaged_models_become_engines(model):
    pytest.importorskip("tensorrt_rtx_libs")
    checkpoint = read_checkpoint(model)
    graph = engine_graph(checkpoint, "fp16", 32, sides_of(checkpoint))
    engine = build_engine(load_tensorrt("tensorrt-rtx"), graph, 32, ("7.5", "8.6", "8.9", "12.0"))
    assert len(engine) > 1_000_000


def test_onnx_runtime_agrees_on_the_graph(checkpoint):
    runtime = pytest.importorskip("onnxruntime")
    graph = engine_graph(checkpoint, "fp32", 4, sides_of(checkpoint))
    session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    images = faces(3, checkpoint.config.image_size)
    wanted = build_model(checkpoint)(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(session.run(["logits"], {"images": images})[0], wanted, atol=1e-3)


def test_a_finder_becomes_an_engine_of_one_canvas():
    pytest.importorskip("tensorrt_rtx_libs")
    finder = read_finder("finder")
    sides = sides_of(finder).only(300)
    assert sides == Sides(320, 320)
    graph = engine_graph(finder, "fp16", 2, sides)
    assert len(build_engine(load_tensorrt("tensorrt-rtx"), graph, 2, ("8.6",))) > 10_000
    assert architecture_of(finder).output_shape(finder, (2, *sides.example, 3)) == (2, 2100, 15)


class Runtime:
    """A TensorRT that reads the engines that it built, and no others."""

    def __init__(self, _):
        pass

    def deserialize_cuda_engine(self, blob):
        return blob if blob.startswith(b"engine") else None


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """A TensorRtEngine as it is before it fetches or builds; `built` counts the builds."""
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA L4")
    running = TensorRtEngine.__new__(TensorRtEngine)
    running.library = types.SimpleNamespace(Runtime=Runtime, __version__="11.0.0")
    running.device, running.precision, built = "cuda:0", "fp16", []
    running.sides = Sides(64, 64)
    monkeypatch.setattr(engine_module, "messages_of", lambda _: None)
    monkeypatch.setattr(engine_module, "engine_graph", lambda *_: b"graph")
    monkeypatch.setattr(engine_module, "build_engine", lambda *_: built.append(1) or b"engine %d" % len(built))
    return running, built


def test_an_engine_is_built_once(stand_in, checkpoint):
    running, built = stand_in
    assert running._fetch_or_build(checkpoint, 8, True) == (b"engine 1", "stored")
    assert running._fetch_or_build(checkpoint, 8, True) == (b"engine 1", "hit")
    assert running._fetch_or_build(checkpoint, 16, True)[1] == "stored", "another batch is another engine"
    running.precision = "bf16"
    assert running._fetch_or_build(checkpoint, 8, True)[1] == "stored"
    running.library.__version__ = "11.1.0"
    assert running._fetch_or_build(checkpoint, 8, True)[1] == "stored"
    assert running._fetch_or_build(checkpoint, 8, False) == (b"engine 5", "not used")
    assert len(built) == 5


@pytest.mark.parametrize("damage", ["foreign", "damaged"])
def test_a_foreign_or_damaged_engine_is_built_again(stand_in, checkpoint, caplog, damage):
    running, _ = stand_in
    running._fetch_or_build(checkpoint, 8, True)
    place = Place("tensorrt", running._key(checkpoint, 8))
    file = place.file
    if damage == "foreign":
        place.store(b"of another card")
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert running._fetch_or_build(checkpoint, 8, True) == (b"engine 2", "stored")
    assert ("cannot be used here" if damage == "foreign" else "is damaged") in caplog.text
    assert running._fetch_or_build(checkpoint, 8, True) == (b"engine 2", "hit")


def test_a_cache_that_cannot_be_written_is_told_of(stand_in, checkpoint, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    running, _ = stand_in
    monkeypatch.setattr("fer_fast.engines.cache._write", full)
    assert running._fetch_or_build(checkpoint, 8, True) == (b"engine 1", "not stored: No space left on device")


def test_what_is_not_there_is_said(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(FerFastError, match=r"tensorrt is not there .*: pip install torch-tensorrt"):
        open_engine(checkpoint, engine="tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", types.SimpleNamespace(__version__="8.6.1"))
    with pytest.raises(FerFastError, match=r"tensorrt must be 10 or newer, not 8\.6\.1"):
        open_engine(checkpoint, engine="tensorrt")
    monkeypatch.setitem(sys.modules, "tensorrt", types.SimpleNamespace(__version__="10.15.1"))
    with pytest.raises(ValueError, match="device must be auto, cuda or cuda:N for engine 'tensorrt', not 'cpu'"):
        open_engine(checkpoint, engine="tensorrt", device="cpu")


def test_a_batch_that_does_not_fit_is_halved(caplog):
    def make(batch):
        if batch > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return f"{batch} images"

    assert as_large_as_fits(make, 64) == ("8 images", 8)
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["32", "16", "8"]

    def never(batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(FerFastError, match="the card's memory does not hold a single image: CUDA out of memory"):
        as_large_as_fits(never, 4)

    def broken(batch):
        raise RuntimeError("CUDA error: misaligned address")

    with pytest.raises(RuntimeError, match="misaligned"):
        as_large_as_fits(broken, 4)


def test_what_libraries_raise_names_engine_and_device():
    for error in (RuntimeError("no\nkernel"), TypeError("nullptr")):
        with pytest.raises(FerFastError, match="TensorRT failed on cuda:0: n"), opening("TensorRT", "cuda:0"):
            raise error
    with pytest.raises(FerFastError, match=r"^as it was$"), opening("TensorRT", "cuda:0"):
        raise FerFastError("as it was")

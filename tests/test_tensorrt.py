"""TensorRT without a card: its graphs are built for RTX cards, its cache and its refusals are tried on a stand-in."""

import copy
import sys
import types

import numpy as np
import pytest
import torch
from tiny_models import faces, random_model, tiny_config

from fer_fast.engines import open_engine, tensorrt_sources
from fer_fast.engines.replay import as_large_as_fits, is_memory_full, opening
from fer_fast.engines.tensorrt_build import build_engine, keep_timings, load_tensorrt, take_timings
from fer_fast.engines.tensorrt_sources import BuiltEngines, ExportedEngine, engine_graph
from fer_fast.export.graph import sealed
from fer_fast.machine.cache import Place
from fer_fast.models.architecture import Sides
from fer_fast.models.files.checkpoint import read_checkpoint, read_finder
from fer_fast.models.files.exported import read_export
from fer_fast.models.files.storage import build_model, save_model
from fer_fast.models.registry import architecture_of
from fer_fast.types import CheckpointError, FerFastError, MissingExtraError


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
        return bytes(blob) if bytes(blob).startswith(b"engine") else None


@pytest.fixture
def stand_in(monkeypatch, tmp_path, checkpoint):
    """Engines of a checkpoint on a card that is not there; `built` counts the builds."""
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA L4")
    library, built = types.SimpleNamespace(Runtime=Runtime, __version__="11.0.0"), []
    monkeypatch.setattr(tensorrt_sources, "messages_of", lambda _: types.SimpleNamespace(last="why"))
    monkeypatch.setattr(tensorrt_sources, "engine_graph", lambda *_: b"graph")
    monkeypatch.setattr(
        tensorrt_sources, "build_engine", lambda *_, **how: built.append(how) or b"engine %d" % len(built)
    )

    def engines(precision="fp16", cached=True):
        return BuiltEngines(checkpoint, library, "cuda:0", precision, 64, cached)

    return engines, library, built


def test_an_engine_is_built_once(stand_in):
    engines, library, built = stand_in
    assert engines().engine(8) == (b"engine 1", "stored")
    assert engines().engine(8) == (b"engine 1", "hit")
    assert engines().engine(16)[1] == "stored", "another batch is another engine"
    assert engines("bf16").engine(8)[1] == "stored"
    library.__version__ = "11.1.0"
    assert engines("bf16").engine(8)[1] == "stored"
    assert engines("bf16", cached=False).engine(8) == (b"engine 5", "not used")
    assert len(built) == 5
    assert [how["least"] for how in built] == [8, 16, 8, 8, 8], "each for its own batch alone"
    assert built[0]["timings"].file == built[2]["timings"].file != built[3]["timings"].file, "of one TensorRT"
    assert built[4]["timings"] is None


def test_the_graph_of_the_largest_batch_serves_the_smaller_ones(stand_in, monkeypatch):
    engines, _, built = stand_in
    asked = []
    monkeypatch.setattr(tensorrt_sources, "engine_graph", lambda *given: asked.append(given[2]) or b"graph")
    source = engines()
    for size in (32, 8, 1):
        source.engine(size)
    assert asked == [32] and [how["least"] for how in built] == [32, 8, 1]
    engines("bf16").engine(8)
    assert asked == [32, 8]


class Settings:
    """TensorRT's, as far as timings go: `given` is what was set."""

    def __init__(self, refuses=()):
        self._refuses, self.given = refuses, []

    def create_timing_cache(self, blob):
        return types.SimpleNamespace(blob=blob, serialize=lambda: blob + b"+")

    def set_timing_cache(self, timed, ignore_mismatch):
        assert not ignore_mismatch
        self.given.append(timed.blob)
        return timed.blob not in self._refuses

    def get_timing_cache(self):
        return self.create_timing_cache(self.given[-1])


def test_timings_of_another_driver_are_left(monkeypatch, tmp_path, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    timings, settings = Place("timings", {}), Settings(refuses=[b"old"])
    take_timings(settings, timings)
    keep_timings(settings, timings)
    assert settings.given == [b""] and timings.fetch() == b"+" and not caplog.text
    take_timings(settings, timings)
    assert settings.given == [b"", b"+"]
    timings.store(b"old")
    take_timings(settings, timings)
    assert settings.given[2:] == [b"old", b""] and "is of no use here and is timed again" in caplog.text


@pytest.mark.parametrize("damage", ["foreign", "damaged"])
def test_a_foreign_or_damaged_engine_is_built_again(stand_in, caplog, damage):
    running = stand_in[0]()
    running.engine(8)
    place = Place("tensorrt", running.key(8))
    file = place.file
    if damage == "foreign":
        place.store(b"of another card")
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert running.engine(8) == (b"engine 2", "stored")
    assert ("cannot be used here" if damage == "foreign" else "is damaged") in caplog.text
    assert running.engine(8) == (b"engine 2", "hit")


def test_an_engine_that_the_card_has_no_room_for_is_kept(stand_in, monkeypatch):
    running, built = stand_in[0](), stand_in[2]
    running.engine(8)

    def full(*_):
        running.messages.last = "Error Code 2: OutOfMemory (Requested size was 1073741824 bytes.)"

    monkeypatch.setattr(Runtime, "deserialize_cuda_engine", full)
    with pytest.raises(FerFastError, match=r"^TensorRT cannot load engine .*\.blob: Error Code 2: OutOfMemory") as told:
        running.engine(8)
    assert is_memory_full(told.value) and len(built) == 1
    with pytest.raises(
        FerFastError, match=r"^TensorRT cannot read the engine that it built: Error Code 2: OutOfMemory"
    ):
        running.engine(1)


def test_a_cache_that_cannot_be_written_is_told_of(stand_in, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_fast.machine.cache._write", full)
    assert stand_in[0]().engine(8) == (b"engine 1", "not stored: No space left on device")


class Deserialised:
    """An engine as TensorRT shows it: its tensors' shapes, the batch left free, and the largest images."""

    def __init__(self, most, output, shape):
        self.shapes = {"images": (-1, *most[1:]), output: shape}
        self.most, self.num_io_tensors = most, 2

    def get_tensor_name(self, place):
        return list(self.shapes)[place]

    def get_tensor_shape(self, name):
        return self.shapes[name]

    def get_tensor_profile_shape(self, name, profile):
        return [(1, *self.most[1:]), self.most, self.most]


def exported(tmp_path, kind, facts, library="tensorrt"):
    said = f"format 1\nversion 0\nkind {kind}\nmodel abc\nprecision fp16\nbatch_size 6\nlibrary {library}\n{facts}"
    (tmp_path / "m.engine").write_bytes(b"of an L4")
    (tmp_path / "m.engine.txt").write_text(sealed(said, engine=b"of an L4"))
    return read_export(tmp_path / "m.engine", kind)


CLASSIFIER = "image_size 24\nclass mean\nclass other\nclass third\n"


@pytest.mark.parametrize(
    ("kind", "facts", "engine"),
    [
        ("classifier", CLASSIFIER, Deserialised((6, 24, 24, 3), "probabilities", (-1, 3))),
        (
            "finder",
            "sides 32 640\nstrides 8 16 32\ncells 15\n",
            Deserialised((6, 640, 640, 3), "cells", (-1, -1, 15)),
        ),
    ],
)
def test_an_exported_engine_is_read_not_built(stand_in, monkeypatch, tmp_path, kind, facts, engine):
    _, library, built = stand_in
    if kind == "finder":
        engine.shapes["images"] = (-1, -1, -1, 3)
    monkeypatch.setattr(Runtime, "deserialize_cuda_engine", lambda _, blob: engine if blob == b"of an L4" else None)
    model = exported(tmp_path, kind, facts)
    source = ExportedEngine(model, library, "auto")
    assert source.engine(4) == source.engine(1) == (engine, "not used") and not built
    assert (source.precision, source.output) == ("fp16", "probabilities" if kind == "classifier" else "cells")
    for spoil in (
        {"most": (5, *engine.most[1:])},
        {"shapes": engine.shapes | {source.output: (-1, 4)}},
        {"shapes": {"images": engine.shapes["images"], "logits": (-1, 3)}},
        {"num_io_tensors": 1},
    ):
        spoiled = copy.copy(engine)
        vars(spoiled).update(spoil)
        monkeypatch.setattr(Runtime, "deserialize_cuda_engine", lambda _, blob, spoiled=spoiled: spoiled)
        with pytest.raises(CheckpointError, match=r"m\.engine' is damaged: it is not what its description says"):
            ExportedEngine(model, library, "auto").engine(4)


def test_an_engine_for_another_card_is_told(stand_in, tmp_path):
    source = ExportedEngine(exported(tmp_path, "classifier", CLASSIFIER), stand_in[1], "fp16")
    words = r"m\.engine' is for another TensorRT than 11\.0\.0, or for other cards: why"
    with pytest.raises(FerFastError, match=words):
        source.engine(4)
    with pytest.raises(ValueError, match=r"precision must be auto or fp16 for an \.engine of fp16, not 'bf16'"):
        ExportedEngine(exported(tmp_path, "classifier", CLASSIFIER), stand_in[1], "bf16")


def test_an_exported_engine_needs_its_own_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingExtraError, match=r"an \.engine needs tensorrt, .*pip install 'fer-fast\[cuda\]'"):
        open_engine(exported(tmp_path, "classifier", CLASSIFIER), batch_size=1)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_libs", None)
    with pytest.raises(
        MissingExtraError, match=r"tensorrt-rtx is not there .*: pip install --no-deps tensorrt-rtx-cu13"
    ):
        open_engine(exported(tmp_path, "classifier", CLASSIFIER, "tensorrt-rtx"), batch_size=1)


def test_what_is_not_there_is_said(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(
        MissingExtraError,
        match=r"engine 'tensorrt' needs tensorrt, which .*: pip install 'fer-fast\[cuda\]'",
    ):
        open_engine(checkpoint, engine="tensorrt")
    with pytest.raises(MissingExtraError, match="engine 'tensorrt-fused' needs tensorrt, which"):
        open_engine(checkpoint, engine="tensorrt-fused")
    monkeypatch.setitem(sys.modules, "tensorrt", types.SimpleNamespace(__version__="8.6.1"))
    with pytest.raises(FerFastError, match=r"tensorrt must be 10\.1 or newer, not 8\.6\.1"):
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

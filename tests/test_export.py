"""What is exported is run by the runtimes that it is for, where they run without a card, and compared with torch."""

import dataclasses
import sys
import zlib

import numpy as np
import openvino
import pytest
import torch
from tiny_models import faces, random_model, tiny_config

from fer_fast import Classifier, cli
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.engines import tensorrt_build
from fer_fast.export import FORMAT_PRECISIONS, FORMATS, export_model
from fer_fast.export import tensorrt as export_tensorrt
from fer_fast.export.graph import Graph
from fer_fast.models.files.checkpoint import read_checkpoint, read_either, read_finder
from fer_fast.models.files.storage import build_finder, save_model
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.models.fusion.architecture import FusionArchitecture
from fer_fast.models.quantised import measure_ranges
from fer_fast.ops import native
from fer_fast.types import CheckpointError, FerFastError, MissingExtraError, OutputRefusedError

TOLERANCE = {"fp32": 1e-4, "fp16": 0.02, "bf16": 0.12, "int8": 0.2}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint with everything that a graph must carry: enlarged taps, a temperature, both views, int8 ranges."""
    found = random_model(tiny_config(sources=("image", "FM1", "FM2")))
    ranges = measure_ranges(AlgebraicModel(found), torch.from_numpy(faces(32, 64, seed=9)))
    found.config = dataclasses.replace(found.config, temperature=1.7, flip_average=True, activation_ranges=ranges)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(found, path)
    return path


@pytest.fixture(scope="module")
def answers(model):
    """Five images and their probabilities by torch in fp32."""
    with Classifier(model, engine="torch", device="cpu", precision="fp32") as classifier:
        images = faces(5, classifier.image_size, seed=3)
        return images, classifier.predict_batch(images)


def check(found, wanted, precision):
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE[precision])


@pytest.mark.parametrize("precision", FORMAT_PRECISIONS["onnx"])
def test_onnx_runtime_agrees(tmp_path, model, answers, precision):
    runtime = pytest.importorskip("onnxruntime")
    (path,) = export_model(model, "onnx", tmp_path / "m.onnx", precision=precision, batch_size=5)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].name == "images"
    assert session.get_inputs()[0].type == "tensor(uint8)"
    images, wanted = answers
    for batch in (1, 2, 5):
        (found,) = session.run(["probabilities"], {"images": images[:batch]})
        assert found.dtype == np.float32
        check(found, wanted[:batch], precision)
    said = session.get_modelmeta().custom_metadata_map["fer_fast"].splitlines()
    assert {f"precision {precision}", "batch_size 5", "class neutral", "format 1"} <= set(said)


def test_onnx_int8_is_what_was_simulated(tmp_path, model, answers):
    runtime = pytest.importorskip("onnxruntime")
    (path,) = export_model(model, "onnx", tmp_path / "m.onnx", precision="int8", batch_size=5)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images, exact = answers
    with torch.inference_mode():
        simulated = FusionArchitecture().exported(read_checkpoint(model), "int8", symmetric=True)
        wanted = simulated(torch.from_numpy(images)).numpy()
    (found,) = session.run(["probabilities"], {"images": images})
    np.testing.assert_allclose(found, wanted, atol=0.05)  # a value between two steps may fall on either
    assert 1e-3 < np.abs(found - exact).max() < 0.2


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_openvino_agrees(tmp_path, model, answers, precision):
    files = export_model(model, "openvino", tmp_path / "m.xml", precision=precision, batch_size=5)
    assert [file.name for file in files] == ["m.xml", "m.bin"]
    core = openvino.Core()
    graph = core.read_model(files[0])
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    images, wanted = answers
    found = core.compile_model(graph, "CPU", options)({"images": images})["probabilities"]
    check(found, wanted, precision)
    assert f"\nimage_size {images.shape[1]}\n" in files[0].read_text().rpartition("<?fer_fast")[2]
    with pytest.raises(RuntimeError):
        core.compile_model(graph, "CPU", options)({"images": np.zeros((6, *images.shape[1:]), np.uint8)})


def test_libtorch_package_agrees(tmp_path, model, answers, recwarn):
    (path,) = export_model(model, "pt2", tmp_path / "m.pt2", batch_size=5)
    assert [str(each.message) for each in recwarn if each.category is FutureWarning] == [], "torch's own, of its parts"
    images, wanted = answers
    run = torch._inductor.aoti_load_package(str(path))
    for batch in (1, 5):
        check(run(torch.from_numpy(images[:batch])).cpu().numpy(), wanted[:batch], "fp32")


@pytest.fixture(scope="module")
def photos():
    """Two photos of two drawn faces each, and their cells by torch in fp32."""
    random = np.random.default_rng(5)
    drawn = np.stack([np.asarray(photo_with_faces(random, (256, 192), 2)[0]) for _ in range(2)])
    return drawn, build_finder(read_finder("finder"))(torch.from_numpy(drawn)).numpy()


def check_faces(found, photos, precision):
    """The same faces, and of the cells that may be faces about the same numbers."""
    drawn, wanted = photos
    # Squared: a root of almost nothing is mostly rounding.
    np.testing.assert_allclose(found[..., 0] ** 2, wanted[..., 0] ** 2, atol=TOLERANCE[precision])
    for place in range(len(drawn)):
        faces, expected = (native.core().faces_in(each[place], 192, 256, 0.6) for each in (found, wanted))
        assert len(expected) == 2
        order = np.abs(faces[:, None, :2] - expected[None, :, :2]).sum(axis=2).argmin(axis=0)
        np.testing.assert_allclose(faces[order, :14], expected[:, :14], atol=0.01 if precision == "fp32" else 1)


FINDER_FACTS = {"format 1", "kind finder", "batch_size 2", "strides 8 16 32", "cells 15"}


def test_a_finder_for_onnx_runtime(tmp_path, photos):
    runtime = pytest.importorskip("onnxruntime")
    (path,) = export_model("finder", "onnx", tmp_path / "f.onnx", batch_size=2)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (cells,) = session.run(["cells"], {"images": photos[0]})
    check_faces(cells, photos, "fp32")
    (smaller,) = session.run(["cells"], {"images": photos[0][:1, :64, :32]})
    assert smaller.shape == (1, 8 * 4 + 4 * 2 + 2, 15)
    said = session.get_modelmeta().custom_metadata_map["fer_fast"].splitlines()
    assert {*FINDER_FACTS, "precision fp32", "sides 32 16384"} <= set(said)
    assert not [line for line in said if line.startswith(("class ", "image_size"))]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_finder_for_openvino(tmp_path, photos, precision):
    graph, _ = export_model("finder", "openvino", tmp_path / "f.xml", precision=precision, batch_size=2)
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    check_faces(compiled({"images": photos[0]})["cells"], photos, precision)
    assert compiled({"images": photos[0][:1, :64, :32]})["cells"].shape == (1, 42, 15)
    assert set(graph.read_text().rpartition("<?fer_fast")[2].splitlines()) >= {*FINDER_FACTS, f"precision {precision}"}


def test_a_finder_for_rtx_cards(tmp_path):
    pytest.importorskip("tensorrt_rtx_libs")
    options = {"precision": "fp16", "cards": ("8.6",), "batch_size": 2, "find_size": 333}
    engine, beside = export_model("finder", "tensorrt-rtx", tmp_path / "f.engine", **options)
    assert engine.stat().st_size > 10_000
    assert {*FINDER_FACTS, "sides 32 352"} <= set(beside.read_text().splitlines())


def test_a_classifier_says_how_faces_are_cut_for_it(tmp_path):
    for name, framing in (("tiny", "level"), ("fast", "points")):
        graph = Graph(read_checkpoint(name), "onnx", "fp32", 4, 640)
        assert {"kind classifier", f"framing {framing}"} <= set(graph.description.splitlines())


@pytest.mark.parametrize(
    ("precision", "cards"),
    [("fp16", ("7.5", "8.6", "8.9", "12.0")), ("bf16", ()), ("fp32", ()), ("int8", ("8.6", "8.9"))],
)
def test_tensorrt_for_rtx_builds_engines_without_a_card(tmp_path, model, precision, cards):
    pytest.importorskip("tensorrt_rtx_libs")
    engine, beside = export_model(model, "tensorrt-rtx", tmp_path / "m.engine", precision=precision, cards=cards)
    assert engine.stat().st_size > 10_000
    said = beside.read_text().splitlines()
    assert {f"precision {precision}", "class neutral", "format 1"} <= set(said)
    assert said[-2] == f"engine {engine.stat().st_size} {zlib.crc32(engine.read_bytes()):08x}"
    whole = beside.read_bytes().rpartition(b"description ")[0]
    assert said[-1] == f"description {len(whole)} {zlib.crc32(whole):08x}"


@pytest.mark.parametrize(
    ("name", "precision", "left"),
    [
        ("tiny", "fp32", ["8.6"]),
        ("tiny", "bf16", ["8.6"]),
        ("tiny", "fp16", ["7.5", "8.6"]),
        ("finder", "fp32", ["7.5", "8.6"]),
        ("finder", "bf16", ["8.6"]),
    ],
)
def test_cards_that_cannot_take_a_precision_are_left_out_and_told_of(monkeypatch, caplog, name, precision, left):
    built = []

    def build_engine(library, graph, batch_size, cards, sides):
        built.extend(cards)
        return b""

    stand_ins = {
        "load_tensorrt": lambda _: None,
        "capabilities": lambda _: {"7.5": None, "8.6": None},
        "traced": lambda *_, **__: b"",
    }
    for function, other in {**stand_ins, "build_engine": build_engine}.items():
        monkeypatch.setattr(export_tensorrt, function, other)
    export_tensorrt.encode(Graph(read_either(name), "tensorrt-rtx", precision, 1, 640))
    assert built == left
    assert ("compute capability 7.5 are left out" in caplog.text) is ("7.5" not in left)


def test_tensorrt_says_what_it_does_not_take(tmp_path, model):
    pytest.importorskip("tensorrt_rtx_libs")
    with pytest.raises(ValueError, match=r"cards must be of 7.5, 8.0, .* for this TensorRT, not '6.1'"):
        export_model(model, "tensorrt-rtx", tmp_path / "m.engine", cards=("8.9", "6.1"))
    library = tensorrt_build.load_tensorrt("tensorrt-rtx")
    with pytest.raises(FerFastError, match=r"TensorRT .* does not take the graph: "):
        tensorrt_build.build_engine(library, b"no graph", 1)


def test_missing_libraries_say_what_to_install(tmp_path, model, monkeypatch):
    for name in ("tensorrt", "tensorrt_rtx_libs", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None)
    for format, words in (
        (
            "tensorrt",
            r"format 'tensorrt' needs onnxscript, tensorrt, which are not .*: pip install 'fer-fast\[cuda\]'",
        ),
        ("onnx", r"format 'onnx' needs onnxscript, which is not installed: pip install 'fer-fast\[torch\]'"),
    ):
        with pytest.raises(MissingExtraError, match=words):
            export_model(model, format, tmp_path / f"m{FORMATS[format][0]}")
    monkeypatch.delitem(sys.modules, "onnxscript")
    with pytest.raises(MissingExtraError, match=r"tensorrt-rtx is not there .*pip install --no-deps tensorrt-rtx-cu13"):
        export_model(model, "tensorrt-rtx", tmp_path / "m.engine")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"format": "caffe"}, ValueError, "format must be one of onnx, openvino, pt2, .*, not 'caffe'"),
        ({"precision": "bf16"}, ValueError, "precision of format onnx must be one of fp32, fp16, int8, not 'bf16'"),
        ({"batch_size": 0}, ValueError, "batch_size must be from 1 to 16384, not 0"),
        ({"batch_size": 10**11}, ValueError, "batch_size must be from 1 to 16384, not 100000000000"),
        ({"cards": ("8.6",)}, ValueError, "cards are for format tensorrt-rtx, not format onnx"),
        ({"find_size": 0}, ValueError, "find_size must be from 1 to 16384, not 0"),
        ({"model": "finder", "precision": "int8"}, ValueError, "precision int8 is not there for a face finder"),
        ({"out": "m.pt"}, ValueError, "out must end in .onnx for format onnx, not 'm.pt'"),
        ({"out": "nowhere/m.onnx"}, OutputRefusedError, "the folder of the output 'nowhere/m.onnx' does not exist"),
        ({"model": "nobody"}, CheckpointError, "there is no file 'nobody'"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, model, options, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        export_model(**{"model": model, "format": "onnx", "out": "m.onnx", **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_int8_needs_measured_ranges(tmp_path, format):
    save_model(random_model(tiny_config(sources=("image", "FM1"))), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="int8 needs a checkpoint whose activation ranges were measured"):
        export_model(tmp_path / "model.safetensors", format, tmp_path / f"m{FORMATS[format][0]}", precision="int8")


def test_a_full_disk_leaves_nothing(tmp_path, model, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_fast.export.write_whole", full)
    with pytest.raises(FerFastError, match=r"m.xml' cannot be written: No space left on device"):
        export_model(model, "openvino", tmp_path / "m.xml")


def test_no_room_for_temporary_files(tmp_path, model, monkeypatch):
    """OpenVINO writes its two files there first."""

    def full(*_, **__):
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(openvino, "save_model", full)
    with pytest.raises(FerFastError, match=r"OpenVINO could not write the model to '.*': basic_ios::clear"):
        export_model(model, "openvino", tmp_path / "m.xml")
    assert not list(tmp_path.iterdir())


def test_command(tmp_path, monkeypatch, capsys, model):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["export", str(model), "--format", "openvino"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [str(tmp_path / name) for name in ("model.xml", "model.bin")]
    assert cli.run(["export", str(model), "--format", "openvino", "--precision", "fp8"]) == 2
    assert "precision of format openvino must be one of fp32, fp16, int8, not 'fp8'" in capsys.readouterr().err

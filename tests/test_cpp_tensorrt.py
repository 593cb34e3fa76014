"""The C++ library with TensorRT, on stand-ins for it and for CUDA; where there is a card, on the real ones."""

from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pytest
from cpp_programs import (
    LITTLE_OPTIMISED,
    RGB,
    ROOT,
    answers_of,
    assert_same,
    build,
    build_consumer,
    install,
    odd_images,
    python_answers,
    run,
    write_images,
)
from tiny_models import random_model, tiny_config

from fer_fast.decode import pixels_of
from fer_fast.export import export_model
from fer_fast.export.graph import sealed
from fer_fast.models.files.storage import save_model
from fer_fast.models.prior import ratios_of, with_ratios

SIDE, CLASSES, BATCH = 24, ("mean", "other", "third"), 6
ENGINE = f"shim {SIDE} {len(CLASSES)} {BATCH}"
WITH_TENSORRT = "-DFER_FAST_TENSORRT=ON"
SHIM = ROOT / "tests/cpp/tensorrt_shim"
DESCRIPTION = {"format": 1, "version": "0", "model": "m", "precision": "fp16", "image_size": SIDE, "batch_size": BATCH}


def empty_library(path):
    """What CMake shall find as TensorRT's: the stand-in is all in its header."""
    path.parent.mkdir(parents=True)
    path.with_suffix(".cpp").touch()
    run("c++", "-shared", "-fPIC", path.with_suffix(".cpp"), "-o", path)
    return path


@pytest.fixture(scope="module", params=["address,undefined", "thread"])
def programs(request, tmp_path_factory):
    """The folder of the stranger's programs and the library, with the stand-ins, under the sanitizers."""
    folder = tmp_path_factory.mktemp("cpp")
    library = empty_library(folder / "tensorrt" / "libnvinfer.so")
    stand_ins = (f"-DCMAKE_MODULE_PATH={SHIM}", f"-DTensorRT_ROOT={SHIM}", f"-DTensorRT_LIBRARY={library}")
    choice = (f"-DFER_FAST_SANITIZE={request.param}", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-O1 -Werror")
    # Nothing is installed: it would be with what it is linked to, the stand-in.
    build(ROOT, folder, WITH_TENSORRT, "-DFER_FAST_INSTALL=OFF", *stand_ins, *choice, targets=("fer_fast_classifier",))
    flags = ["-std=c++17", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-fsanitize={request.param}"]
    flags += ["-isystem", SHIM, f"-I{ROOT / 'csrc/include'}", f"-I{folder / 'include'}", f"-Wl,-rpath,{folder}"]
    for name in ("consumer/classify", "consumer/find", "tensorrt_shim/device"):
        source = ROOT / "tests/cpp" / f"{name}.cpp"
        libraries = (folder / "libfer_fast.so", folder / "libcuda_shim.so")
        run("c++", *flags, source, *libraries, "-o", folder / source.stem)
    return folder


@pytest.fixture
def classify(programs):
    return programs / "classify"


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path)


def write_model(folder, engine=ENGINE, prior=(), **changes):
    """An engine of the stand-in, and what lies beside it."""
    facts = [*{**DESCRIPTION, **changes}.items(), *(("class", name) for name in CLASSES)]
    facts += [("prior", share) for share in prior]
    description = "".join(f"{name} {value}\n" for name, value in facts)
    (folder / "model.engine.txt").write_text(sealed(description, engine=engine.encode()))
    (folder / "model.engine").write_text(engine)
    return folder / "model.engine"


def stand_ins_answers(images):
    """What NvInferRuntime.h says that its engines answer."""
    mean = np.array([pixels_of(array, SIDE).mean() / 255 for array in images])
    return np.stack([mean, (1 - mean) / 2, (1 - mean) / 2], axis=1)


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
def test_batches_threads_and_cards(classify, model, tmp_path, device):
    given, plain = odd_images(40, 90)
    found, said = answers_of(classify, model, given, tmp_path, threads=8, device=device)
    np.testing.assert_allclose(found, stand_ins_answers(plain), atol=1e-5)
    card = 1 if device == "cuda:1" else 0
    assert f"engine=tensorrt\nversion=10.0.1\ndevice=cuda:{card}\nprecision=fp16\nstreams=2\ngraphs=1,6\n" in said


def test_an_engine_that_cannot_be_captured_runs_without_graphs(classify, model, tmp_path):
    given, plain = odd_images(20, 90)
    told = os.environ | {"SHIM_UNCAPTURABLE": "1"}
    found, said = answers_of(classify, model, given, tmp_path, threads=4, env=told)
    np.testing.assert_allclose(found, stand_ins_answers(plain), atol=1e-5)
    assert "\ngraphs=none\n" in said


def test_images_on_a_card_are_classified_there(programs, tmp_path):
    run(programs / "device", write_model(tmp_path, prior=(0.5, 0.3, 0.2)), timeout=300)


def test_probabilities_presume_the_mix(classify, tmp_path):
    own = (0.5, 0.3, 0.2)
    model = write_model(tmp_path, prior=own)
    given, plain = odd_images(20, 90)
    found, said = answers_of(classify, model, given, tmp_path, threads=4, prior="mean=1,other=0,third=1")
    assert "\nprior=mean=0.5,other=0,third=0.5\n" in said
    wanted = with_ratios(stand_ins_answers(plain).astype(np.float32), ratios_of((0.5, 0, 0.5), own, CLASSES))
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            {"engine": "no engine"},
            "4 the model '.*' is for another TensorRT than 10.0.1, or for other cards: this is no engine",
        ),
        ({"format": 2}, "4 the model '.*model.engine' has format 2"),
        ({"image_size": SIDE + 1}, "3 the model '.*' is damaged: it is not what its description says"),
        ({"batch_size": BATCH - 1}, "3 the model '.*' is damaged: it is not what its description says"),
        ({"class": "a fourth"}, "3 the model '.*' is damaged: it is not what its description says"),
    ],
)
def test_wrong_models_are_told(classify, tmp_path, spoil, words):
    assert_refused(classify, write_model(tmp_path, **spoil), words)


def test_damage_is_told(classify, model):
    model.write_text(model.read_text() + " ")
    assert_refused(classify, model, "3 the model '.*' is damaged: its engine must have 11 bytes, not 12")
    model.write_text("spoilt....."[:11])
    assert_refused(classify, model, "3 the model '.*' is damaged: its engine changed since it was exported")
    model.write_text(ENGINE)
    beside = model.with_suffix(".engine.txt")
    beside.write_text(beside.read_text().replace("class mean", "class mode"))
    assert_refused(classify, model, "3 the model '.*' is damaged: its description changed since it was exported")
    beside.unlink()
    assert_refused(classify, model, "2 the model's file '.*model.engine.txt' cannot be read")
    model.unlink()
    assert_refused(classify, model, "2 the model's file '.*model.engine' cannot be read")


def test_cards_that_are_missing_or_full_are_told(classify, model):
    assert_refused(classify, model, "6 there is no CUDA card for '.*model.engine'", SHIM_CARDS="0")
    assert_refused(classify, model, "8 taking .* bytes on the card failed: out of memory", SHIM_MEMORY="5000")
    busy = "7 choosing card 1 failed: device\\(s\\) is/are busy"
    assert_refused(classify, model, busy, device="cuda:1", SHIM_BAD_CARD="1")
    assert_refused(classify, model, "8 TensorRT could not prepare the model: ", device="cuda:1", SHIM_CONTEXTS="1")
    for device in ("cpu", "cuda:2", "cuda:01"):
        words = f"6 device must be auto, cuda or cuda:0 to cuda:1 for an .engine, not '{device}'"
        assert_refused(classify, model, words, device=device)


def test_what_an_engine_has_no_choice_of_is_refused(classify, model):
    command = (classify, model, "/dev/null", model.parent / "out.bin", 0, "auto", "train")
    for choice, words in (
        ((2,), "precision must be automatic for .engine models"),
        ((0, 1), "pinning must be automatic"),
    ):
        done = run(*command, *choice, check=False)
        assert done.returncode == 1 and done.stderr.startswith(f"1 {words}")


@pytest.mark.parametrize(("why", "code"), [("it broke", 7), ("CUDA error: out of memory", 8)])
def test_a_batch_that_fails_is_told(classify, model, tmp_path, why, code):
    write_images(tmp_path / "images.bin", odd_images(3, 30)[0])
    command = (classify, model, tmp_path / "images.bin", tmp_path / "out.bin")
    done = run(*command, check=False, env=os.environ | {"SHIM_FAILS": why})
    assert (done.returncode, done.stderr) == (1, f"{code} TensorRT failed: {why}\n")


def test_a_graph_that_fails_is_told(classify, model, tmp_path):
    write_images(tmp_path / "images.bin", odd_images(3, 30)[0])
    command = (classify, model, tmp_path / "images.bin", tmp_path / "out.bin")
    done = run(*command, check=False, env=os.environ | {"SHIM_GRAPH_FAILS": "1"})
    assert (done.returncode, done.stderr) == (1, "7 TensorRT failed: unspecified launch failure\n")


def test_faces_are_found(programs, model, tmp_path):
    """By the stand-in's face in each photo that is light enough; a finder of another size than it says is told."""
    facts = {"kind": "finder", "sides": "32 96", "strides": "8 16 32", "cells": 15}
    (tmp_path / "finder").mkdir()
    finder = write_model(tmp_path / "finder", "finder 96 4", batch_size=4, **facts)
    light, dark = np.full((50, 192, 3), 255, np.uint8), np.zeros((64, 64, 3), np.uint8)
    write_images(tmp_path / "photos.bin", [(light, RGB, 0), (dark, RGB, 0), (light[:, :150], RGB, 0)])
    command = (programs / "find", finder, model, tmp_path / "photos.bin", tmp_path / "out.bin", 4, "auto", 96)
    assert "engine=tensorrt\n" in run(*command).stdout
    done = run(*command, check=False, env=os.environ | {"SHIM_FAILS": "it broke"})
    assert (done.returncode, done.stderr) == (1, "7 TensorRT failed: it broke\n")
    data = (tmp_path / "out.bin").read_bytes()
    sizes = np.frombuffer(data, np.int64, 1), np.frombuffer(data, np.int64, 1, 8 + 4 * 18)
    assert sizes == (1, 0)
    face = np.frombuffer(data, np.float32, 4, 8)
    np.testing.assert_allclose(face, [-24, -24, 64, 64], atol=1e-3)  # found in half of the size
    finder = write_model(tmp_path / "finder", "finder 128 4", batch_size=4, **facts)
    done = run(programs / "find", finder, *command[2:], check=False)
    assert done.returncode == 1 and re.match("3 the model '.*' is damaged: it is not what its description", done.stderr)


def test_an_engine_for_single_images(classify, tmp_path):
    model = write_model(tmp_path, engine=f"shim {SIDE} {len(CLASSES)} 1", batch_size=1)
    given, plain = odd_images(5, 30)
    found, _ = answers_of(classify, model, given, tmp_path)
    np.testing.assert_allclose(found, stand_ins_answers(plain), atol=1e-5)


def assert_refused(classify, model, words, device="auto", **settings):
    command = (classify, model, "/dev/null", model.parent / "out.bin", 0, device)
    done = run(*command, check=False, env=os.environ | settings)
    assert done.returncode == 1 and re.match(words, done.stderr), done.stderr


def test_cmake_finds_what_it_is_told(tmp_path):
    """The stand-ins as an installed TensorRT; that the library is linked to it is for a real one to show."""
    if shutil.which("nvcc") is None:
        pytest.skip("there is no CUDA toolkit")
    nowhere = ("-DFER_FAST_CUDA=0", "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF")
    told = {name: value for name, value in os.environ.items() if name != "TensorRT_ROOT"}
    done = run("cmake", "-S", ROOT, "-B", tmp_path / "none", WITH_TENSORRT, *nowhere, check=False, env=told)
    assert done.returncode == 1
    assert "did not find TensorRT, or its headers: give -DTensorRT_ROOT" in " ".join(done.stderr.split())
    shutil.copytree(SHIM, tmp_path / "root" / "include")
    empty_library(tmp_path / "root" / "lib" / "libnvinfer.so")
    options = (WITH_TENSORRT, f"-DTensorRT_ROOT={tmp_path / 'root'}", LITTLE_OPTIMISED)
    build(ROOT, tmp_path / "build", *options, targets=("fer_fast_classifier",))
    assert (tmp_path / "build" / "libfer_fast.so").is_file()


@pytest.mark.needs_cuda
@pytest.mark.needs_tensorrt
def test_on_a_card_gives_pythons_answers(tmp_path):
    """Needs TensorRT's headers, which pip does not bring: TensorRT_ROOT names where they and the libraries are."""
    if "TensorRT_ROOT" not in os.environ:
        pytest.skip("TensorRT_ROOT does not say where TensorRT's headers are")
    consumer = build_consumer(tmp_path / "consumer", install(tmp_path, WITH_TENSORRT))
    save_model(random_model(tiny_config(sources=("image", "FM1"))), tmp_path / "model.safetensors")
    export_model(tmp_path / "model.safetensors", "tensorrt", tmp_path / "model.engine", batch_size=16)
    given, plain = odd_images(40, 200)
    found, said = answers_of(consumer / "classify", tmp_path / "model.engine", given, tmp_path, threads=8)
    assert_same(found, python_answers(tmp_path / "model.safetensors", plain))
    assert "engine=tensorrt\n" in said

"""The C++ library with libtorch: a .pt2 gives Python's answers, on the CPU and on a card."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from cpp_programs import (
    LITTLE_OPTIMISED,
    RGB,
    answers_of,
    assert_as_python,
    assert_same,
    build_consumer,
    found_by,
    install,
    odd_images,
    python_answers,
    run,
)
from tiny_models import random_model, tiny_config

from fer_fast.bench.portraits import photo_with_faces
from fer_fast.export import export_model, pt2
from fer_fast.models.files.storage import save_model
from fer_fast.models.prior import ratios_of, shares_of, with_ratios
from fer_fast.types import EMOTIONS

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def classify(tmp_path_factory):
    """The stranger's program, built against an install with libtorch."""
    folder = tmp_path_factory.mktemp("cpp")
    torch = Path(importlib.util.find_spec("torch").origin).parent
    options = ["-DFER_FAST_LIBTORCH=ON", f"-DTorch_DIR={torch / 'share/cmake/Torch'}"]
    prefix = install(folder, LITTLE_OPTIMISED, *options)
    return build_consumer(folder / "consumer", prefix, programs=("classify", "find")) / "classify"


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)])
def test_gives_pythons_answers(classify, tmp_path, monkeypatch, device):
    monkeypatch.setattr(pt2, "cuda_is_present", lambda: device == "cuda")
    own = (0.3, *[0.1] * 7)
    save_model(random_model(tiny_config(sources=("image", "FM1"), prior=own)), tmp_path / "model.safetensors")
    export_model(tmp_path / "model.safetensors", "pt2", tmp_path / "model.pt2", batch_size=16)
    given, plain = odd_images(20, 200)
    found, said = answers_of(classify, tmp_path / "model.pt2", given, tmp_path, threads=2)
    assert_same(found, python_answers(tmp_path / "model.safetensors", plain))
    assert "engine=libtorch\n" in said and f"device={device}" in said
    balanced, _ = answers_of(classify, tmp_path / "model.pt2", given, tmp_path, prior="balanced")
    wanted = with_ratios(found, ratios_of(shares_of("balanced", EMOTIONS), own, EMOTIONS))
    np.testing.assert_allclose(balanced, wanted, atol=1e-5)
    for other in ({"cpu": "cuda", "cuda": "cpu"}[device], f"{device}:01", f"{device}:256"):
        done = run(classify, tmp_path / "model.pt2", "/dev/null", tmp_path / "out.bin", 0, other, check=False)
        assert done.returncode == 1 and done.stderr.startswith(f"6 device must be auto or {device} for "), done.stderr
    # Faces, too: with the same model, whose compilation is what takes long.
    export_model("finder", "pt2", tmp_path / "finder.pt2")
    pixels = np.asarray(photo_with_faces(np.random.default_rng(4), (700, 520), 3)[0])
    models = tmp_path / "finder.pt2", tmp_path / "model.pt2"
    found, said = found_by(classify.parent / "find", *models, [(pixels, RGB, 0)], tmp_path, 2, "auto")
    assert len(found[0]) == 3 and said.count("engine=libtorch\n") == 2
    assert_as_python(found, [pixels], tmp_path / "model.safetensors")


def test_what_is_no_model_is_told(classify, tmp_path):
    (tmp_path / "text.pt2").write_text("no package")
    for model, words in (
        ("text.pt2", "3 the model '.*text.pt2' is damaged"),
        ("none.pt2", "2 the model's file '.*none.pt2' cannot be read"),
    ):
        done = run(classify, tmp_path / model, "/dev/null", tmp_path / "out.bin", check=False)
        assert done.returncode == 1 and re.match(words, done.stderr), done.stderr


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A package for a processor with avx99."""
    folder = tmp_path_factory.mktemp("foreign")
    save_model(random_model(tiny_config(sources=("image",))), folder / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pt2, "instructions", lambda: "instruction avx99\n")
        export_model(folder / "model.safetensors", "pt2", folder / "model.pt2")
    return folder / "model.pt2"


def test_another_processors_code_is_not_run(classify, foreign, tmp_path):
    assert "instruction " in pt2.instructions()
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx99\nbugs\t: none\n")
    assert pt2.instructions(tmp_path / "cpuinfo") == "instruction avx2\ninstruction avx99\n"
    done = run(classify, foreign, "/dev/null", tmp_path / "out.bin", check=False)
    assert done.returncode == 1 and re.match("4 the model '.*' was exported for a processor with avx99: ", done.stderr)


def test_half_a_package_is_told(classify, foreign, tmp_path):
    (tmp_path / "half.pt2").write_bytes(foreign.read_bytes()[:5000])
    done = run(classify, tmp_path / "half.pt2", "/dev/null", tmp_path / "out.bin", check=False)
    assert done.returncode == 1 and re.match("3 the model '.*half.pt2' is damaged", done.stderr), done.stderr

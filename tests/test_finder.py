"""The face finder: engines agree on drawn faces, images of any size, threads, honest descriptions, clear refusals."""

import dataclasses
import logging
import math
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import pytest
from filled_photo import filled_photo
from PIL import Image
from safetensors.numpy import save

from fer_fast.bench.portraits import photo_with_faces
from fer_fast.decode.pixels import reduced, resized
from fer_fast.engines import open_engine
from fer_fast.engines import openvino as openvino_engine
from fer_fast.faces import finder as finder_module
from fer_fast.faces.finder import FaceFinder
from fer_fast.models.files.checkpoint import FORMAT, read_finder, write_checkpoint
from fer_fast.models.finder.config import FinderConfig
from fer_fast.types import CheckpointError, FerFastError

HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
#: How far boxes may be from those of OpenVINO in fp32: pixels, for faces of about 40.
TOLERANCE = {"fp32": 0.01, "bf16": 2.0}
ENGINES = [
    ("openvino", "fp32"),
    *([("openvino", "bf16")] if HAS_BF16 else []),
    *(pytest.param("torch", precision, marks=pytest.mark.needs_torch) for precision in ("fp32", "bf16")),
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_FAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def finder():
    with FaceFinder(engine="openvino", precision="fp32", find_size=320, min_face=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def photo():
    drawn, _ = photo_with_faces(np.random.default_rng(3), (320, 235), 2)
    return np.asarray(drawn)


@pytest.mark.parametrize(("engine", "precision"), ENGINES)
def test_engines_agree(finder, photo, engine, precision):
    wanted = finder.find_in(photo)
    assert len(wanted) == 2 and wanted[:, 2:4].min() > 30
    options = {"engine": engine, "device": "cpu", "precision": precision, "find_size": 320}
    with FaceFinder(**options) as opened:
        found = opened.find_in(photo)
        assert opened.describe()["precision"] == precision
    order = np.abs(found[:, None, :2] - wanted[None, :, :2]).sum(axis=2).argmin(axis=0)
    np.testing.assert_allclose(found[order, :14], wanted[:, :14], atol=TOLERANCE[precision])
    np.testing.assert_allclose(found[order, 14], wanted[:, 14], atol=0.02)


@pytest.mark.needs_torch
def test_a_batch_is_its_images(photo):
    """Of an engine; the finder itself gives it one image at a time."""
    import torch

    from fer_fast.models.files.storage import build_finder

    images = np.zeros((3, 96, 128, 3), np.uint8)
    images[0], images[1] = photo[:96, :128], photo[100:196, 150:278]
    wanted = build_finder(read_finder("finder"))(torch.from_numpy(images)).numpy()
    for engine in ("openvino", "torch"):
        running = open_engine(read_finder("finder"), engine=engine, device="cpu", precision="fp32", batch_size=3)
        np.testing.assert_allclose(running.infer(images), wanted, atol=1e-3)
        np.testing.assert_allclose(running.infer(images[1:2]), wanted[1:2], atol=1e-3)
        running.close()


@pytest.mark.parametrize("size", [(1, 1), (1, 320), (320, 1), (33, 31), (320, 320), (5, 199)])
def test_images_of_any_size(finder, size):
    found = finder.find_in(np.full((*size, 3), 120, np.uint8))
    assert found.shape == (0, 15) and found.dtype == np.float32


def test_a_single_canvas_gives_the_same_faces(finder, photo, monkeypatch):
    """As where an engine is compiled for one shape: what is padded changes a little, the faces stay."""

    def opened(checkpoint, **options):
        engine = open_engine(checkpoint, **options)
        engine.sides = engine.sides.only(options["side"])
        return engine

    monkeypatch.setattr("fer_fast.faces.finder.open_engine", opened)
    part = photo[:170]
    with FaceFinder(engine="openvino", precision="fp32", find_size=310) as square:
        assert square._engine.sides.canvas(170, 310) == (320, 320)
        found = square.find_in(part[:, :310])
    np.testing.assert_allclose(found, finder.find_in(part[:, :310]), atol=1)
    assert len(found)


def test_what_lies_beside_the_image_is_not_seen(finder, photo):
    """A part of a larger array is what it is by itself, and is not written to."""
    part = photo[:201, :317]
    assert not part.flags.c_contiguous
    np.testing.assert_array_equal(finder.find_in(part), finder.find_in(part.copy()))


def test_a_very_small_photo_is_looked_at_enlarged(photo):
    """Of 60 x 44 pixels: its faces are those of the same photo at 128, in its own pixels."""
    small = Image.fromarray(photo).resize((60, 44), Image.Resampling.BILINEAR)
    enlarged = np.asarray(resized(small, (128, 94)))
    with FaceFinder(engine="openvino", precision="fp32", min_face=0, score=0.3) as finder:
        (faces,), (wanted,) = finder.find([np.asarray(small)]), finder.find([enlarged])
        assert len(wanted) == 2
        boxes = [[[face.x, face.y, face.width, face.height] for face in found] for found in (faces, wanted)]
        factors = np.array([60 / 128, 44 / 94] * 2)
        np.testing.assert_allclose(boxes[0], boxes[1] * factors, rtol=1e-6)
        assert not len(finder.find_in(np.asarray(small))), "as it is nothing is found"


def test_a_face_that_fills_a_grainy_photo_is_found_by_a_second_look(monkeypatch):
    filled = filled_photo(480, 640)
    with FaceFinder(engine="openvino", precision="fp32") as opened:
        (face,) = opened.find_in(filled)
        (again,) = opened.find_in(np.asarray(reduced(Image.fromarray(filled), (120, 160))))
        np.testing.assert_allclose(face, again * np.array([4.0] * 14 + [1.0]), rtol=1e-6)
        assert face[2] > 300 and face[3] > 400
        monkeypatch.setattr(finder_module, "SECOND_LOOK", 640)
        assert not len(opened.find_in(filled)), "by one look it is not found"


def test_many_threads(finder, photo):
    images = [photo[place:, place:] for place in range(0, 40, 4)]
    alone = [finder.find_in(image) for image in images]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(finder.find_in, images * 3))
    for place, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[place % len(images)])


def test_faces_are_scaled_ordered_and_counted():
    finder = FaceFinder.__new__(FaceFinder)
    finder.min_face, finder.max_faces = 40.0, None
    found = np.zeros((4, 15), np.float32)
    found[:, 2:4] = [(10, 20), (19, 5), (30, 30), (8, 40)]
    found[:, 4:14], found[:, 14] = np.arange(10), (0.9, 0.8, 0.7, 0.65)
    faces = finder.faces(found, (100, 50), (200, 100))
    assert [(face.width, face.height) for face in faces] == [(60, 60), (16, 80), (20, 40)]
    assert faces[0].landmarks == ((0, 2), (4, 6), (8, 10), (12, 14), (16, 18))
    assert [round(face.score, 2) for face in faces] == [0.7, 0.65, 0.9]
    finder.max_faces = 2
    assert finder.faces(found, (100, 50), (200, 100)) == faces[:2]
    assert finder.faces(found[:0], (100, 50), (200, 100)) == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"find_size": 0}, ValueError, "find_size must be at least 1, not 0"),
        ({"find_size": 640.0}, TypeError, "find_size must be an integer of 1 or more, not 640.0"),
        ({"find_size": 20_000}, ValueError, "find_size must be at most 16384, not 20000"),
        ({"score": 2}, ValueError, "score must be a number from 0 to 1, not 2"),
        ({"score": math.nan}, ValueError, "score must be a number from 0 to 1, not nan"),
        ({"score": True}, TypeError, "score must be a number from 0 to 1, not True"),
        ({"finder": None}, TypeError, "finder must be a name or a path, not None"),
        ({"min_face": -1}, ValueError, "min_face must be a number of 0 or more, not -1"),
        ({"min_face": math.inf}, ValueError, "min_face must be a number of 0 or more, not inf"),
        ({"min_face": 10**400}, ValueError, "min_face must be a number of 0 or more, not 1000"),
        ({"min_face": "24"}, TypeError, "min_face must be a number of 0 or more, not '24'"),
        ({"max_faces": 0}, ValueError, "max_faces must be at least 1, not 0"),
        ({"max_faces": False}, TypeError, "max_faces must be an integer of 1 or more, not False"),
        (
            {"engine": "opencv"},
            ValueError,
            "engine must be one of auto, openvino, torch, .*, not 'opencv'",
        ),
        ({"precision": "int8", "device": "cpu"}, ValueError, "precision int8 is not there for a face finder"),
        ({"finder": "nobody"}, CheckpointError, "finder must be a file or one of: finder; there is no file 'nobody'"),
        ({"finder": "fast"}, CheckpointError, "finder must be a file or one of: finder; there is no file 'fast'"),
    ],
    ids=str,
)
def test_wrong_options(options, error, words):
    with pytest.raises(error, match=words):
        FaceFinder(**options)


@pytest.mark.parametrize(
    ("pixels", "error", "words"),
    [
        ([[0]], TypeError, "pixels must be a uint8 array, not list"),
        (np.zeros((8, 8, 3), np.float32), TypeError, "pixels must be a uint8 array, not float32"),
        (np.zeros((8, 8), np.uint8), ValueError, r"pixels must be \[1..320, 1..320, 3\], not \[8, 8\]"),
        (np.zeros((8, 8, 4), np.uint8), ValueError, r"not \[8, 8, 4\]"),
        (np.zeros((8, 0, 3), np.uint8), ValueError, r"not \[8, 0, 3\]"),
        (np.zeros((8, 321, 3), np.uint8), ValueError, r"not \[8, 321, 3\]"),
        (np.zeros(8, np.uint8), ValueError, r"not \[8\]"),
    ],
    ids=str,
)
def test_wrong_pixels(finder, pixels, error, words):
    with pytest.raises(error, match=words):
        finder.find_in(pixels)


def test_it_says_what_runs(finder):
    said = finder.describe()
    assert (said["finder"], said["find_size"], said["score"], said["max_faces"]) == ("finder", 320, 0.6, None)
    assert (said["engine"], said["precision"], said["cache"]) == ("openvino", "fp32", "stored")
    assert "tokens" not in said, "that is a classifier's"
    assert finder.streams >= 1


def test_identity_is_all_that_faces_depend_on(finder):
    with FaceFinder(engine="openvino", precision="fp32", find_size=320, min_face=0.0) as same:
        assert same.identity == finder.identity
    seen = {finder.identity}
    for change in ({"find_size": 160}, {"score": 0.7}, {"min_face": 30}, {"max_faces": 3}):
        options = {"find_size": 320, "min_face": 0, **change}
        with FaceFinder(engine="openvino", precision="fp32", **options) as other:
            seen.add(other.identity)
    assert len(seen) == 5 and all(" openvino fp32 " in f" {each} " for each in seen)


def test_it_is_opened_anew_where_it_is_unpickled(finder, photo, tmp_path, monkeypatch):
    with pickle.loads(pickle.dumps(finder)) as again:
        np.testing.assert_array_equal(again.find_in(photo), finder.find_in(photo))
    monkeypatch.chdir(tmp_path)
    checkpoint = read_finder("finder")
    write_checkpoint(Path("mine.safetensors"), checkpoint.config, checkpoint.tensors)
    with FaceFinder("mine.safetensors", engine="openvino", find_size=64) as mine:
        kept = pickle.dumps(mine)
    monkeypatch.chdir("/")
    with pickle.loads(kept) as again:
        assert again.describe()["finder"] == str(tmp_path / "mine.safetensors")


def test_closed(photo):
    finder = FaceFinder(engine="openvino", find_size=320)
    finder.close()
    finder.close()
    for call in (lambda: finder.find_in(photo), lambda: finder.find([photo])):
        with pytest.raises(FerFastError, match="the finder is closed"):
            call()


def test_a_finder_that_lacks_weights_is_a_wrong_checkpoint(tmp_path):
    packaged = read_finder("finder")
    path = tmp_path / "short.safetensors"
    write_checkpoint(path, packaged.config, dict(list(packaged.tensors.items())[1:]))
    with pytest.raises(CheckpointError, match=r"^the checkpoint lacks tensor"):
        FaceFinder(path)


def test_a_configuration_too_deep_to_read_is_told(tmp_path):
    (tmp_path / "deep.safetensors").write_bytes(save({}, {"format": FORMAT, "config": "[" * 100_000, "digest": ""}))
    with pytest.raises(CheckpointError, match=r"deep.safetensors' has a wrong configuration"):
        FaceFinder(tmp_path / "deep.safetensors")


def test_a_value_that_is_no_number_is_told(tmp_path, monkeypatch):
    """Whatever made it: weights that are no numbers are refused when they are read."""
    monkeypatch.setattr("fer_fast.models.finder.layers.check_tensors", lambda *_: None)
    checkpoint = read_finder("finder")
    broken = {name: tensor.copy() for name, tensor in checkpoint.tensors.items()}
    broken["heads.0.pointwise.bias"][:] = np.nan
    write_checkpoint(tmp_path / "broken.safetensors", FinderConfig(), broken)
    finder = FaceFinder(tmp_path / "broken.safetensors", engine="openvino", precision="fp32", find_size=64)
    with finder, pytest.raises(FerFastError, match="the finder gave a value that is not a number"):
        finder.find_in(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"origin": 3}, "origin must be text, not 3"),
        ({"precision_falls": {"fp8": 0.1}}, "precision_falls must be of bf16, fp16, int8, not of 'fp8'"),
        ({"precision_falls": {"bf16": 2}}, "precision_falls must be numbers from -1 to 1; 'bf16' has 2"),
    ],
)
def test_wrong_configuration(config, words):
    with pytest.raises(ValueError, match=words):
        FinderConfig(**config)


@pytest.mark.parametrize(("falls", "chosen"), [({}, "bf16"), ({"bf16": 0.001}, "bf16"), ({"bf16": 0.01}, "fp32")])
def test_auto_keeps_average_precision(falls, chosen, monkeypatch, caplog):
    monkeypatch.setattr(openvino_engine, "has_bf16", lambda _: True)
    measured = dataclasses.replace(read_finder("finder"), config=FinderConfig(precision_falls=falls))
    assert openvino_engine._precision("auto", None, measured) == chosen
    precision = "bf16" if HAS_BF16 else "fp32"
    measured = dataclasses.replace(measured, config=FinderConfig(precision_falls={precision: falls.get("bf16", 0.0)}))
    with caplog.at_level(logging.WARNING, "fer_fast"):
        open_engine(measured, engine="openvino", precision=precision, side=64).close()
    told = f"precision {precision} costs this model 1.00 points of average precision against fp32"
    assert (told in caplog.text) == (chosen == "fp32")


def in_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_it_needs_no_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from fer_fast.faces.finder import FaceFinder; "
        "finder = FaceFinder(device='cpu', precision='fp32', find_size=64); print(finder.describe()['cache'])"
    )
    assert in_process(code, FER_FAST_CACHE=str(tmp_path)) == ["stored"]
    assert in_process(code, FER_FAST_CACHE=str(tmp_path)) == ["hit"]


def test_a_forked_child_is_refused():
    code = (
        "import os, numpy; from fer_fast.faces.finder import FaceFinder\n"
        "finder = FaceFinder(device='cpu', precision='fp32', find_size=64)\n"
        "if os.fork() == 0:\n"
        "    try: finder.find_in(numpy.zeros((8, 8, 3), numpy.uint8))\n"
        "    except RuntimeError as error: print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    assert " ".join(in_process(code)) == (
        "the finder was opened before fork: open a FaceFinder in each process, by spawn or forkserver"
    )

"""The stage of photos: each form against exact arithmetic, wrong ones that must be found, and OpenCV's file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import random_model, tiny_config

from fer_fast.bench import suite
from fer_fast.bench.forms import Graphs
from fer_fast.bench.images import make_faces
from fer_fast.bench.material import Material
from fer_fast.bench.measure import check
from fer_fast.bench.opencv import yunet_onnx
from fer_fast.bench.photos import Labelled, faces_agree
from fer_fast.bench.portraits import make_photos_with_faces
from fer_fast.bench.stages import faces, finder, folder
from fer_fast.engines.openvino_graph import openvino_core
from fer_fast.faces.finder import FaceFinder
from fer_fast.models.files.checkpoint import read_finder
from fer_fast.models.files.storage import build_finder, save_model
from fer_fast.models.finder.config import STRIDES

BOX = (10.0, 10.0, 40.0, 50.0)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    work = tmp_path_factory.mktemp("bench")
    save_model(random_model(tiny_config(image_size=32)), work / "model.safetensors")
    photos = make_photos_with_faces(work / "photos", 3, size=(480, 360), scenes=2)
    folders = {"faces": make_faces(work / "faces", 2)}
    return Material(work / "model.safetensors", folders, work, with_faces={"photos": photos})


def cases_of(material: Material, *engines: str):
    choice = suite.Choice(("faces",), engines, ("fp32",))
    runs = folder.Runs(material)
    found = suite.cases(material, Graphs(material), choice, runs)
    return {case.key.form: case for case in found if case.key.stage == "faces"}, runs


def test_every_form_is_right_or_says_why_not(material):
    cases, runs = cases_of(material, "openvino", "torch")
    found = {form: check(case) for form, case in cases.items()}
    for form, (measured, prepared) in found.items():
        absent = measured.state == "absent" and "cv2" in measured.reason
        assert measured.state == "ok" or absent, (form, measured.reason)
        if prepared is not None:
            prepared.call()
    assert found[faces.FORM][0].agreement.error == found["finder, 320 px"][0].agreement.error == 0
    (summaries,) = runs.summaries.values()
    assert (summaries[0].photos, summaries[0].faces) == (3, 4)


def test_a_finder_whose_boxes_are_off_is_not_timed(material, monkeypatch):
    right = FaceFinder.find_in
    monkeypatch.setattr(FaceFinder, "find_in", lambda *given: right(*given) + np.float32([20] * 2 + [0] * 13))
    cases, _ = cases_of(material, "openvino")
    for form in (finder.form_at(finder.FORM, 320), faces.FORM):
        assert check(cases[form])[0].state == "failed"


def test_a_folder_of_crops_has_no_rows_of_photos(material):
    crops = Material(material.model, material.folders, material.work, with_faces=material.folders)
    cases, _ = cases_of(crops, "openvino")
    for form in (finder.form_at(finder.FORM, 640), faces.FORM):
        measured, _ = check(cases[form])
        assert measured.state == "absent" and "no face is found" in measured.reason


def test_the_cost_of_the_network(material):
    cases, _ = cases_of(material, "openvino")
    work = {size: cases[finder.form_at(finder.FORM, size)].work for size in finder.SIZES}
    # 320 x 256 pixels, canvas of 320 x 240, and 480 x 384; a cell has 15 numbers, and 1/64 + 1/256 + 1/1024 of a pixel.
    assert work[320].bytes == 320 * 256 * (3 + 60 * 21 / 1024)
    assert work[640].bytes == 480 * 384 * (3 + 60 * 21 / 1024)
    assert 2.2 < work[640].flop / work[320].flop < 2.3


def test_what_agrees():
    face, other = Labelled(BOX, "anger"), Labelled((60.0, 10.0, 40.0, 50.0), "fear")
    near = Labelled((12.0, 11.0, 40.0, 50.0), "anger")

    def error(*got):
        return faces_agree([[face, other], []], got, 0.1).error

    assert error([other, near], []) == 0
    assert error([other, near, near], []) == pytest.approx(1 / 3)
    assert error([near], []) == error([near, Labelled(other.box, "anger")], []) == 0.5
    assert error([], [face, other]) == 1
    assert not faces_agree([[face]], [[other]], 0.1).holds
    with pytest.raises(ValueError, match="no face is found in the first"):
        faces_agree([[]], [[]], 0.1)


def test_opencvs_file_gives_what_the_network_gives():
    checkpoint = read_finder("finder")
    core = openvino_core()
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(yunet_onnx(checkpoint)), "CPU", options)
    images = torch.randint(0, 256, (1, 640, 640, 3), dtype=torch.uint8)
    outputs = compiled([images.flip(3).permute(0, 3, 1, 2).float().numpy()])  # BGR
    with torch.inference_mode():
        raw = build_finder(checkpoint).raw(images)
    for stride, cells in zip(STRIDES, raw, strict=True):
        columns = cells.flatten(2).transpose(1, 2).numpy()
        cls, obj, bbox, kps = (outputs[f"{name}_{stride}"] for name in ("cls", "obj", "bbox", "kps"))
        np.testing.assert_allclose(np.concatenate([bbox, kps], axis=2), columns[..., 2:], atol=1e-3)
        np.testing.assert_allclose(np.concatenate([cls, obj], axis=2), expit(columns[..., :2]), atol=1e-4)


def expit(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))

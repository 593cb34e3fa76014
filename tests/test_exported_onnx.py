"""What `fer-fast export` writes as ONNX is opened in Python, by OpenVINO: the checkpoint's answers, no damaged file."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import onnx
import pytest
import torch
from damaged_models import changes
from tiny_models import faces, random_model, tiny_config
from yunet_files import yunet_file

from fer_fast import Classifier, FaceFinder
from fer_fast.bench.portraits import photo_with_faces
from fer_fast.export import export_model
from fer_fast.models.files.checkpoint import read_finder
from fer_fast.models.files.exported import read_export
from fer_fast.models.files.onnx_file import DESCRIPTION, metadata_field, metadata_of
from fer_fast.models.files.opening import read_any_finder, read_classifier
from fer_fast.models.files.storage import save_model
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.models.quantised import measure_ranges
from fer_fast.types import CheckpointError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small checkpoint with a temperature, and what is exported from it; and the finder."""
    path = tmp_path_factory.mktemp("exported")
    model = random_model(tiny_config(sources=("image", "FM1")))
    ranges = measure_ranges(AlgebraicModel(model), torch.from_numpy(faces(32, 64, seed=9)))
    model.config = dataclasses.replace(model.config, temperature=1.7, activation_ranges=ranges)
    save_model(model, path / "model.safetensors")
    for precision in ("fp32", "fp16", "int8"):
        export_model(path / "model.safetensors", "onnx", path / f"{precision}.onnx", precision=precision, batch_size=5)
    export_model("finder", "onnx", path / "finder.onnx", batch_size=1)
    return path


def answers(model, precision):
    with Classifier(model, engine="openvino", precision=precision, batch_size=5, workers=1) as classifier:
        assert classifier.describe()["precision"] == precision
        return classifier.predict_batch(faces(5, 64, seed=3))


def test_gives_the_checkpoints_probabilities(folder):
    wanted = answers(folder / "model.safetensors", "fp32")
    np.testing.assert_allclose(answers(folder / "fp32.onnx", "fp32"), wanted, atol=1e-5)
    np.testing.assert_allclose(answers(folder / "fp16.onnx", "fp32"), wanted, atol=0.02)


def test_int8_is_the_checkpoints_but_for_its_symmetry(folder):
    """ONNX has int8 without zero points, as cards want it; OpenVINO's own takes bytes from the range's foot."""
    wanted, exact = answers(folder / "model.safetensors", "int8"), answers(folder / "model.safetensors", "fp32")
    found = answers(folder / "int8.onnx", "int8")
    np.testing.assert_allclose(found, wanted, atol=0.2)
    np.testing.assert_array_equal(found.argmax(axis=1), wanted.argmax(axis=1))
    assert np.abs(found - exact).max() > 1e-3, "it is computed in int8"


def test_a_finder_finds_the_checkpoints_faces(folder):
    photo, _ = photo_with_faces(np.random.default_rng(5), (256, 192), 2)
    with FaceFinder(precision="fp32") as packaged, FaceFinder(folder / "finder.onnx", precision="fp32") as exported:
        (wanted,), (found,) = packaged.find([photo]), exported.find([photo])
    assert len(found) == len(wanted) == 2
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose([one.x, one.y, one.width], [other.x, other.y, other.width], atol=0.01)


def test_the_file_is_whole_onnx_and_its_description_the_last_of_it(folder):
    content = (folder / "fp32.onnx").read_bytes()
    onnx.checker.check_model(onnx.load_from_string(content))
    (entry,) = onnx.load_from_string(content).metadata_props
    assert entry.key == "fer_fast" and entry.value.encode() == metadata_of(content, DESCRIPTION)
    assert content.endswith(metadata_field(DESCRIPTION, entry.value.encode()))


def test_a_hundred_and_fifty_changes_are_told(folder, tmp_path):
    """None of these files gets to OpenVINO, which crashes on some."""
    for content in changes((folder / "finder.onnx").read_bytes(), 150, seed=1):
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"damaged|cut short|does not know"):
            read_export(tmp_path / "m.onnx", "finder")
        with pytest.raises(CheckpointError):
            read_any_finder(tmp_path / "m.onnx")  # that cannot tell all of them from another's ONNX


def test_a_file_that_another_program_wrote_anew_is_told(folder, tmp_path):
    model = onnx.load(folder / "fp32.onnx")
    model.producer_name = "another"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(CheckpointError, match=r"m.onnx' is damaged: its graph (changed|must have)"):
        read_classifier(tmp_path / "m.onnx")
    model.metadata_props.add().key = "later"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(CheckpointError, match="is cut short, or was not written by fer-fast export --format onnx"):
        read_classifier(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(b"no protobuf")
    with pytest.raises(CheckpointError, match="is cut short, or was not written by"):
        read_classifier(tmp_path / "m.onnx")


def test_an_exported_finder_is_not_taken_for_yunets_own_file(folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"finder\.onnx' is an export, which can be run alone"):
        read_finder(folder / "finder.onnx")
    shutil.copy(folder / "finder.onnx", tmp_path / "FINDER.ONNX")
    assert read_any_finder(tmp_path / "FINDER.ONNX").description.kind == "finder"
    with pytest.raises(CheckpointError, match="is a face finder: open it as a FaceFinder"):
        read_classifier(folder / "finder.onnx")
    packaged = read_finder("finder").tensors
    yunet_file(tmp_path / "yunet.onnx", {name: array.astype(np.float32) for name, array in packaged.items()})
    assert "read as YuNet" in read_any_finder(tmp_path / "yunet.onnx").config.origin
    with pytest.raises(CheckpointError, match="was not written by fer-fast export --format onnx"):
        read_classifier(tmp_path / "yunet.onnx")

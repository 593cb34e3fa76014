"""A mean of weights: it is that of each tensor, measured anew, and only of models that are alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from drawn_data import last_sentence
from tiny_models import image_config, save_image_model

from fer_fast import Classifier
from fer_fast.cli import run
from fer_fast.models.files.checkpoint import read_checkpoint, write_checkpoint
from fer_fast.models.soup import soup
from fer_fast.types import CheckpointError


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    """Two models of one shape, with what is measured of them."""
    paths = [tmp_path / f"{number}.safetensors" for number in range(2)]
    for number, path in enumerate(paths):
        save_image_model(path, seed=number)
        found = read_checkpoint(path)
        prior = tuple(np.roll([0.3, *[0.1] * 7], number))
        measured = {"temperature": 0.5 + number, "precision_falls": {"bf16": 0.1}, "prior": prior}
        write_checkpoint(path, dataclasses.replace(found.config, **measured), found.tensors)
    return [str(path) for path in paths]


def test_weights_are_the_mean(models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "soup.safetensors"
    assert run(["combine", "--soup", *models, "--weights", "3,1", "-o", str(out)]) == 0
    said = capsys.readouterr().err
    assert said == f"soup.safetensors: 75.0 % {models[0]}, 25.0 % {models[1]}\n"
    first, second, found = (read_checkpoint(path) for path in (*models, out))
    assert found.tensors.keys() == first.tensors.keys()
    for name, tensor in found.tensors.items():
        one, other = (each.tensors[name].astype(np.float64) for each in (first, second))
        assert tensor.dtype == np.float16 and np.array_equal(tensor, (0.75 * one + 0.25 * other).astype(np.float16))
    assert found.config.built() == first.config.built()
    assert found.config.temperature == 1 and found.config.precision_falls == {}
    np.testing.assert_allclose(found.config.prior, [0.25, 0.15, *[0.1] * 6])
    with Classifier(out) as classifier:
        assert classifier.predict_batch(np.zeros((1, 8, 8, 3), np.uint8)).shape == (1, 8)


def test_a_soup_of_one_model_twice_is_that_model(models: list[str], tmp_path: Path) -> None:
    soup([models[0], models[0]], tmp_path / "same.safetensors")
    first, found = read_checkpoint(models[0]), read_checkpoint(tmp_path / "same.safetensors")
    assert all(np.array_equal(found.tensors[name], tensor) for name, tensor in first.tensors.items())


def test_models_that_are_not_alike_are_told(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, out = tmp_path / "other.safetensors", tmp_path / "soup.safetensors"
    save_image_model(other, image_config(depth=2))

    def refused(*words: str) -> str:
        assert run(["combine", "--soup", *words, "-o", str(out)]) == 2
        assert not out.exists()
        return last_sentence(capsys.readouterr().err, "fer-fast").rstrip()

    told = f"models must be alike for a soup; depth of {str(other)!r} is 2, of {models[0]!r} 1"
    assert refused(models[0], str(other)) == f"fer-fast: {told}"
    assert "models must be two or more, not 1" in refused(models[0])
    assert "weights must be numbers above 0, one for each of 2 models" in refused(*models, "--weights", "1,0")
    assert "refer must be left out with soup" in refused(*models, "--refer")
    save_image_model(other, image_config(framing="box"))
    assert "framing must be given where the models' differ; theirs are points, box" in refused(models[0], str(other))
    soup([models[0], other], out, framing="box")
    assert read_checkpoint(out).config.framing == "box"


def test_weights_that_do_not_fit_are_told(models: list[str], tmp_path: Path) -> None:
    found = read_checkpoint(models[1])
    lacking = {name: tensor for name, tensor in found.tensors.items() if name != "vit.norm.bias"}
    write_checkpoint(Path(models[1]), found.config, lacking)
    with pytest.raises(CheckpointError, match=r"lacks tensor 'vit\.norm\.bias'"):
        soup(models, tmp_path / "soup.safetensors")

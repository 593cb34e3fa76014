"""Histograms of oriented gradients: by hand, as scikit-image has them, in torch and laid."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from drawn_data import last_sentence
from tiny_models import faces
from training_runs import complaint

from fer_fast.cli import run
from fer_fast.engines.onnx_graph import free_batch, onnx_of
from fer_fast.engines.openvino_graph import openvino_core
from fer_fast.engines.openvino_layers import OpenVinoLayers, ops
from fer_fast.engines.openvino_library import openvino
from fer_fast.models.cnn.config import CNNConfig
from fer_fast.models.cnn.hog import hog_width, lay_hog
from fer_fast.models.cnn.network import CNN, HOG
from fer_fast.models.files.storage import save_model
from fer_fast.train.recipe import RECIPES

#: Features are 0 to 1; scikit-image sums in float64.
FEATURE = 1e-5
SIZES = (16, 48, 51)
Maps = npt.NDArray[np.float32]


def pictures(size: int) -> Maps:
    """Smooth ones, noise of few and of all levels, an edge and a flat one, [9, 1, size, size], 0 to 255."""
    random = np.random.default_rng(0)
    smooth = faces(4, size).mean(axis=3).round()
    noise = [random.integers(0, levels, (size, size)) * (255 // (levels - 1)) for levels in (2, 3, 256)]
    edge = np.where(np.arange(size) < size // 2, 10, 200) * np.ones((size, 1))
    return np.stack([*smooth, *noise, edge, np.full((size, size), 77)]).astype(np.float32)[:, None]


def normalised(maps: Maps) -> Maps:
    """As the network sees them."""
    return (maps / 255 - np.float32(0.508)) / np.float32(0.255)


def torchs(maps: Maps) -> Maps:
    found: Maps = HOG()(torch.from_numpy(maps)).numpy()
    return found


def laids(maps: Maps) -> Maps:
    """What OpenVINO makes of it in fp32."""
    side = maps.shape[2]
    given = ops.parameter([-1, 1, side, side], np.float32)
    graph = openvino.Model([lay_hog(OpenVinoLayers({}), given.output(0), side)], [given], "hog")
    compiled = openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found: Maps = compiled([maps])[0]
    return found


def exporteds(maps: Maps) -> Maps:
    """What ONNX Runtime makes of the graph that is exported, which torch's exporter has optimised."""
    runtime = pytest.importorskip("onnxruntime")
    content = onnx_of(HOG().eval(), torch.from_numpy(maps[:1].repeat(2, 0)), free_batch(16), "maps", ("features",))
    found: Maps = runtime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"maps": maps})[0]
    return found


@pytest.mark.parametrize("ways", [torchs, laids])
@pytest.mark.parametrize(
    ("down", "across", "orientation"),
    [
        (0, 1, 0),
        (0, -1, 0),
        (1, 0, 4),
        (-1, 0, 4),
        (1, 1, 2),
        (-1, -1, 2),
        (1, -1, 6),
        (-1, 1, 6),
        (-1, 9, 8),
        (1, 9, 0),
    ],
)
def test_a_ramp_has_the_orientation_of_its_slope(ways, down: int, across: int, orientation: int) -> None:
    rows, columns = np.mgrid[:16, :16].astype(np.float32)
    cells = ways((down * rows + across * columns)[None, None]).reshape(2, 2, 9)
    assert (cells.argmax(axis=2) == orientation).all()


@pytest.mark.parametrize("ways", [torchs, laids])
def test_a_block_worked_by_hand(ways) -> None:
    """Four cells of the same sum: each is half of the block's length, is cut to 0.2, and is half of it again."""
    ramp = np.arange(16, dtype=np.float32) * np.ones((16, 1), np.float32)
    wanted = np.zeros((4, 9), np.float32)
    wanted[:, 0] = 0.5
    np.testing.assert_allclose(ways(ramp[None, None]), wanted.reshape(1, -1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_as_scikit_image_has_them(size: int) -> None:
    hog = pytest.importorskip("skimage.feature").hog
    maps = pictures(size)
    how = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2), "block_norm": "L2-Hys"}
    for seen in (maps, normalised(maps)):  # the norms make both alike
        wanted = np.stack([hog(picture[0], **how) for picture in maps])
        assert wanted.shape == (len(maps), hog_width(size))
        np.testing.assert_allclose(torchs(seen), wanted, rtol=0, atol=FEATURE)


@pytest.mark.parametrize("ways", [laids, exporteds])
@pytest.mark.parametrize("size", SIZES)
def test_other_engines_have_torchs(ways, size: int) -> None:
    maps = normalised(pictures(size))
    np.testing.assert_allclose(ways(maps), torchs(maps), rtol=0, atol=FEATURE)


@pytest.mark.parametrize("ways", [torchs, laids])
def test_rounding_decides_no_orientation(ways) -> None:
    """What falls to the right by no more than rounding is level."""
    rows, columns = np.mgrid[:16, :16].astype(np.float32)
    wanted, found = ways(columns[None, None] / 64), ways((columns - 4e-7 * rows)[None, None] / 64)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=FEATURE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_nearly_the_same(dtype: torch.dtype) -> None:
    """Of flat pictures, too, whose norms halves do not have."""
    maps = torch.from_numpy(pictures(48))  # whole numbers up to 255, which both types have
    found = HOG().to(dtype)(maps.to(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.float().numpy(), torchs(maps.numpy()), rtol=0, atol=4e-3)  # 2^-8 of a half


@pytest.mark.parametrize("ways", [torchs, laids, exporteds])
def test_rounding_is_no_gradient(ways) -> None:
    """What is flat but for rounding has no features."""
    noise = 1 + np.random.default_rng(0).integers(-2, 3, (1, 1, 16, 16)) * np.float32(2**-23)
    np.testing.assert_allclose(ways(noise.astype(np.float32)), 0, atol=FEATURE)


def test_a_gradient_through_them_is_finite() -> None:
    maps = torch.from_numpy(normalised(pictures(16))).requires_grad_()
    HOG()(maps).square().sum().backward()
    assert maps.grad is not None and maps.grad.isfinite().all() and maps.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"hog": 1}, "hog must be true or false, not 1"),
        (
            {"hog": True, "colour": "rgb", "mean": (0.5,) * 3, "std": (0.5,) * 3},
            "hog must be false where colour is 'rgb': it is of one grey channel",
        ),
        ({"hog": True, "image_size": 15}, "image_size must be 16 or more for hog, not 15"),
    ],
)
def test_broken_rules_are_told(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        CNNConfig.from_dict({**CNNConfig().as_dict(), **changes})


def test_a_recipe_that_asks_for_them_in_colour_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = (RECIPES / "cnn-deep-hog.toml").read_text()
    (tmp_path / "colour.toml").write_text(
        told.replace("[model]\n", '[model]\ncolour = "rgb"\nmean = [0.5, 0.5, 0.5]\nstd = [0.3, 0.3, 0.3]\n')
    )
    said = complaint([str(tmp_path / "colour.toml"), "--data", str(tmp_path), "--out", str(tmp_path / "run")], capsys)
    assert "hog must be false where colour is 'rgb'" in said


def test_a_checkpoint_of_another_class_count_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = CNN(CNNConfig(image_size=16, widths=(2,), dense=(3,), hog=True, classes=("no", "yes")))
    network.config = dataclasses.replace(network.config, classes=("no", "yes", "both"))
    save_model(network, tmp_path / "odd.safetensors")
    place = tmp_path / "model.xml"
    assert run(["export", str(tmp_path / "odd.safetensors"), "--format", "openvino", "-o", str(place)]) == 2
    assert "'head.weight' must have the shape [3, 3], not [2, 3]" in last_sentence(capsys.readouterr().err, "fer-fast")

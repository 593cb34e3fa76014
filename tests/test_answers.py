"""What tells right answers from wrong ones: by numbers made by hand, and by the packaged models on the processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fer_fast.engines.answers import TOLERANCES, fault_of, fixed_images
from fer_fast.models.files.checkpoint import read_checkpoint, read_finder
from fer_fast.models.registry import architecture_of


def test_fixed_images_are_smooth_full_of_contrast_and_the_same_each_time() -> None:
    images = fixed_images(4, 48)
    assert images.shape == (4, 48, 48, 3) and images.dtype == np.uint8 and images.flags.c_contiguous
    np.testing.assert_array_equal(images, fixed_images(4, 48))
    np.testing.assert_array_equal(images[:2], fixed_images(2, 48))
    steps = np.abs(np.diff(images.astype(int), axis=2))
    assert images.std() > 40 and steps.mean() < 0.25 * images.std()
    assert np.abs(images[0].astype(int) - images[1]).mean() > 30, "they are told apart"


def test_answers_within_the_tolerance_have_no_fault() -> None:
    expected = np.array([[1.0, 3.0]], np.float32)  # of deviation 1
    for precision, tolerance in TOLERANCES.items():
        assert fault_of(expected + np.float32(0.9 * tolerance), expected, precision) == ""
        fault = fault_of(expected + np.float32(1.1 * tolerance), expected, precision)
        assert fault == f"its answers are {1.1 * tolerance:.3g} deviations from fp32's, more than {tolerance:g}"
    assert "nan deviations" in fault_of(np.full_like(expected, np.nan), expected, "bf16")
    assert fault_of(expected[:, :1], expected, "bf16") == "its answers are of shape (1, 1), not (1, 2)"


@pytest.mark.needs_torch
@pytest.mark.needs_native
@pytest.mark.parametrize("name", ["tiny", "fast", "finder"])
def test_packaged_models_pass_with_room_and_what_is_wrong_does_not(name: str) -> None:
    import torch

    model: Any = read_finder(name) if name == "finder" else read_checkpoint(name)
    architecture = architecture_of(model)
    sides = architecture.sides(model)
    images = fixed_images(4, 160 if name == "finder" else sides.step)

    def answers(precision: str, images: Any) -> Any:
        with torch.inference_mode():
            return architecture.eager(model, precision)(torch.from_numpy(images)).float().numpy()

    expected = answers("fp32", images)

    def error(answers: Any) -> float:
        return float(np.sqrt(np.mean((answers - expected) ** 2)) / expected.std())

    rounded = {precision: error(answers(precision, images)) for precision in ("bf16", "fp16")}
    if not architecture.int8_obstacle(model):
        with torch.inference_mode():
            graph = architecture.graph(model, "int8", symmetric=True)
            rounded["int8"] = error(graph(torch.from_numpy(images)).numpy())
    for precision, found in rounded.items():
        assert found < TOLERANCES[precision] / 4
    assert rounded["fp16"] > TOLERANCES["fp32"], "as TensorFloat-32 would be"
    assert error(answers("fp32", np.ascontiguousarray(images[:, ::-1]))) > 2 * TOLERANCES["bf16"], "upside down"
    if name != "tiny":  # which is much the same with red and blue exchanged
        assert error(answers("fp32", np.ascontiguousarray(images[..., ::-1]))) > 2 * TOLERANCES["bf16"]
    assert error(expected[::-1]) > max(TOLERANCES.values())

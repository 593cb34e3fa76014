"""What an evaluation offers of torch on this machine, and what it says of images that a model may have learnt from."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_data import draw_classes
from tiny_models import image_config, save_image_model

from fer_fast.evaluation import evaluate
from fer_fast.evaluation import runs as engine_runs
from fer_fast.evaluation.lines import lines

CLASSES = {"no": 12, "yes": 12}
NINE_TENTHS = (
    "a model that was trained on these data has learnt from nine tenths of these very images: --split valid scores the "
    "tenth that training sets apart"
)
ALL = "a model that was trained on these data has learnt from these very images"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_image_model(path, image_config(classes=tuple(CLASSES)))
    return path


def reasons(model: Path, data: Path, device: str) -> dict[str, str | None]:
    runs = evaluate(model, data, engine="torch", device=device)["runs"]
    return {run["precision"]: run.get("reason") for run in runs}


@pytest.mark.needs_torch
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_torch_offers_bf16_where_the_processor_has_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    data = draw_classes(tmp_path, CLASSES, size=8)
    monkeypatch.setattr(engine_runs, "has_bf16_instructions", lambda: True)
    monkeypatch.setattr("fer_fast.machine.devices.cuda_is_present", lambda: False)
    monkeypatch.setattr(engine_runs, "cuda_is_present", lambda: False)
    found = reasons(model, data, device)
    assert found["fp32"] is None and found["bf16"] is None
    assert found["fp16"] == "precision must be auto, fp32 or bf16 for engine 'torch' on a CPU, not 'fp16'"
    monkeypatch.setattr(engine_runs, "has_bf16_instructions", lambda: False)
    assert reasons(model, data, device)["bf16"] == (
        "this processor has no bf16 instructions: torch would only imitate them"
    )


def test_images_that_a_model_may_have_learnt_from_are_told(model: Path, tmp_path: Path) -> None:
    flat = draw_classes(tmp_path / "flat", CLASSES, size=8)
    for seed, split in enumerate(("train", "valid", "test")):
        draw_classes(tmp_path / "split" / split, CLASSES, size=8, seed=seed)

    def learnt(data: Path, split: str | None) -> list[str]:
        report = evaluate(model, data, split=split, engine="openvino", precision="fp32")
        return [line for line in lines(report) if "learnt" in line]

    said = {
        (data.name, split): learnt(data, split)
        for data, split in [
            *((flat, split) for split in (None, "all", "train", "valid")),
            *((tmp_path / "split", split) for split in (None, "train", "valid")),
        ]
    }
    assert said == {
        ("flat", None): [NINE_TENTHS],
        ("flat", "all"): [NINE_TENTHS],
        ("flat", "train"): [ALL],
        ("flat", "valid"): [],
        ("split", None): [],
        ("split", "train"): [ALL],
        ("split", "valid"): [],
    }

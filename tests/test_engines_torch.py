"""The engines against the fp32 reference model in torch, and the torch engine: threads, precisions, cards."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import pytest
import torch
from engine_agreement import TOLERANCES, assert_agree, assert_threads_agree
from tiny_models import faces, random_model, tiny_config

from fer_fast.engines import Engine, open_engine
from fer_fast.engines import torch as torch_engine
from fer_fast.engines.openvino import OpenVinoEngine
from fer_fast.engines.torch import TorchEngine
from fer_fast.machine.devices import cuda_is_present
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint
from fer_fast.models.files.storage import build_model, save_model
from fer_fast.models.fusion.architecture import FusionArchitecture
from fer_fast.models.loading import load_model
from fer_fast.types import FerFastError

BATCH_SIZE = 6
HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="this processor has no bf16 instructions")


MODELS: dict[str, dict[str, Any]] = {
    "paper": {},  # image + FM2 + FM3 + FM4
    "reduced": {"reduce_mean": True, "sources": ("FM1", "FM3"), "image_size": 56, "grid": 7},  # taps are enlarged
    "small": {"sources": ("image", "FM1")},  # soon compiled: for what does not depend on the model
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_FAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    folder = tmp_path_factory.mktemp("models")
    for name, changes in MODELS.items():
        save_model(random_model(tiny_config(**changes)), folder / f"{name}.safetensors")
    return {name: read_checkpoint(folder / f"{name}.safetensors") for name in MODELS}


@pytest.fixture(scope="module")
def references(checkpoints: dict[str, Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Images of each model and its reference logits."""
    found = {}
    for name, checkpoint in checkpoints.items():
        model = random_model(checkpoint.config)
        path = tmp_path_factory.mktemp("reference") / "model.safetensors"
        save_model(model, path)
        images = faces(16, checkpoint.config.image_size, seed=5)
        found[name] = images, load_model(path)(torch.from_numpy(images)).numpy()
    return found


@pytest.fixture(scope="module")
def engines(checkpoints: dict[str, Checkpoint]) -> Any:
    """Opens each engine once."""
    opened: dict[tuple[str, ...], Engine] = {}

    def get(model: str, engine: str, precision: str) -> Engine:
        key = (model, engine, precision)
        if key not in opened:
            opened[key] = open_engine(
                checkpoints[model], engine=engine, device="cpu", precision=precision, batch_size=BATCH_SIZE
            )
        return opened[key]

    yield get
    for engine in opened.values():
        engine.close()


@pytest.mark.parametrize(
    ("model", "engine", "precision"),
    [
        ("paper", "torch", "fp32"),
        ("paper", "torch", "bf16"),
        ("reduced", "torch", "fp32"),
        ("reduced", "torch", "bf16"),
        ("paper", "openvino", "fp32"),
        pytest.param("paper", "openvino", "bf16", marks=needs_bf16),
        ("reduced", "openvino", "fp32"),
    ],
)
def test_agrees_with_the_reference(
    engines: Any, references: dict[str, Any], model: str, engine: str, precision: str
) -> None:
    images, expected = references[model]
    assert expected.std() > 1.0, "logits that hardly differ would prove nothing"
    running = engines(model, engine, precision)
    for count in (1, 2, BATCH_SIZE - 1, BATCH_SIZE):
        assert_agree(running.infer(images[:count]), expected[:count], precision)


def test_bf16_is_not_fp32(engines: Any, references: dict[str, Any]) -> None:
    images, _ = references["paper"]
    for engine in ("torch", "openvino") if HAS_BF16 else ("torch",):
        slow, fast = (engines("paper", engine, precision).infer(images[:2]) for precision in ("fp32", "bf16"))
        assert np.abs(slow - fast).max() > 2 * TOLERANCES["fp32"].logit, f"{engine} computes fp32 and calls it bf16"


def test_each_thread_gets_its_own_result(engines: Any, references: dict[str, Any]) -> None:
    images, expected = references["paper"]
    assert_threads_agree(engines("paper", "torch", "fp32"), images, expected, BATCH_SIZE)


@pytest.mark.filterwarnings("error")
def test_read_only_pixels_are_taken_and_kept(engines: Any, references: dict[str, Any]) -> None:
    images, expected = references["paper"]
    pixels = images[:2].copy()
    pixels.flags.writeable = False
    assert_agree(engines("paper", "torch", "fp32").infer(pixels), expected[:2], "fp32")
    np.testing.assert_array_equal(pixels, images[:2])


def test_torch_describes_what_runs(engines: Any) -> None:
    running = engines("paper", "torch", "bf16")
    assert {parameter.dtype for parameter in running.model.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for name, buffer in running.model.named_buffers() if "mean_" in name} == {torch.float32}
    said = running.describe()
    assert (said["engine"], said["device"], said["precision"]) == ("torch", "cpu", "bf16")
    assert (said["version"], said["streams"], said["tokens"]) == (torch.__version__, "1", "fused op")


@pytest.fixture
def quota(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A container with one processor's worth of time on a machine with two."""
    monkeypatch.setattr(torch_engine.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("fer_fast.machine.processors.cpu_quota", lambda _: 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("set_by_user", "threads"), [(None, 1), ("2", 2)])
def test_torch_takes_the_threads_of_a_quota(
    checkpoints: dict[str, Checkpoint],
    quota: Any,
    monkeypatch: pytest.MonkeyPatch,
    set_by_user: str | None,
    threads: int,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if set_by_user:
        monkeypatch.setenv("OMP_NUM_THREADS", set_by_user)
    running = open_engine(checkpoints["small"], engine="torch", device="cpu", precision="fp32", batch_size=BATCH_SIZE)
    assert torch.get_num_threads() == threads
    assert running.describe()["threads"] == str(threads)
    running.close()


def test_torch_folds_norms_before_it_rounds(checkpoints: dict[str, Checkpoint], references: dict[str, Any]) -> None:
    with torch.inference_mode():
        exact = build_model(checkpoints["paper"])
        folded = FusionArchitecture().eager(checkpoints["paper"], "bf16").backbone
        assert exact.backbone is not None
        assert folded is not None
        assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.modules())
        pixels = exact.normalised(torch.from_numpy(references["paper"][0]))
        taps = exact.backbone(pixels)
        written = copy.deepcopy(exact.backbone).bfloat16()
        for tap, *rounded in zip(taps, folded(pixels.bfloat16()), written(pixels.bfloat16()), strict=True):
            ours, theirs = ((each.float() - tap).square().mean() for each in rounded)
            assert ours < theirs


@pytest.mark.parametrize(
    ("precision", "rule"),
    [
        ("fp16", "precision must be auto, fp32 or bf16 for engine 'torch' on a CPU, not 'fp16'"),
        ("int8", "precision must be auto, fp32, bf16 or fp16 for engine 'torch', not 'int8'"),
    ],
)
def test_a_precision_that_it_does_not_have(checkpoints: dict[str, Checkpoint], precision: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        open_engine(checkpoints["paper"], engine="torch", device="cpu", precision=precision)


def test_auto_is_fp32_on_a_cpu(checkpoints: dict[str, Checkpoint]) -> None:
    running = open_engine(checkpoints["paper"], engine="torch", device="cpu")
    assert isinstance(running, TorchEngine)
    assert running.precision == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA card")
@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_no_cuda_card(checkpoints: dict[str, Checkpoint], engine: str, device: str) -> None:
    assert not cuda_is_present()
    with pytest.raises(FerFastError, match=f"device '{device}' is not there: torch .* sees 0 CUDA cards"):
        open_engine(checkpoints["paper"], engine=engine, device=device)


@pytest.mark.parametrize("engine", ["auto", "torch", "tensorrt", "tensorrt-fused"])
def test_no_engine_begins_what_torch_would_hang_in(
    engine: str, checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_fast.engines.choice.torch_is_inherited", lambda: True)
    monkeypatch.setattr("fer_fast.engines.choice.check_installed", lambda *_: None)
    with pytest.raises(FerFastError, match=r"^torch was in use before fork: start processes that classify by spawn"):
        open_engine(checkpoints["paper"], engine=engine, device="cuda")


def test_auto_prefers_a_card(checkpoints: dict[str, Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def fastest(_: Any, device: str, precision: str, *__: Any) -> TorchEngine:
        opened.append((device, precision))
        return object.__new__(TorchEngine)

    monkeypatch.setattr("fer_fast.machine.devices.cuda_is_present", lambda: True)
    monkeypatch.setattr("fer_fast.engines.card.fastest_engine", fastest)
    monkeypatch.setattr(TorchEngine, "describe", lambda self: {"precision": "fp16"})
    open_engine(checkpoints["paper"])
    open_engine(checkpoints["paper"], device="cuda:1", precision="fp16")
    assert opened == [("auto", "auto"), ("cuda:1", "fp16")]
    monkeypatch.setattr("fer_fast.engines.choice._called", lambda engine: engine)
    monkeypatch.setattr(OpenVinoEngine, "__init__", lambda self, *_: None)
    monkeypatch.setattr(OpenVinoEngine, "describe", lambda self: {"precision": "int8"})
    assert isinstance(open_engine(checkpoints["paper"], precision="int8"), OpenVinoEngine), "no card has int8 yet"


def with_falls(checkpoint: Checkpoint, **falls: float) -> Checkpoint:
    return dataclasses.replace(checkpoint, config=dataclasses.replace(checkpoint.config, precision_falls=falls))


@pytest.mark.parametrize(("fall", "told"), [(0.0125, True), (0.003, False)])
def test_precision_that_costs_accuracy_is_warned_of(
    checkpoints: dict[str, Checkpoint], fall: float, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = with_falls(checkpoints["small"], bf16=fall)
    open_engine(checkpoint, engine="torch", device="cpu", precision="bf16").close()
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    sentence = "precision bf16 costs this model 1.25 points of validation accuracy against fp32"
    assert said == ([sentence] if told else [])


@pytest.mark.parametrize(
    ("capability", "falls", "chosen"),
    [
        ((8, 0), {}, "bf16"),
        ((8, 0), {"bf16": 0.003, "fp16": 1.0}, "bf16"),
        ((9, 0), {"bf16": 0.0031}, "fp32"),
        ((7, 5), {"bf16": 1.0}, "fp16"),
        ((7, 5), {"fp16": 0.01}, "fp32"),
        ((6, 1), {}, "fp32"),
    ],
)
def test_auto_on_a_card(
    capability: tuple[int, int], falls: dict[str, float], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    config = tiny_config(precision_falls=falls)
    assert torch_engine._precision("auto", torch.device("cuda"), config) == chosen
    assert torch_engine._precision("fp16", torch.device("cuda"), config) == "fp16"


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_flip_average_is_the_mean_of_both_views(references: dict[str, Any], tmp_path: Path, engine: str) -> None:
    images, _ = references["small"]
    config = tiny_config(**MODELS["small"], flip_average=True)
    model = random_model(config)
    save_model(model, tmp_path / "model.safetensors")
    single = random_model(config)
    single.config = dataclasses.replace(config, flip_average=False)
    save_model(single, tmp_path / "single.safetensors")
    views = [load_model(tmp_path / "single.safetensors")(torch.from_numpy(each)) for each in (images, mirrored(images))]
    expected = ((views[0] + views[1]) / 2).numpy()
    assert (views[0] - views[1]).abs().max() > 100 * TOLERANCES["fp32"].logit
    checkpoint = read_checkpoint(tmp_path / "model.safetensors")
    running = open_engine(
        checkpoint, engine=engine, device="cpu", precision="fp32", batch_size=BATCH_SIZE, cached=False
    )
    for count in (1, BATCH_SIZE - 1, BATCH_SIZE):
        assert_agree(running.infer(images[:count]), expected[:count], "fp32")
    running.close()


def mirrored(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(images[:, :, ::-1])


def test_closes_twice(checkpoints: dict[str, Checkpoint]) -> None:
    running = open_engine(checkpoints["paper"], engine="torch", device="cpu", precision="fp32", batch_size=BATCH_SIZE)
    running.close()
    running.close()

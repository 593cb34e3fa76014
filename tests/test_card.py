"""What is measured on a card, without one: which candidates, what is kept of the choice, and the way through `open`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import random_model, tiny_config

from fer_fast.engines import card, choice, open_engine
from fer_fast.engines.card import Choice, candidates
from fer_fast.engines.interface import Engine
from fer_fast.engines.measured import Candidate
from fer_fast.machine import devices
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint, read_finder
from fer_fast.models.files.storage import save_model
from fer_fast.models.loading import load_model
from fer_fast.models.registry import architecture_of

CARD = torch.device("cuda:0")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    save_model(random_model(tiny_config(sources=("image", "FM1"))), path)
    return read_checkpoint(path)


@pytest.fixture(autouse=True)
def a_card_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA L4")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr("fer_fast.machine.devices.cuda_is_present", lambda: True)
    monkeypatch.setattr(card, "torch_device", lambda _: "cpu:0")  # where pixels can go
    monkeypatch.setattr(card, "is_installed", lambda _: True)
    monkeypatch.setattr(card, "driver_version", lambda: "580.95")
    monkeypatch.setattr(Choice, "_of_this_process", {})
    monkeypatch.setattr(choice, "check_installed", lambda *_: None)


def tried(model: Any, precision: str = "auto") -> list[tuple[str, str]]:
    return [(each.engine, each.precision) for each in candidates(model, CARD, precision, 32)]


def test_forms_are_tried_in_the_cards_usual_precision_first(checkpoint: Checkpoint) -> None:
    forms = ("torch", "tensorrt-fused", "tensorrt")
    assert tried(checkpoint) == [(form, precision) for precision in ("bf16", "fp16", "fp32") for form in forms]
    assert tried(checkpoint, "fp16") == [(form, "fp16") for form in forms]


def test_int8_is_tried_only_where_it_is_asked_for(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(checkpoint, "int8") == [("tensorrt", "int8")]
    monkeypatch.setattr(card, "is_installed", lambda _: False)
    assert tried(checkpoint, "int8") == [("torch", "int8")], "which says that it has none"


def test_a_precision_that_costs_accuracy_is_not_tried(checkpoint: Checkpoint) -> None:
    config = dataclasses.replace(checkpoint.config, precision_falls={"bf16": 0.0031, "fp16": 0.003})
    found = tried(dataclasses.replace(checkpoint, config=config))
    assert {precision for _, precision in found} == {"fp16", "fp32"} and found[0] == ("torch", "fp32")


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), ["fp16", "fp32"]), ((6, 1), ["fp32", "fp16"]), ((5, 2), ["fp32"])]
)
def test_older_cards_and_no_tensorrt(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(card, "is_installed", lambda _: False)
    assert tried(checkpoint) == [("torch", precision) for precision in expected]


def test_what_cannot_be_cut_has_two_forms() -> None:
    assert {engine for engine, _ in tried(read_finder("finder"))} == {"torch", "tensorrt"}


class Eager(Engine):
    """The model itself on the processor, which counts its images as work; `wrong` is added to its answers."""

    streams, largest_alone = 1, False

    def __init__(self, model: Checkpoint, candidate: Candidate, device: str, work: int) -> None:
        super().__init__()
        self.device = device
        self._candidate, self.work, self.wrong = candidate, work, 0.0
        self.sides, self.done = architecture_of(model).sides(model), 0
        self._network = architecture_of(model).eager(model, "fp32")

    def _infer(self, images: Any) -> Any:
        self.done += self.work * len(images)
        with torch.inference_mode():
            return self._network(torch.as_tensor(images)).numpy() + np.float32(self.wrong)

    def describe(self) -> dict[str, str]:
        return {"engine": self._candidate.engine, "precision": self._candidate.precision, **self.chosen}

    def _release(self) -> None:
        pass


WORK = {"torch": 9, "tensorrt-fused": 4, "tensorrt": 6}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Eager]:
    """The engines that were opened; work is what is taken for time, on the processor."""
    engines: list[Eager] = []

    def named(model: Any, candidate: Candidate, device: str, *how: Any) -> Eager:
        engines.append(Eager(model, candidate, device, WORK[candidate.engine]))
        engines[-1].largest_alone = len(how) > 2 and how[-1]
        return engines[-1]

    def seconds(call: Any, _: torch.device) -> float:
        before = engines[-1].done
        call()
        return float(engines[-1].done - before)

    monkeypatch.setattr(choice, "_named", named)
    monkeypatch.setattr(card, "event_seconds", seconds)
    return engines


def test_auto_measures_on_a_card_once(checkpoint: Checkpoint, opened: list[Eager]) -> None:
    engine = open_engine(checkpoint, precision="bf16", batch_size=8)
    assert [(each._candidate.engine, each.largest_alone) for each in opened] == [
        *((name, True) for name in ("torch", "tensorrt-fused", "tensorrt")),
        ("tensorrt-fused", False),
    ]
    won = "tensorrt-fused in bf16, batches of 8: 1.50 times as fast as tensorrt in bf16, batches of 8; 3 measured"
    assert engine.describe()["chosen"] == won
    engine.close()
    Choice._of_this_process.clear()  # as another process
    opened.clear()
    assert open_engine(checkpoint, precision="bf16", batch_size=8).describe()["chosen"] == won
    assert [(each._candidate.engine, each.largest_alone) for each in opened] == [("tensorrt-fused", False)]


def test_what_makes_it_another_choice(
    checkpoint: Checkpoint, opened: list[Eager], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(**options: Any) -> bool:
        opened.clear()
        open_engine(checkpoint, **{"precision": "bf16", "batch_size": 8, **options}).close()
        return len(opened) > 1

    assert measured() and not measured()
    assert measured(precision="fp16") and measured(batch_size=7)
    for module, name, value in (
        (card, "driver_version", lambda: "581.01"),
        (card, "_tensorrt_version", lambda: "11.9"),
        (torch, "__version__", "3.0"),
        (torch.cuda, "get_device_name", lambda _: "NVIDIA L40"),
    ):
        monkeypatch.setattr(module, name, value)
        assert measured() and not measured()


def test_without_the_cache_the_choice_lasts_as_long_as_the_process(checkpoint: Checkpoint, opened: list[Eager]) -> None:
    for count in (4, 5):  # three are measured, the winner opened whole, and then that alone
        open_engine(checkpoint, precision="bf16", batch_size=8, cached=False).close()
        assert len(opened) == count
    open_engine(checkpoint, precision="bf16", batch_size=8, device="cuda:0,cuda:1", cached=False).close()
    assert len(opened) == 7, "cards of a kind measure once, and so agree"
    Choice._of_this_process.clear()
    open_engine(checkpoint, precision="bf16", batch_size=8).close()
    assert len(opened) == 11, "nothing was kept"


def test_smaller_batches_are_those_of_a_list(checkpoint: Checkpoint, opened: list[Eager]) -> None:
    open_engine(checkpoint, precision="fp16", batch_size=33).close()
    sizes = [each._candidate.batch_size for each in opened]
    assert sizes == [33, 33, 33, 32, 8, 33]


def test_wrong_answers_lose_to_slower_right_ones(
    checkpoint: Checkpoint, opened: list[Eager], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    named = choice._named

    def spoiled(model: Any, candidate: Candidate, *rest: Any) -> Any:
        engine: Any = named(model, candidate, *rest)
        engine.wrong = 1.0 if candidate.engine == "tensorrt-fused" else 0.0
        return engine

    monkeypatch.setattr(choice, "_named", spoiled)
    assert open_engine(checkpoint, precision="bf16", batch_size=8).describe()["engine"] == "tensorrt"
    assert "tensorrt-fused in bf16, batches of 8 is left out: its answers are" in caplog.text


def test_a_named_engine_opens_without_measuring(checkpoint: Checkpoint, opened: list[Eager]) -> None:
    for name in ("torch", "tensorrt", "tensorrt-fused"):
        engine = open_engine(checkpoint, engine=name, device="cuda")
        assert engine.describe() == {"engine": name, "precision": "auto"}
    assert len(opened) == 3


def test_the_driver_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_VERSION", tmp_path / "version")
    monkeypatch.setattr(torch._C, "_cuda_getDriverVersion", lambda: 13000, raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert devices.driver_version() == "for CUDA 13000"
    monkeypatch.setattr(torch.version, "cuda", None)
    assert devices.driver_version() == ""
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05\nGCC version: 12\n")
    assert devices.driver_version() == "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05"


def test_the_reference_is_fp32_on_the_processor(checkpoint: Checkpoint, tmp_path: Path) -> None:
    trials = card.CardTrials(checkpoint, CARD, 3, 640, lambda *_: None)  # type: ignore[arg-type, return-value]
    assert trials._images.shape == (3, 64, 64, 3)
    save_model(random_model(tiny_config(sources=("image", "FM1"))), tmp_path / "m.safetensors")
    wanted = load_model(tmp_path / "m.safetensors")(torch.from_numpy(trials._images)).numpy()
    np.testing.assert_allclose(trials._expected, wanted, atol=1e-3)
    finder = card.CardTrials(read_finder("finder"), CARD, 2, 300, lambda *_: None)  # type: ignore[arg-type, return-value]
    assert finder._images.shape == (2, 320, 320, 3)


def test_time_is_the_median_of_cudas_events(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    now = [0.0]
    calls = [50.0, 50.0, 50.0, 3, 1, 2, 9, 4, 5, 8, 7, 6]  # milliseconds; the first ones warm up

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing
            self.at = -1.0

        def record(self) -> None:
            self.at = now[0]

        def synchronize(self) -> None:
            assert self.at >= 0

        def elapsed_time(self, other: Event) -> float:
            return other.at - self.at

    def call() -> None:
        now[0] += calls.pop(0)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    assert card.event_seconds(call, CARD) == pytest.approx(0.005)
    assert calls == []

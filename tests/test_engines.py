"""The OpenVINO engine and the choice among engines: threads, honest descriptions, clear refusals; without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import pytest
from engine_agreement import TOLERANCES, assert_agree, assert_threads_agree
from tiny_models import faces, image_config, image_logits, save_image_model

from fer_fast.engines import ENGINES, Engine, open_engine
from fer_fast.engines.openvino import OpenVinoEngine
from fer_fast.models.files.checkpoint import Checkpoint, read_checkpoint
from fer_fast.types import FerFastError

BATCH_SIZE = 6
HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="this processor has no bf16 instructions")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_FAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    save_image_model(path)
    return read_checkpoint(path)


@pytest.fixture(scope="module")
def reference(checkpoint: Checkpoint) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Images and their logits."""
    images = faces(16, checkpoint.config.image_size, seed=5)
    return images, image_logits(checkpoint.config, checkpoint.tensors, images)


@pytest.fixture(scope="module")
def engines(checkpoint: Checkpoint) -> Any:
    """Opens the engine once in each precision."""
    opened: dict[str, Engine] = {}

    def get(precision: str) -> Engine:
        if precision not in opened:
            opened[precision] = open_engine(
                checkpoint, engine="openvino", device="cpu", precision=precision, batch_size=BATCH_SIZE
            )
        return opened[precision]

    yield get
    for engine in opened.values():
        engine.close()


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16)])
def test_agrees_with_the_reference(engines: Any, reference: Any, precision: str) -> None:
    images, expected = reference
    assert expected.std() > 1.0, "logits that hardly differ would prove nothing"
    running = engines(precision)
    for count in (1, 2, BATCH_SIZE - 1, BATCH_SIZE):
        assert_agree(running.infer(images[:count]), expected[:count], precision)


@needs_bf16
def test_bf16_is_not_fp32(engines: Any, reference: Any) -> None:
    slow, fast = (engines(precision).infer(reference[0][:2]) for precision in ("fp32", "bf16"))
    assert np.abs(slow - fast).max() > 2 * TOLERANCES["fp32"].logit, "it computes fp32 and calls it bf16"


def test_each_thread_gets_its_own_result(engines: Any, reference: Any) -> None:
    images, expected = reference
    assert_threads_agree(engines("fp32"), images, expected, BATCH_SIZE)


@pytest.mark.filterwarnings("error")
def test_read_only_pixels_are_taken_and_kept(engines: Any, reference: Any) -> None:
    images, expected = reference
    pixels = images[:2].copy()
    pixels.flags.writeable = False
    assert_agree(engines("fp32").infer(pixels), expected[:2], "fp32")
    np.testing.assert_array_equal(pixels, images[:2])


def test_openvino_describes_what_runs(engines: Any) -> None:
    for precision in ("fp32", "bf16") if HAS_BF16 else ("fp32",):
        running = engines(precision)
        said = running.describe()
        kind = running.graph.compiled.get_property("INFERENCE_PRECISION_HINT")
        assert kind == {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16}[said["precision"]]
        assert said["precision"] == precision
        assert said["engine"] == "openvino"
        assert said["version"] == openvino.__version__
        assert int(said["streams"]) == running.streams >= 1
        assert said["cache"] == "stored"
        assert all(isinstance(value, str) for value in said.values())


@pytest.fixture
def quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container with one processor's worth of time on a machine with two."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("fer_fast.machine.processors.cpu_quota", lambda _: 1)


def test_openvino_takes_the_threads_of_a_quota(checkpoint: Checkpoint, quota: None) -> None:
    for cached in (False, True, True):  # compiled, stored and read back
        running = open_engine(checkpoint, engine="openvino", precision="fp32", batch_size=BATCH_SIZE, cached=cached)
        assert isinstance(running, OpenVinoEngine)
        assert running.graph.compiled.get_property("INFERENCE_NUM_THREADS") == 1
        # Each on a processor of its own, it would be on the first one, as that of any other container of the machine.
        assert running.graph.compiled.get_property("ENABLE_CPU_PINNING") is False
        said = running.describe()
        assert (said["threads"], said["streams"]) == ("1", "1")
        running.close()
    assert said["cache"] == "hit"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"engine": "tensorflow"}, f"engine must be one of {', '.join(ENGINES)}, not 'tensorflow'"),
        ({"precision": "fp8"}, "precision must be one of auto, fp32, bf16, fp16.*, not 'fp8'"),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda, cuda:N, or cards .*, not 'gpu'"),
        ({"device": "cuda:x"}, "device must be one of .*, not 'cuda:x'"),
        ({"device": "cuda:-1"}, "device must be"),
        ({"device": "cuda:00"}, "device must be"),
        ({"device": "cuda:256"}, "device must be"),  # torch would take it for card 0
        ({"device": "cpu:3"}, "device must be"),
        ({"device": ""}, "device must be"),
        ({"device": "cuda", "engine": "openvino"}, "device must be auto or cpu for engine 'openvino', not 'cuda'"),
        (
            {"device": "cpu", "engine": "openvino", "precision": "fp16"},
            "precision must be auto, fp32, bf16.*'openvino'",
        ),
        ({"device": "cpu", "precision": "int8"}, "int8 needs a checkpoint whose activation ranges were measured"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
    ],
    ids=str,
)
def test_wrong_choice(checkpoint: Checkpoint, choice: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_engine(checkpoint, **choice)


def test_bf16_without_its_instructions_is_refused(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    class OldProcessor(openvino.Core):  # type: ignore[misc]
        def get_property(self, *names: str) -> Any:
            return ["FP32", "INT8"] if names[-1] == "OPTIMIZATION_CAPABILITIES" else super().get_property(*names)

    monkeypatch.setattr("fer_fast.engines.openvino.openvino_core", OldProcessor)
    with pytest.raises(FerFastError, match="precision 'bf16' is not there"):
        open_engine(checkpoint, engine="openvino", precision="bf16")


def test_auto_on_a_cpu(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, engines: Any) -> None:
    best = "bf16" if HAS_BF16 else "fp32"
    engines(best)  # compiled once: the next one comes from the cache
    monkeypatch.setattr("fer_fast.machine.devices.cuda_is_present", lambda: False)
    running = open_engine(checkpoint, batch_size=BATCH_SIZE)
    assert isinstance(running, OpenVinoEngine)
    assert (running.precision, running.cache) == (best, "hit")
    running.close()


def with_falls(checkpoint: Checkpoint, **falls: float) -> Checkpoint:
    return dataclasses.replace(checkpoint, config=dataclasses.replace(checkpoint.config, precision_falls=falls))


@pytest.mark.parametrize(("fall", "told"), [(0.0125, True), (0.003, False)])
def test_precision_that_costs_accuracy_is_warned_of(
    checkpoint: Checkpoint, fall: float, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    precision = "bf16" if HAS_BF16 else "fp32"
    measured = with_falls(checkpoint, **{precision: fall})
    open_engine(measured, engine="openvino", device="cpu", precision=precision, cached=False).close()
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    sentence = f"precision {precision} costs this model 1.25 points of validation accuracy against fp32"
    assert said == ([sentence] if told else [])


def test_auto_refuses_what_costs_accuracy(
    checkpoint: Checkpoint,
    reference: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FER_FAST_CACHE", str(tmp_path / "cache"))
    measured = with_falls(checkpoint, bf16=0.0030001, int8=0.01)
    running = open_engine(measured, engine="openvino", batch_size=BATCH_SIZE, cached=False)
    said = running.describe()
    assert said["precision"] == "fp32" and "costs this model" not in caplog.text
    images, expected = reference
    assert_agree(running.infer(images[:2]), expected[:2], "fp32")
    assert said["cache"] == "not used" and not list(tmp_path.rglob("*")), "cached=False leaves the folder alone"
    running.close()


def test_flip_average_is_the_mean_of_both_views(reference: Any, tmp_path: Path) -> None:
    images, _ = reference
    config = save_image_model(tmp_path / "model.safetensors", image_config(flip_average=True))
    checkpoint = read_checkpoint(tmp_path / "model.safetensors")
    views = [image_logits(config, checkpoint.tensors, each) for each in (images, images[:, :, ::-1])]
    expected = (views[0] + views[1]) / 2
    assert np.abs(views[0] - views[1]).max() > 100 * TOLERANCES["fp32"].logit
    running = open_engine(checkpoint, engine="openvino", precision="fp32", batch_size=BATCH_SIZE, cached=False)
    for count in (1, BATCH_SIZE - 1, BATCH_SIZE):
        assert_agree(running.infer(images[:count]), expected[:count], "fp32")
    running.close()


def test_a_signal_finds_its_stack_after_an_engine_is_gone(checkpoint: Checkpoint) -> None:
    code = (
        "import os, signal, threading; from fer_fast.engines import open_engine; "
        "from fer_fast.models.files.checkpoint import read_checkpoint; checkpoint = read_checkpoint('tiny'); "
        "engines = [open_engine(checkpoint, engine='openvino', batch_size=2) for _ in range(2)]; "
        "drop = lambda: [engines.pop(0).close() for _ in range(2)]; "
        "thread = threading.Thread(target=drop); thread.start(); thread.join(); "
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled')); signal.raise_signal(signal.SIGUSR1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_closes_twice(checkpoint: Checkpoint) -> None:
    running = open_engine(checkpoint, engine="openvino", precision="fp32", batch_size=BATCH_SIZE)
    running.close()
    running.close()


def test_a_request_that_was_lost_is_replaced(checkpoint: Checkpoint) -> None:
    engine = open_engine(checkpoint, engine="openvino", precision="fp32", cached=False)
    assert isinstance(engine, OpenVinoEngine)
    try:
        images = np.zeros((1, checkpoint.config.image_size, checkpoint.config.image_size, 3), np.uint8)
        before = engine.infer(images)
        for _ in range(engine.graph._count):
            engine.graph._requests.get()  # as a Ctrl-C between two steps would
        np.testing.assert_array_equal(engine.infer(images), before)
    finally:
        engine.close()

"""The choice among the engines: a checkpoint and what the caller wants come in, a running engine goes out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.engines.interface import (
    DEFAULT_SIDE,
    ENGINES,
    PRECISIONS,
    Engine,
    check_choice,
    check_device,
    keeps_accuracy,
)
from fer_fast.engines.measured import Candidate
from fer_fast.engines.opened import alone, torch_is_inherited
from fer_fast.engines.several import SeveralEngines
from fer_fast.machine.extras import is_installed, need
from fer_fast.models.files.checkpoint import check_weights
from fer_fast.models.files.exported import ExportedModel
from fer_fast.models.registry import architecture_of
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint

log = logging.getLogger(__name__)

#: What runs an exported model, by its format.
_RUNS = {"xml": "openvino", "onnx": "openvino", "engine": "tensorrt"}


def open_engine(
    model: Checkpoint | FinderCheckpoint | ExportedModel,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 32,
    side: int = DEFAULT_SIDE,
    cached: bool = True,
) -> Engine:
    """Chooses and compiles; in a process one engine opens at a time.

    Args:
        model: a checkpoint, or an exported model, which one engine alone runs.
        engine: one of `ENGINES`; auto measures on a card what is fastest there, and keeps the choice.
        device: auto, cpu, cuda, cuda:N, or several cards as cuda:0,cuda:1; auto is a GPU if torch sees one and
            `engine` can use it.
        precision: auto, fp32, bf16, fp16 or int8; auto is the fastest that the device computes natively and that
            keeps the model's accuracy, on a card measured with the engine where that is auto, too. Of an exported
            model what was exported in int8, or for TensorRT, stays so; of the rest auto is bf16 where the processor
            has it.
        batch_size: the largest batch that `infer` will get.
        side: of a model that takes images of many sizes, the longest side that will come.
        cached: use and fill the folder of compiled models and of choices.

    Raises:
        ValueError: on an unknown name, or a combination that no engine offers; the message names the known ones.
        CheckpointError: if the weights do not fit their configuration.
        MissingExtraError: if the engine or the device needs a package that is not installed.
        FerFastError: if the device is not there.
    """
    check_choice("engine", engine, ENGINES)
    check_choice("precision", precision, PRECISIONS)
    check_device(device)
    for name, value in (("batch_size", batch_size), ("side", side)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    if isinstance(model, ExportedModel):
        engine = _engine_of(model, engine, batch_size)
    else:
        check_installed(engine, device)
    engines: list[Engine] = []
    with alone(), ExitStack() as unwanted:
        for card in device.split(","):
            engines.append(_open(model, engine, card, precision, batch_size, side, cached))
            unwanted.callback(engines[-1].close)
        if not isinstance(model, ExportedModel):
            check_weights(model)  # nobody may have needed them
        opened = engines[0] if len(engines) == 1 else SeveralEngines(engines)
        unwanted.pop_all()  # all of them are open: they are the caller's
    if not isinstance(model, ExportedModel):
        _tell_fall(model, opened.describe()["precision"])
    return opened


def check_installed(engine: str, device: str) -> None:
    """Refuses what `open_engine` would for want of a package, without opening anything.

    Raises:
        MissingExtraError: the engine or the device needs a package that is not installed.
    """
    if engine.startswith("tensorrt"):
        need(f"engine {engine!r}", "cuda", modules=("torch", "tensorrt"))
    elif engine == "torch":
        need("engine 'torch'", "torch", modules=("torch",))
    elif engine == "auto" and device.startswith("cuda"):
        need(f"device {device!r}", "cuda", modules=("torch",))


def _engine_of(model: ExportedModel, engine: str, batch_size: int) -> str:
    """The one engine that runs an exported model, which takes no larger batch than it was exported for."""
    only, most = _RUNS[model.format], model.description.batch_size
    if engine not in ("auto", only):
        raise ValueError(f"engine must be auto or {only} for an .{model.format}, not {engine!r}")
    if batch_size > most:
        raise ValueError(f"batch_size must be at most the {most} that the model was exported for, not {batch_size}")
    if only == "tensorrt":
        library = model.description.library
        need("an .engine", "cuda", modules=("torch", *(["tensorrt"] if library == "tensorrt" else [])))
    return only


def _tell_fall(checkpoint: Checkpoint | FinderCheckpoint, precision: str) -> None:
    if not keeps_accuracy(checkpoint.config, precision):
        points = 100 * checkpoint.config.precision_falls[precision]
        measure = architecture_of(checkpoint).measure
        log.warning("precision %s costs this model %.2f points of %s against fp32", precision, points, measure)


def _open(
    model: Checkpoint | FinderCheckpoint | ExportedModel,
    engine: str,
    device: str,
    precision: str,
    batch_size: int,
    side: int,
    cached: bool,
) -> Engine:
    # Of int8 torch has none: a card without TensorRT leaves it to the processor.
    anywhere = engine == device == "auto" and precision == "int8" and not is_installed("tensorrt")
    if engine == "auto" and (anywhere or not _wants_cuda(device)):
        engine = "openvino"
    # OpenMP, by which torch spreads its work, may wait for ever for the parent's threads; TensorRT's engines are made
    # of torch's models, and a card's answers are compared with torch's.
    if engine != "openvino" and torch_is_inherited():
        raise FerFastError("torch was in use before fork: start processes that classify by spawn or forkserver")
    if engine != "auto":
        return _named(model, Candidate(engine, precision, batch_size), device, side, cached)
    from fer_fast.engines.card import fastest_engine

    assert not isinstance(model, ExportedModel)  # one engine alone runs it

    def opened(card: str, candidate: Candidate, may_go_on: Callable[[], bool] | None, largest_alone: bool) -> Engine:
        return _named(model, candidate, card, side, cached, may_go_on, largest_alone)

    return fastest_engine(model, device, precision, batch_size, side, cached, opened)


def _named(
    model: Checkpoint | FinderCheckpoint | ExportedModel,
    candidate: Candidate,
    device: str,
    side: int,
    cached: bool,
    may_go_on: Callable[[], bool] | None = None,
    largest_alone: bool = False,
) -> Engine:
    """An engine of a name, after its first calls; `may_go_on`: see `build_engine`, `largest_alone`: `sizes_for`."""
    engine, precision, batch_size = candidate.engine, candidate.precision, candidate.batch_size
    if engine == "openvino":
        from fer_fast.engines.openvino import OpenVinoEngine

        return _called(OpenVinoEngine(model, device, precision, batch_size, cached))
    if engine.startswith("tensorrt"):
        from fer_fast.engines.tensorrt import TensorRtEngine

        how = side, engine, may_go_on, largest_alone
        return _called(TensorRtEngine(model, device, precision, batch_size, cached, *how))
    from fer_fast.engines.torch import TorchEngine

    assert not isinstance(model, ExportedModel)  # torch runs none
    return _called(TorchEngine(model, device, precision, batch_size, side, largest_alone))


def _called(engine: Engine) -> Engine:
    """The engine after its first calls, one for each way that its library takes images in.

    One image each: what a library does once in a process hangs on the way, not on the batch or the stream.
    """
    side = engine.sides.step
    images = np.zeros((1, side, side, 3), np.uint8)
    read_only = images.copy()
    read_only.flags.writeable = False
    try:
        engine.infer(images)
        engine.infer(read_only)
        if engine.device != "cpu":
            import torch

            engine.infer(torch.from_numpy(images).to(engine.device))
    except BaseException:
        engine.close()
        raise
    return engine


def _wants_cuda(device: str) -> bool:
    if device != "auto":
        return device.startswith("cuda")
    from fer_fast.machine.devices import cuda_is_present

    return cuda_is_present()

"""The choice among the engines: a checkpoint and what the caller wants come in, a running engine goes out."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from importlib.util import find_spec
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
from fer_fast.engines.opened import alone, torch_is_inherited
from fer_fast.engines.several import SeveralEngines
from fer_fast.models.registry import architecture_of
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    from fer_fast.models.checkpoint import Checkpoint, FinderCheckpoint

log = logging.getLogger(__name__)


def open_engine(
    checkpoint: Checkpoint | FinderCheckpoint,
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
        checkpoint: the model.
        engine: one of `ENGINES`.
        device: auto, cpu, cuda, cuda:N, or several cards as cuda:0,cuda:1; auto is a GPU if torch sees one and
            `engine` can use it.
        precision: auto, fp32, bf16, fp16 or int8; auto is the fastest that the device computes natively and that
            keeps the model's accuracy.
        batch_size: the largest batch that `infer` will get.
        side: of a model that takes images of many sizes, the longest side that will come.
        cached: use and fill the folder of compiled models.

    Raises:
        ValueError: on an unknown name, or a combination that no engine offers; the message names the known ones.
        CheckpointError: if the weights do not fit their configuration.
        FerFastError: if the device is not there.
    """
    check_choice("engine", engine, ENGINES)
    check_choice("precision", precision, PRECISIONS)
    check_device(device)
    for name, value in (("batch_size", batch_size), ("side", side)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    engines: list[Engine] = []
    with alone(), ExitStack() as unwanted:
        for card in device.split(","):
            engines.append(_open(checkpoint, engine, card, precision, batch_size, side, cached))
            unwanted.callback(engines[-1].close)
        opened = engines[0] if len(engines) == 1 else SeveralEngines(engines)
        unwanted.pop_all()  # all of them are open: they are the caller's
    ran = opened.describe()["precision"]
    if not keeps_accuracy(checkpoint.config, ran):
        points = 100 * checkpoint.config.precision_falls[ran]
        measure = architecture_of(checkpoint).measure
        log.warning("precision %s costs this model %.2f points of %s against fp32", ran, points, measure)
    return opened


def _open(
    checkpoint: Checkpoint | FinderCheckpoint,
    engine: str,
    device: str,
    precision: str,
    batch_size: int,
    side: int,
    cached: bool,
) -> Engine:
    # Of int8 torch has none: a card without TensorRT leaves it to the processor.
    anywhere = engine == device == "auto" and precision == "int8" and not find_spec("tensorrt")
    if engine == "openvino" or anywhere or (engine == "auto" and not _wants_cuda(device)):
        try:
            from fer_fast.engines.openvino import OpenVinoEngine
        except ImportError as error:
            raise FerFastError(f"openvino is not there ({error}): pip install openvino") from error
        return _called(OpenVinoEngine(checkpoint, device, precision, batch_size, cached))
    if engine == "tensorrt" or (engine == "auto" and find_spec("tensorrt")):
        from fer_fast.engines.tensorrt import TensorRtEngine

        try:
            return _called(TensorRtEngine(checkpoint, device, precision, batch_size, cached, side))
        except FerFastError as error:
            if engine == "tensorrt":
                raise
            log.warning("torch runs the model: %s", error)
    if torch_is_inherited():  # OpenMP, by which torch spreads its work, may wait for ever for the threads of the parent
        raise FerFastError("torch was in use before fork: start processes that classify by spawn or forkserver")
    from fer_fast.engines.torch import TorchEngine

    return _called(TorchEngine(checkpoint, device, precision, batch_size, side))


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

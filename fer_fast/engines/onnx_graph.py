"""A torch module comes in, its ONNX graph's bytes go out: for ONNX Runtime, and what TensorRT is built from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fer_fast.machine.extras import need
from fer_fast.models.architecture import INPUT
from fer_fast.models.quantised import QUANTISED_OPSET

if TYPE_CHECKING:
    from fer_fast.models.architecture import Sides

#: Of ONNX's operators. LayerNormalization, which sums in fp32 whatever its input, came with 17.
_OPSET = QUANTISED_OPSET


def onnx_bytes(module: nn.Module, sides: Sides, batch_size: int, output: str) -> bytes:
    """The graph of a module with one input, called images, and one output, for batches from 1 to `batch_size`.

    Args:
        module: takes uint8 images [batch, height, width, 3]; in eval mode, in the precision that the graph shall have.
        sides: what images may be.
        batch_size: the largest batch.
        output: what the output is called.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
    """
    return onnx_of(module, example(sides), free_dimensions(sides, batch_size), INPUT, (output,))


def onnx_of(module: nn.Module, given: Tensor, free: dict[int, Any], name: str, outputs: Sequence[str]) -> bytes:
    """The graph of a module with one input.

    Args:
        module: see `onnx_bytes`.
        given: an input; its first dimension, the batch, is 2 at least, for one would be taken for a constant.
        free: which of its dimensions may differ.
        name: what it is called.
        outputs: what the outputs are called.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
    """
    need("an ONNX graph", "torch", modules=("onnx", "onnxscript"))
    with _quiet(), torch.inference_mode():
        program: Any = torch.onnx.export(
            module,
            (given,),
            dynamo=True,
            dynamic_shapes=(free,),
            input_names=[name],
            output_names=list(outputs),
            opset_version=_OPSET,
            verbose=False,
        )
    data: bytes = program.model_proto.SerializeToString()
    return data


def example(sides: Sides) -> Tensor:
    """Images to trace a module with: two, for one would be taken for a constant."""
    return torch.zeros(2, *sides.example, 3, dtype=torch.uint8)


def free_batch(batch_size: int) -> dict[int, Any]:
    """The first dimension alone."""
    return {0: torch.export.Dim("batch", min=1, max=max(batch_size, 2))}


def free_dimensions(sides: Sides, batch_size: int) -> dict[int, Any]:
    """Which dimensions of images `torch.export` leaves free."""
    free = free_batch(batch_size)
    if sides.fixed:
        return free
    steps = [torch.export.Dim(name, min=1, max=sides.most // sides.step) for name in ("height_steps", "width_steps")]
    return free | {place: sides.step * each for place, each in enumerate(steps, 1)}


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages that it could use and that are not there, and of what its own parts will lose."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)

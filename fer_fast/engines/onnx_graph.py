"""A torch module comes in, its ONNX graph's bytes go out: for ONNX Runtime, and what TensorRT is built from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fer_fast.models.quantised import QUANTISED_OPSET
from fer_fast.types import FerFastError

#: Of ONNX's operators. LayerNormalization, which sums in fp32 whatever its input, came with 17.
_OPSET = QUANTISED_OPSET
INPUT = "images"


def onnx_bytes(module: nn.Module, example: Tensor, batch_size: int, output: str, metadata: str = "") -> bytes:
    """The graph of a module with one input, called images, and one output, for batches from 1 to `batch_size`.

    Args:
        module: in eval mode, in the precision that the graph shall have.
        example: [2, ...]: a batch of one would be taken for a constant.
        batch_size: the largest batch.
        output: what the output is called.
        metadata: kept in the file under fer_fast.

    Raises:
        FerFastError: onnx or onnxscript is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise FerFastError(f"onnx and onnxscript are needed: pip install 'fer-fast[export]' ({error})") from error
    batch = torch.export.Dim("batch", min=1, max=max(batch_size, 2))
    with _quiet(), torch.inference_mode():
        program: Any = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=[INPUT],
            output_names=[output],
            opset_version=_OPSET,
            verbose=False,
        )
    proto = program.model_proto
    if metadata:
        entry = proto.metadata_props.add()
        entry.key, entry.value = "fer_fast", metadata
    data: bytes = proto.SerializeToString()
    return data


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

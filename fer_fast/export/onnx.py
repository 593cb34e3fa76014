"""A model comes in, an ONNX file's bytes go out: for ONNX Runtime, and what TensorRT is built from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fer_fast.export.graph import INPUT, OUTPUT, Graph, graph_of
from fer_fast.types import FerFastError

#: LayerNormalization, which sums in fp32 whatever its input, came with 17.
OPSET = 18


def encode(graph: Graph) -> dict[str, bytes]:
    """Suffix to bytes."""
    return {".onnx": onnx_bytes(graph)}


def onnx_bytes(graph: Graph) -> bytes:
    """The model in ONNX, with a batch from 1 to the graph's.

    Raises:
        FerFastError: onnx or onnxscript is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise FerFastError(f"{graph.format} needs onnx and onnxscript: pip install 'fer-fast[export]'") from error
    module = graph_of(graph.checkpoint, graph.precision)
    batch = torch.export.Dim("batch", min=1, max=max(graph.batch_size, 2))
    with _quiet(), torch.inference_mode():
        program: Any = torch.onnx.export(
            module,
            (graph.example(),),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = "fer_fast", graph.metadata
    data: bytes = proto.SerializeToString()
    return data


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages that it could use and that are not there."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

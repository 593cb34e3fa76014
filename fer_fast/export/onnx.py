"""A model comes in, an ONNX file's bytes go out."""

from __future__ import annotations

from fer_fast.engines.onnx_graph import onnx_bytes
from fer_fast.export.graph import Graph


def encode(graph: Graph, rest: str = "fp32") -> dict[str, bytes]:
    """Suffix to bytes; `rest` is the precision of what int8 leaves."""
    module = graph.module(graph.precision, symmetric=True, rest=rest)
    return {".onnx": onnx_bytes(module, graph.sides, graph.batch_size, graph.output, graph.description)}

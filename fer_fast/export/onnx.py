"""A model comes in, an ONNX file's bytes go out."""

from __future__ import annotations

from fer_fast.engines.onnx_graph import onnx_bytes
from fer_fast.export.graph import Graph, sealed
from fer_fast.models.files.onnx_file import DESCRIPTION, metadata_field


def encode(graph: Graph) -> dict[str, bytes]:
    """Suffix to bytes: the graph, and behind it the description, with size and CRC-32 of all that is before it."""
    content = traced(graph)
    return {".onnx": content + metadata_field(DESCRIPTION, sealed(graph.description, graph=content).encode())}


def traced(graph: Graph, rest: str = "fp32") -> bytes:
    """The graph alone; `rest` is the precision of what int8 leaves."""
    module = graph.module(graph.precision, symmetric=True, rest=rest)
    return onnx_bytes(module, graph.sides, graph.batch_size, graph.output)

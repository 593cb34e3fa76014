"""A model comes in, a TensorRT engine goes out: for this card, or, by TensorRT for RTX, for cards that are named.

An engine has no place for a description: it lies beside it.
"""

from __future__ import annotations

from fer_fast.engines.tensorrt_build import build_engine, capabilities, load_tensorrt
from fer_fast.export.graph import Graph, sealed
from fer_fast.export.onnx import traced


def encode(graph: Graph) -> dict[str, bytes]:
    """Suffix to bytes."""
    library = load_tensorrt(graph.format)
    cards = graph.cards
    if graph.format == "tensorrt-rtx" and not cards:
        # Turing computes no bf16.
        cards = tuple(card for card in capabilities(library) if graph.precision != "bf16" or float(card) >= 8)
    engine = build_engine(library, traced(graph, rest="fp16"), graph.batch_size, cards, graph.sides)
    return {".engine": engine, ".engine.txt": sealed(graph.description, engine=engine).encode()}

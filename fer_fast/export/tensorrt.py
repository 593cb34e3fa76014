"""A model comes in, a TensorRT engine goes out: for this card, or, by TensorRT for RTX, for cards that are named.

An engine has no place for a description: it lies beside it.
"""

from __future__ import annotations

import logging

from fer_fast.engines.tensorrt_build import build_engine, capabilities, load_tensorrt
from fer_fast.export.graph import Graph, sealed
from fer_fast.export.onnx import traced

log = logging.getLogger(__name__)


def encode(graph: Graph) -> dict[str, bytes]:
    """Suffix to bytes."""
    library = load_tensorrt(graph.format)
    cards = graph.cards
    if graph.format == "tensorrt-rtx" and not cards:
        cards = _taking(graph, tuple(capabilities(library)))
    engine = build_engine(library, traced(graph, rest="fp16"), graph.batch_size, cards, graph.sides)
    return {".engine": engine, ".engine.txt": sealed(graph.description, engine=engine).encode()}


def _taking(graph: Graph, cards: tuple[str, ...]) -> tuple[str, ...]:
    """The cards of which TensorRT for RTX can build a graph; one that it cannot fails the engine for all."""
    # For Turing it has no bf16, and of fp32 no matrix products: all classifiers have some, a finder none.
    lacking = {"bf16": ("classifier", "finder"), "fp32": ("classifier",)}.get(graph.precision, ())
    if graph.architecture.kind not in lacking:
        return cards
    turing = [card for card in cards if float(card) < 8]
    if turing:
        said = f"TensorRT for RTX does not build it in {graph.precision} for them; in fp16 it does"
        log.warning("cards of compute capability %s are left out: %s", ", ".join(turing), said)
    return tuple(card for card in cards if card not in turing)

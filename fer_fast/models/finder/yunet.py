"""YuNet's ONNX file comes in, the weights of `FinderNetwork` go out.

Read by the graph, not by the names of weights: those of folded layers differ from one export to the next.
"""

from __future__ import annotations

import hashlib
import logging
from itertools import pairwise
from pathlib import Path

import numpy as np

from fer_fast.models.files.onnx_file import Constant, Node, OnnxGraph, parse_onnx
from fer_fast.models.finder.config import STRIDES
from fer_fast.types import CheckpointError

log = logging.getLogger(__name__)

Weights = dict[str, Constant]
Layer = tuple[Constant, Constant]

#: SHA-256 of the files that are known, to what they are called.
_KNOWN = {
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4": "YuNet 2023mar (opencv_zoo, MIT)",
    "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0": "YuNet 2026may (opencv_zoo, MIT)",
}
#: Bytes of a file that is looked at; YuNet's are a quarter of a million.
_MOST_BYTES = 1 << 20
#: Convolutions on the way to a head: what all scales share, with head and lateral; of each scale up to its own.
_EARLY, _LATER = 15, 4
_HEADS = ("cls", "obj", "bbox", "kps")
#: What lies between two convolutions, or behind the last.
_PASSED = ("Relu", "MaxPool", "Add", "Transpose", "Reshape", "Sigmoid")


def read_yunet(path: str | Path) -> tuple[Weights, str]:
    """Reads YuNet (2023mar, or any file of the same graph).

    Args:
        path: an ONNX file. One that is not known is told of in the log.

    Returns:
        Weights by `FinderNetwork`'s names, float32, for RGB images (the file is for BGR); where they come from, in a
        sentence.

    Raises:
        CheckpointError: it is no such file, or cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"finder {str(path)!r} cannot be read: {error.strerror or error}") from error
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
        weights = _weights(_Chains(parse_onnx(content)))
    except ValueError as error:
        raise CheckpointError(f"finder {str(path)!r} is not YuNet as ONNX: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest not in _KNOWN:
        log.warning("unknown finder file %a, read as YuNet", str(path))
    return weights, _KNOWN.get(digest, f"an unknown file, read as YuNet; SHA-256 {digest}")


class _Chains:
    """The graph, from its outputs backwards."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._makers = {name: node for node in graph.nodes for name in node.outputs}
        self._constants = graph.constants
        self._most = len(graph.nodes)

    def before(self, output: str) -> list[Layer]:
        """The convolutions that lead to a value, the nearest first: kernel and bias.

        Of a sum the summand that was not resized is followed.

        Raises:
            ValueError: anything else is among them.
        """
        layers: list[Layer] = []
        name = output
        for _ in range(self._most):  # a damaged graph may be a ring
            if (node := self._makers.get(name)) is None:
                break
            name = self._followed(node)
            if node.kind == "Conv":
                layers.append(self._layer(node))
        return layers

    def _followed(self, node: Node) -> str:
        if node.kind not in ("Conv", *_PASSED) or not node.inputs:
            raise ValueError(f"it has a node {node.kind!r} among its convolutions")
        is_sum = node.kind == "Add" and len(node.inputs) == 2
        return node.inputs[1] if is_sum and self._is_resized(node.inputs[0]) else node.inputs[0]

    def _is_resized(self, name: str) -> bool:
        return name in self._makers and self._makers[name].kind == "Resize"

    def _layer(self, node: Node) -> Layer:
        found = [self._constants[name] for name in node.inputs[1:] if name in self._constants]
        if len(found) != 2 or found[0].ndim != 4 or found[1].ndim != 1:
            raise ValueError("a convolution has no constant kernel and bias")
        return found[0], found[1]


def _weights(chains: _Chains) -> Weights:
    weights: Weights = {}
    for place, stride in enumerate(STRIDES):
        before = [chains.before(f"{name}_{stride}") for name in _HEADS]
        wanted = _EARLY + _LATER * (place + 1)
        for name, layers in zip(_HEADS, before, strict=True):
            if len(layers) != wanted:
                raise ValueError(f"it has {len(layers)} convolutions before {name}_{stride}, not {wanted}")
        for depth, part in enumerate(("depthwise", "pointwise")):
            for kind, values in enumerate(("weight", "bias")):
                weights[f"heads.{place}.{part}.{values}"] = np.concatenate([each[depth][kind] for each in before])
        body = before[0][2:]
        _add_units(weights, [f"laterals.{place}", f"stages.{place}.1", f"stages.{place}.0"], body[:6])
        if place == 0:
            _add_units(weights, [f"early.{unit}" for unit in (5, 4, 3, 2, 0)], body[6:16])
            kernel, bias = body[16]
            weights["stem.weight"], weights["stem.bias"] = np.ascontiguousarray(kernel[:, ::-1]), bias  # BGR to RGB
    return weights


def _add_units(weights: Weights, names: list[str], layers: list[Layer]) -> None:
    """Of each unit its depthwise convolution, then its pointwise one."""
    for name, (depthwise, pointwise) in zip(names, list(pairwise(layers))[::2], strict=True):
        for part, (kernel, bias) in (("depthwise", depthwise), ("pointwise", pointwise)):
            weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"] = kernel, bias

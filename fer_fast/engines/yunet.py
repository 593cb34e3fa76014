"""YuNet's ONNX file comes in, the weights of `FinderNetwork` go out.

Read by OpenVINO and by the graph, not by names: those of folded layers differ from one export to the next.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_fast.engines.openvino_library import openvino
from fer_fast.models.checkpoint import FinderCheckpoint, digest_of
from fer_fast.models.finder_config import FinderConfig
from fer_fast.types import CheckpointError

log = logging.getLogger(__name__)

Weights = dict[str, npt.NDArray[np.float32]]
Layer = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]

#: SHA-256 of the files that are known, to what they are called.
_KNOWN = {"8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4": "YuNet 2023mar (opencv_zoo, MIT)"}
_STRIDES = (8, 16, 32)
_HEADS = ("cls", "obj", "bbox", "kps")
_CONVOLUTIONS = ("Convolution", "GroupConvolution")


def yunet_checkpoint(path: str | Path) -> FinderCheckpoint:
    """The same as a checkpoint; an unknown file is told of in the log.

    Raises:
        CheckpointError: as `read_yunet`.
    """
    weights = read_yunet(path)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if digest not in _KNOWN:
        log.warning("unknown finder file %s, read as YuNet", path)
    config = FinderConfig(origin=_KNOWN.get(digest, f"an unknown file, read as YuNet: SHA-256 {digest}"))
    return FinderCheckpoint(config, weights, digest_of(json.dumps(config.as_dict()), weights))


def read_yunet(path: str | Path) -> Weights:
    """Reads YuNet (2023mar, or any file of the same graph).

    Args:
        path: an ONNX file.

    Returns:
        Weights by `FinderNetwork`'s names, float32, for RGB images; the file is for BGR.

    Raises:
        CheckpointError: it is no such file.
    """
    try:
        graph = openvino.Core().read_model(path)
        return _weights(graph)
    except (RuntimeError, KeyError, ValueError, IndexError, StopIteration) as error:
        raise CheckpointError(f"finder {str(path)!r} is not YuNet as ONNX: {str(error).splitlines()[0]}") from error


def _weights(graph: openvino.Model) -> Weights:
    outputs = {name: output.get_node() for output in graph.outputs for name in output.get_names()}
    weights: Weights = {}
    for place, stride in enumerate(_STRIDES):
        head = [[*_layers(outputs[f"{name}_{stride}"])] for name in _HEADS]
        for part, depth in (("depthwise", 0), ("pointwise", 1)):
            for kind in (0, 1):
                name = f"heads.{place}.{part}.{('weight', 'bias')[kind]}"
                weights[name] = np.concatenate([each[depth][kind] for each in head])
        _add_unit(weights, f"laterals.{place}", head[0][2:4])
        stage = [*_layers(_tap(outputs[f"cls_{stride}"]))][:4]
        _add_unit(weights, f"stages.{place}.1", stage[:2])
        _add_unit(weights, f"stages.{place}.0", stage[2:])
    first = [*_layers(_tap(outputs["cls_8"]))][4:]
    for place, unit in enumerate((5, 4, 3, 2, 0)):
        _add_unit(weights, f"early.{unit}", first[2 * place : 2 * place + 2])
    kernel, bias = first[10]
    weights["stem.weight"], weights["stem.bias"] = np.ascontiguousarray(kernel[:, ::-1]), bias  # BGR to RGB
    return weights


def _add_unit(weights: Weights, name: str, layers: list[Layer]) -> None:
    for part, (kernel, bias) in zip(("depthwise", "pointwise"), layers, strict=True):
        weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"] = kernel, bias


def _layers(node: openvino.Node | None) -> Iterator[Layer]:
    """Kernels and biases of the convolutions before a node, the nearest first; a resized summand is left out."""
    bias = None
    while node is not None and node.get_type_name() != "Parameter":
        kind = node.get_type_name()
        if kind == "Add" and _constant(node, 1) is not None:
            bias = _constant(node, 1)
        elif kind in _CONVOLUTIONS:
            kernel = _constant(node, 1)
            if kernel is None or bias is None:
                raise ValueError("a convolution has no constant weights")
            if kind == "GroupConvolution":
                kernel = kernel.reshape(-1, *kernel.shape[2:])
            yield kernel.astype(np.float32), bias.astype(np.float32).ravel()
            bias = None
        node = _before(node)


def _tap(node: openvino.Node) -> openvino.Node:
    """What goes into the lateral convolutions of a head, before anything is added to it."""
    passed = 0
    while passed < 4:
        passed += node.get_type_name() in _CONVOLUTIONS
        node = _before(node)
    return node


def _before(node: openvino.Node) -> openvino.Node:
    inputs = [node.input_value(place).get_node() for place in range(node.get_input_size())]
    if node.get_type_name() == "Add" and inputs[0].get_type_name() == "Interpolate":
        return inputs[1]
    return inputs[0]


def _constant(node: openvino.Node, place: int) -> npt.NDArray[np.float32] | None:
    """A constant input, through whatever only reshapes it."""
    before = node.input_value(place).get_node()
    shape = list(before.output(0).shape) if before.get_output_partial_shape(0).is_static else None
    while before.get_type_name() in ("Reshape", "Unsqueeze", "Convert"):
        before = before.input_value(0).get_node()
    if before.get_type_name() != "Constant" or shape is None:
        return None
    data: npt.NDArray[np.float32] = before.get_data().reshape(shape)
    return data

"""A torch module comes in, the OpenVINO graph of its trace goes out: for parts of a model, and to compare."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from fer_fast.engines.openvino_library import openvino

if TYPE_CHECKING:
    from torch import Tensor, nn


def trace(module: nn.Module, example: Tensor) -> openvino.Model:
    """The graph of a module with one input, for batches of any size.

    Args:
        module: in eval mode.
        example: [2, ...]: an input to trace with; a batch of one would be taken for a constant.
    """
    with warnings.catch_warnings():
        # Traced, not exported: torch.export cannot see fake_quantize. The tracer warns of each shape that it unpacks.
        warnings.simplefilter("ignore")
        graph = openvino.convert_model(module, example_input=example)
    graph.reshape([-1, *example.shape[1:]])
    return graph

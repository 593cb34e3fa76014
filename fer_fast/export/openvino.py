"""A model comes in, OpenVINO's two files go out: the graph (.xml) and its weights (.bin)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import openvino

from fer_fast.engines.onnx_graph import INPUT
from fer_fast.engines.openvino_graph import trace
from fer_fast.export.graph import OUTPUT, Graph, graph_of


def encode(graph: Graph) -> dict[str, bytes]:
    """Suffix to bytes."""
    module = graph_of(graph.checkpoint, "int8" if graph.precision == "int8" else "fp32")
    size = graph.checkpoint.config.image_size
    model = trace(module, graph.example())
    model.reshape([openvino.Dimension(1, graph.batch_size), size, size, 3])
    model.input().tensor.set_names({INPUT})
    model.output().tensor.set_names({OUTPUT})
    model.set_rt_info(graph.metadata, ["fer_fast"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        # Weights alone are rounded: OpenVINO computes in what the processor has, whatever they are stored in.
        openvino.save_model(model, file, compress_to_fp16=graph.precision == "fp16")
        return {suffix: file.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")}

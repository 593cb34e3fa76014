"""A model comes in, an AOTInductor package goes out: for libtorch in C++, compiled for this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from fer_fast.engines.devices import cuda_is_present
from fer_fast.export.graph import Graph, graph_of
from fer_fast.types import FerFastError


def encode(graph: Graph) -> dict[str, bytes]:
    """Suffix to bytes. The package is for the card, if there is one, and else for this processor."""
    device = "cuda" if cuda_is_present() else "cpu"
    module = graph_of(graph.checkpoint, graph.precision).to(device)
    batch = torch.export.Dim("batch", min=1, max=max(graph.batch_size, 2))
    try:
        with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
            program = torch.export.export(module, (graph.example().to(device),), dynamic_shapes=({0: batch},))
            package = torch._inductor.aoti_compile_and_package(
                program,
                package_path=str(Path(folder) / "model.pt2"),
                inductor_configs={"aot_inductor.metadata": {"fer_fast": graph.description}},
            )
            return {".pt2": Path(package).read_bytes()}
    except RuntimeError as error:
        raise FerFastError(f"torch could not compile the model: {error}") from error

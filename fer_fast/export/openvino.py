"""A model comes in, OpenVINO's two files go out: the graph (.xml) and its weights (.bin)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fer_fast.engines.openvino_layers import laid
from fer_fast.engines.openvino_library import openvino
from fer_fast.export.graph import Graph, sealed
from fer_fast.types import FerFastError


def encode(graph: Graph) -> dict[str, bytes]:
    """Suffix to bytes.

    Raises:
        FerFastError: OpenVINO cannot write its files, as where the folder for temporary ones is full.
    """
    model = laid(graph.checkpoint, graph.batch_size, int8=graph.precision == "int8", exported=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        # Weights alone are rounded: OpenVINO computes in what the processor has, whatever they are stored in.
        try:
            openvino.save_model(model, file, compress_to_fp16=graph.precision == "fp16")
        except RuntimeError as error:
            raise FerFastError(f"OpenVINO could not write the model to {folder!r}: {error}") from error
        return with_seal(file.read_bytes(), file.with_suffix(".bin").read_bytes(), graph.description)


def with_seal(xml: bytes, weights: bytes, description: str) -> dict[str, bytes]:
    """The files, the first with a processing instruction at its end: the description, and size and CRC-32 of all three.

    OpenVINO does not notice a changed weight, and may crash on a changed graph: what opens it in Python and in C++
    compares before it reads.

    Raises:
        ValueError: a class name with the end of an instruction in it.
    """
    if "?>" in description:
        raise ValueError("class names must not hold '?>' for format openvino, which is XML")
    instruction = f"<?fer_fast\n{sealed(description, graph=xml, weights=weights)}?>\n"
    return {".xml": xml + instruction.encode(), ".bin": weights}

"""The CPU engine: the model as one OpenVINO graph, compiled for this processor and kept on disk."""

from __future__ import annotations

import logging
import queue
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

from fer_fast.engines import cache
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.models.checkpoint import Checkpoint

log = logging.getLogger(__name__)

PRECISIONS: dict[str, str] = {"fp32": "f32", "bf16": "bf16"}
#: Raise it when the graph that `_convert` makes changes: old compiled models are then left alone.
GRAPH_VERSION = 1


class OpenVinoEngine:
    """OpenVINO on the CPU; see `fer_fast.engines.Engine` for the methods.

    The tokens are computed by convolutions inside the graph (`models.algebraic`), not by the fused op: a graph cut
    in two for a foreign op costs more than the op saves (benchmarks/results).
    """

    def __init__(self, checkpoint: Checkpoint, device: str, precision: str, batch_size: int) -> None:
        if device not in ("auto", "cpu"):
            raise ValueError(f"device must be auto or cpu for engine 'openvino', not {device!r}")
        self.core = openvino.Core()
        self.precision = _precision(precision, self.core)
        self.classes = len(checkpoint.config.classes)
        try:
            self.compiled, self.cache = self._compile(checkpoint, batch_size)
            self.streams = int(self.compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
            self.requests: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
            for _ in range(self.streams):
                self.requests.put(self.compiled.create_infer_request())
        except RuntimeError as error:
            raise FerFastError(f"OpenVINO could not compile the model: {error}") from error

    def infer(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """See `Engine.infer`."""
        request = self.requests.get()
        try:
            result = request.infer([images], share_inputs=True, share_outputs=True)
            return np.array(result[0], dtype=np.float32)
        except RuntimeError as error:
            raise FerFastError(f"OpenVINO failed on the CPU: {error}") from error
        finally:
            self.requests.put(request)

    def describe(self) -> dict[str, str]:
        """See `Engine.describe`."""
        return {
            "engine": "openvino",
            "version": openvino.__version__,
            "device": str(self.core.get_property("CPU", "FULL_DEVICE_NAME")).strip(),
            "precision": self.precision,
            "streams": str(self.streams),
            "tokens": "convolutions",
            "cache": self.cache,
        }

    def close(self) -> None:
        """See `Engine.close`."""
        del self.requests, self.compiled

    def _compile(self, checkpoint: Checkpoint, batch_size: int) -> tuple[openvino.CompiledModel, str]:
        """The compiled model, and what its cache did: hit, stored or why not."""
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": PRECISIONS[self.precision],
        }
        file = cache.cache_file("openvino", self._key(checkpoint, batch_size))
        if (blob := cache.fetch(file)) is not None:
            try:
                return self.core.import_model(blob, "CPU", options), "hit"
            except RuntimeError as error:
                log.warning("compiled model %s cannot be used and is made again: %s", file, error)
        compiled = self.core.compile_model(_convert(checkpoint, batch_size), "CPU", options)
        try:
            cache.store(file, compiled.export_model().getvalue())
        except OSError as error:
            log.warning("the compiled model cannot be kept: %s", error)
            return compiled, f"not stored: {error.strerror}"
        return compiled, "stored"

    def _key(self, checkpoint: Checkpoint, batch_size: int) -> dict[str, str | int]:
        return {
            "model": checkpoint.digest,
            "graph": GRAPH_VERSION,
            "precision": self.precision,
            "batch_size": batch_size,
            "openvino": openvino.__version__,
            "processor": str(self.core.get_property("CPU", "FULL_DEVICE_NAME")),
            "capabilities": " ".join(sorted(self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))),
        }


def _precision(precision: str, core: openvino.Core) -> str:
    if precision == "auto":
        return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "fp32"
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be auto, {', '.join(PRECISIONS)} for engine 'openvino', not {precision!r}")
    return precision


def _convert(checkpoint: Checkpoint, batch_size: int) -> openvino.Model:
    """The OpenVINO graph of a checkpoint, for batches of 1 to `batch_size`."""
    import torch  # only here: with a compiled model on disk, torch is never loaded

    from fer_fast.models.algebraic import AlgebraicModel
    from fer_fast.models.storage import build_model

    size = checkpoint.config.image_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.export deprecates its own internals at each call
        program = torch.export.export(
            AlgebraicModel(build_model(checkpoint)).eval(), (example,), dynamic_shapes=({0: batch},)
        )
        graph = openvino.convert_model(program)
    graph.reshape([openvino.Dimension(1, batch_size), size, size, 3])
    return graph

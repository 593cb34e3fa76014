"""The CPU engine: the model as one OpenVINO graph, compiled for this processor and kept on disk."""

from __future__ import annotations

import importlib.metadata
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.engines.cache import Place
from fer_fast.engines.interface import Engine, keeps_accuracy
from fer_fast.engines.opened import torch_is_inherited
from fer_fast.engines.openvino_graph import CompiledGraph, compile_options, has_bf16, openvino_core, traced
from fer_fast.engines.openvino_library import openvino
from fer_fast.machine.processors import has_amx, has_int8_dot_products, quota_threads
from fer_fast.models.registry import architecture_of
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.models.checkpoint import Checkpoint, FinderCheckpoint

log = logging.getLogger(__name__)

PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "int8")
#: Raise it when the graph that `_convert` makes changes: old compiled models are then left alone.
GRAPH_VERSION = 4
#: What OpenVINO prepares for a shape it keeps, some 2 MB each, and 400 shapes of small photos are too many; those that
#: photos reduced to one longer side come in, 39 for 640, fit in.
_KEPT_FOR_SHAPES = {"CPU_RUNTIME_CACHE_CAPACITY": "1000"}


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU; see `fer_fast.engines.Engine` for the methods.

    A model that takes many sizes is compiled once for all of them: that is as fast as for each alone. A classifier's
    tokens are computed by convolutions inside the graph (`models.algebraic`), not by the fused op: a graph cut
    in two for a foreign op costs more than the op saves (benchmarks/results).
    """

    device = "cpu"

    def __init__(
        self,
        checkpoint: Checkpoint | FinderCheckpoint,
        device: str,
        precision: str,
        batch_size: int,
        cached: bool = True,
    ) -> None:
        super().__init__()
        if device not in ("auto", "cpu"):
            raise ValueError(f"device must be auto or cpu for engine 'openvino', not {device!r}")
        self.core = openvino_core()
        self.precision = _precision(precision, self.core, checkpoint)
        self._facts = architecture_of(checkpoint).graph_facts
        self.sides = architecture_of(checkpoint).sides(checkpoint)
        try:
            if cached:
                compiled, self.cache = self._fetch_or_compile(checkpoint, batch_size)
            else:
                compiled, self.cache = self._compile(checkpoint, batch_size), "not used"
            self.graph = CompiledGraph(compiled)
        except FerFastError:  # of the checkpoint, say
            raise
        except RuntimeError as error:
            raise FerFastError(f"OpenVINO could not compile the model: {error}") from error
        self.streams, self.threads = self.graph.streams, self.graph.threads

    def _infer(self, images: Pixels) -> npt.NDArray[np.float32]:
        return self.graph([np.asarray(images)])[0]

    def describe(self) -> dict[str, str]:
        """See `Engine.describe`."""
        return {
            "engine": "openvino",
            "version": openvino.__version__,
            "device": str(self.core.get_property("CPU", "FULL_DEVICE_NAME")).strip(),
            "precision": self.precision,
            "streams": str(self.streams),
            "threads": str(self.threads),
            **self._facts,
            "cache": self.cache,
        }

    def _release(self) -> None:
        self.__dict__.pop("graph", None)

    def _compile(self, checkpoint: Checkpoint | FinderCheckpoint, batch_size: int) -> openvino.CompiledModel:
        graph = _convert(checkpoint, batch_size, int8=self.precision == "int8")
        return self.core.compile_model(graph, "CPU", self._options())

    def _options(self) -> dict[str, Any]:
        return compile_options(self.core, self.precision) | ({} if self.sides.fixed else _KEPT_FOR_SHAPES)

    def _fetch_or_compile(
        self, checkpoint: Checkpoint | FinderCheckpoint, batch_size: int
    ) -> tuple[openvino.CompiledModel, str]:
        """The compiled model, and what its cache did: hit, stored or why not."""
        place = Place("openvino", _key(checkpoint, self.precision, batch_size))
        if (blob := place.fetch()) is not None:
            try:
                return self.core.import_model(blob, "CPU", self._options()), "hit"
            except RuntimeError as error:
                log.warning("compiled model %s cannot be used and is made again: %s", place.file, error)
        log.info("compiling the model for this processor in %s; that is done once", self.precision)
        compiled = self._compile(checkpoint, batch_size)
        return compiled, place.store(compiled.export_model().getvalue())


def is_compiled(checkpoint: Checkpoint | FinderCheckpoint, precision: str, batch_size: int) -> bool:
    """Whether the compiled model is on disk, so that it opens without torch.

    Raises:
        ValueError, FerFastError: a precision that is not there.
    """
    chosen = _precision(precision, openvino_core(), checkpoint)
    file = Place("openvino", _key(checkpoint, chosen, batch_size)).file
    return file is not None and file.is_file()


def _key(checkpoint: Checkpoint | FinderCheckpoint, precision: str, batch_size: int) -> dict[str, str | int]:
    core = openvino_core()
    return {
        "model": checkpoint.digest,
        "graph": GRAPH_VERSION,
        "precision": precision,
        "batch_size": batch_size,
        "threads": quota_threads() or 0,
        "openvino": openvino.__version__,
        "torch": importlib.metadata.version("torch"),  # it traces the graph
        "processor": str(core.get_property("CPU", "FULL_DEVICE_NAME")),
        "capabilities": " ".join(sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))),
    }


def _precision(precision: str, core: openvino.Core, checkpoint: Checkpoint | FinderCheckpoint) -> str:
    """The precision to run."""
    obstacle = architecture_of(checkpoint).int8_obstacle(checkpoint)
    if precision == "auto":
        # AMX computes bf16 so fast that int8 adds little. Without it int8 dot products are worth a factor of two.
        # Unlike bf16, whose rounding is known, int8 is taken by itself only where its cost was measured.
        is_measured = not obstacle and "int8" in checkpoint.config.precision_falls
        offered = {
            "int8": is_measured and has_int8_dot_products() and not has_amx(),
            "bf16": has_bf16(core),
            "fp32": True,
        }
        return next(name for name, there in offered.items() if there and keeps_accuracy(checkpoint.config, name))
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be auto, {', '.join(PRECISIONS)} for engine 'openvino', not {precision!r}")
    if precision == "bf16" and not has_bf16(core):
        raise FerFastError("precision 'bf16' is not there: this processor has no bf16 instructions; fp32 is")
    if precision == "int8" and obstacle:
        raise ValueError(obstacle)
    return precision


def _convert(checkpoint: Checkpoint | FinderCheckpoint, batch_size: int, int8: bool) -> openvino.Model:
    """The OpenVINO graph of a checkpoint, for batches of 1 to `batch_size`."""
    import torch  # only here: with a compiled model on disk, torch is never loaded

    if torch_is_inherited():
        torch.set_num_threads(1)  # it would wait for the threads that a parent had
    architecture = architecture_of(checkpoint)
    module = architecture.graph(checkpoint, "int8" if int8 else "fp32")
    return traced(module, architecture.sides(checkpoint), batch_size)

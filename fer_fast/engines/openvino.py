"""The CPU engine: the model as one OpenVINO graph, compiled for this processor and kept on disk."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_fast.engines.interface import Engine, keeps_accuracy
from fer_fast.engines.openvino_exported import exported_source
from fer_fast.engines.openvino_graph import CompiledGraph, compile_options, has_bf16, imported, openvino_core
from fer_fast.engines.openvino_layers import laid
from fer_fast.engines.openvino_library import openvino
from fer_fast.engines.openvino_source import Source
from fer_fast.machine.cache import Place
from fer_fast.machine.processors import has_amx, has_int8_dot_products, quota_threads
from fer_fast.models.files.exported import ExportedModel
from fer_fast.models.registry import architecture_of
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint

log = logging.getLogger(__name__)

PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "int8")
#: Raise it when the graph that `laid` makes changes: old compiled models are then left alone.
GRAPH_VERSION = 6
#: What OpenVINO prepares for a shape it keeps, some 2 MB each, and 400 shapes of small photos are too many; those that
#: photos reduced to one longer side come in, 39 for 640, fit in.
_KEPT_FOR_SHAPES = {"CPU_RUNTIME_CACHE_CAPACITY": "1000"}


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU; see `fer_fast.engines.Engine` for the methods.

    A model that takes many sizes is compiled once for all of them: that is as fast as for each alone. A fusion
    model's tokens are computed by convolutions inside the graph (`models/fusion/algebraic.py`), not by the fused op: a
    graph cut in two for a foreign op costs more than the op saves (benchmarks/results).
    """

    device = "cpu"

    def __init__(
        self,
        model: Checkpoint | FinderCheckpoint | ExportedModel,
        device: str,
        precision: str,
        batch_size: int,
        cached: bool = True,
    ) -> None:
        super().__init__()
        if device not in ("auto", "cpu"):
            raise ValueError(f"device must be auto or cpu for engine 'openvino', not {device!r}")
        self.core = openvino_core()
        source = _source(model, precision, self.core)  # not kept: it holds all weights
        self.precision, self.sides = source.precision, source.sides
        self._rest, self._facts = source.rest or source.precision, source.facts
        try:
            if cached:
                compiled, self.cache = self._fetch_or_compile(source, batch_size)
            else:
                compiled, self.cache = self._compile(source, batch_size), "not used"
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

    def _compile(self, source: Source, batch_size: int) -> openvino.CompiledModel:
        return self.core.compile_model(source.make(batch_size), "CPU", self._options())

    def _options(self) -> dict[str, Any]:
        options = compile_options(self.core, self._rest)
        return options | ({} if self.sides.fixed else _KEPT_FOR_SHAPES)

    def _fetch_or_compile(self, source: Source, batch_size: int) -> tuple[openvino.CompiledModel, str]:
        """The compiled model, and what its cache did: hit, stored or why not."""
        place = Place("openvino", _key(source, batch_size))
        if (blob := place.fetch()) is not None:
            try:
                return imported(self.core, blob, self._options()), "hit"
            except RuntimeError as error:
                log.warning("compiled model %s cannot be used and is made again: %s", place.file, error)
        log.info("compiling the model for this processor in %s; that is done once", self.precision)
        compiled = self._compile(source, batch_size)
        return compiled, place.store(compiled.export_model().getbuffer())


def _source(model: Checkpoint | FinderCheckpoint | ExportedModel, precision: str, core: openvino.Core) -> Source:
    if isinstance(model, ExportedModel):
        return exported_source(model, precision, core)
    architecture, chosen = architecture_of(model), _precision(precision, core, model)
    return Source(
        chosen,
        architecture.sides(model),
        lambda batch_size: laid(model, batch_size, int8=chosen == "int8"),
        {"model": model.digest, "graph": GRAPH_VERSION, **architecture.versions(model.config)},
        facts=architecture.graph_facts,
    )


def _key(source: Source, batch_size: int) -> dict[str, str | int]:
    core = openvino_core()
    return source.key | {
        "precision": source.precision,
        "batch_size": batch_size,
        "threads": quota_threads() or 0,
        "openvino": openvino.__version__,
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

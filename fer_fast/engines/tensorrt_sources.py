"""Where TensorRT's engines come from: a checkpoint, of which they are built and kept, or an exported file."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from fer_fast.engines.onnx_graph import onnx_bytes
from fer_fast.engines.replay import is_memory_full
from fer_fast.engines.tensorrt_build import SILENT, build_engine, messages_of
from fer_fast.engines.tensorrt_context import Compiled, Context
from fer_fast.engines.torch import card_precision
from fer_fast.machine.cache import Place
from fer_fast.models.architecture import INPUT
from fer_fast.models.dtypes import DTYPES
from fer_fast.models.registry import architecture_of
from fer_fast.types import CheckpointError, FerFastError

if TYPE_CHECKING:
    from fer_fast.engines.replay import Model
    from fer_fast.models.architecture import Sides
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint
    from fer_fast.models.files.exported import ExportedModel

log = logging.getLogger(__name__)

#: Raise it when the graph that is built changes: old engines are then left alone.
GRAPH_VERSION = 5
PRECISIONS: tuple[str, ...] = (*DTYPES, "int8")


class Source(ABC):
    """Gives engines.

    Attributes:
        precision: that they run in.
        sides: what images may be.
        output: what their output is called.
        facts: what is said of them.
        messages: what TensorRT says of engines and of their contexts.
    """

    precision: str
    sides: Sides
    output: str
    facts: dict[str, str]
    messages: Any
    _library: Any

    @abstractmethod
    def engine(self, batch_size: int) -> tuple[Any, str]:
        """TensorRT's engine for batches of a number, and what the cache did: hit, stored, or why not."""

    @abstractmethod
    def output_shape(self, images: tuple[int, ...]) -> tuple[int, ...]:
        """For images of a shape, [batch, height, width, 3]."""

    def models(self, images: tuple[int, ...], device: torch.device) -> tuple[Callable[[], Model], str]:
        """What makes models for images of a shape, each for a thread, and what the cache did, see `engine`."""
        engine, said = self.engine(images[0])
        outputs = {self.output: (self.output_shape(images), torch.float32)}
        compiled = Compiled(self._library, engine, self.messages, INPUT, images, outputs)

        def make() -> Model:
            context = Context(compiled, device)
            return lambda pixels: context(pixels)[0]

        return make, said


class BuiltEngines(Source):
    """Engines that are built here, once a batch size, and for that alone.

    Raises:
        ValueError: a precision that TensorRT has not.

    Attributes:
        name: of the form.
        precisions: that it has.
    """

    name: ClassVar[str] = "tensorrt"
    precisions: ClassVar[tuple[str, ...]] = PRECISIONS

    def __init__(
        self,
        checkpoint: Checkpoint | FinderCheckpoint,
        library: Any,
        device: str,
        precision: str,
        side: int,
        cached: bool,
        may_go_on: Callable[[], bool] | None = None,
    ) -> None:
        if precision not in ("auto", *self.precisions):
            raise ValueError(
                f"precision must be auto, {', '.join(self.precisions)} for engine {self.name!r}, not {precision!r}"
            )
        self._checkpoint, self._library, self._cached = checkpoint, library, cached
        self.messages = messages_of(library)
        self._may_go_on = may_go_on
        self._graphs: dict[str, bytes] = {}
        self._card = torch.device(device)
        self._architecture = architecture_of(checkpoint)
        sides = self._architecture.sides(checkpoint)
        self.sides = sides if sides.fixed else sides.only(side)
        self.output, self.facts = self._architecture.output, self._architecture.graph_facts
        self.precision = card_precision(self._card, checkpoint.config) if precision == "auto" else precision

    def engine(self, batch_size: int) -> tuple[Any, str]:
        """See `Source.engine`."""
        return self._kept(
            self.key(batch_size),
            batch_size,
            lambda: engine_graph(self._checkpoint, self.precision, batch_size, self.sides),
        )

    def _kept(
        self, key: dict[str, str | int], batch_size: int, graph: Callable[[], bytes], part: str = ""
    ) -> tuple[Any, str]:
        """The engine of a key: from the cache, or built of a graph, the first one of that part of the model; and which.

        A graph is for all batches up to the one for which it was made, and it takes seconds to make: the largest is
        asked for first.
        """
        self.messages.last = SILENT  # of this engine
        runtime = self._library.Runtime(self.messages)
        place = Place("tensorrt", key) if self._cached else None
        if place is not None and (kept := place.fetch()) is not None:
            engine = runtime.deserialize_cuda_engine(kept)
            if engine is not None:
                return engine, "hit"
            if is_memory_full(self.messages.last):  # a smaller one may do, and this one is whole
                raise FerFastError(f"TensorRT cannot load engine {place.file}: {self.messages.last}")
            log.warning("engine %s cannot be used here and is built again", place.file)
        log.info("building the engine for this card in %s; that is done once", self.precision)
        if part not in self._graphs:
            self._graphs[part] = graph()
        timings = Place("timings", self._machine()) if self._cached else None
        how: dict[str, Any] = {"may_go_on": self._may_go_on, "least": batch_size, "timings": timings}
        blob = build_engine(self._library, self._graphs[part], batch_size, **how)
        engine = runtime.deserialize_cuda_engine(blob)
        if engine is None:
            raise FerFastError(f"TensorRT cannot read the engine that it built: {self.messages.last}")
        return engine, "not used" if place is None else place.store(blob)

    def output_shape(self, images: tuple[int, ...]) -> tuple[int, ...]:
        """See `Source.output_shape`."""
        return self._architecture.output_shape(self._checkpoint, images)

    def key(self, batch_size: int) -> dict[str, str | int]:
        """What makes it another engine."""
        return {
            "model": self._checkpoint.digest,
            "graph": GRAPH_VERSION,
            **self._architecture.versions(self._checkpoint.config),
            "precision": self.precision,
            "batch_size": batch_size,
            "side": self.sides.step,
            **self._machine(),
            "torch": torch.__version__,
        }

    def _machine(self) -> dict[str, str | int]:
        """What makes timings others."""
        major, minor = torch.cuda.get_device_capability(self._card)
        return {
            "tensorrt": str(self._library.__version__),
            "card": f"{torch.cuda.get_device_name(self._card)} {major}.{minor}",
        }


class ExportedEngine(Source):
    """An engine that was built elsewhere.

    Raises:
        ValueError: another precision than it was exported in.
    """

    def __init__(self, model: ExportedModel, library: Any, precision: str) -> None:
        exported = model.description.precision
        if precision not in ("auto", exported):
            raise ValueError(f"precision must be auto or {exported} for an .engine of {exported}, not {precision!r}")
        self._model, self._library = model, library
        self.precision, self.sides, self.output, self.facts = exported, model.sides, model.output, {}
        self._engine: Any = None

    def engine(self, batch_size: int) -> tuple[Any, str]:
        """See `Source.engine`; one engine does for all up to the largest.

        Raises:
            FerFastError: it is for another TensorRT, or for other cards.
            CheckpointError: it is not what its description says.
        """
        if self._engine is None:
            self._engine = self._read()
        return self._engine, "not used"

    def _read(self) -> Any:
        name = str(self._model.path)
        self.messages = messages_of(self._library)
        engine = self._library.Runtime(self.messages).deserialize_cuda_engine(self._model.graph)
        if engine is None:
            version = self._library.__version__
            raise FerFastError(
                f"the model {name!r} is for another TensorRT than {version}, or for other cards: {self.messages.last}"
            )
        if not self._is_described(engine):
            raise CheckpointError(f"the model {name!r} is damaged: it is not what its description says")
        return engine

    def output_shape(self, images: tuple[int, ...]) -> tuple[int, ...]:
        """See `Source.output_shape`."""
        return self._model.output_shape(images)

    def _is_described(self, engine: Any) -> bool:
        """Whether names, sizes and the largest batch are the description's: memory is taken by that."""
        names = {engine.get_tensor_name(place) for place in range(engine.num_io_tensors)}
        if names != {INPUT, self.output}:
            return False
        batch, sides = self._model.description.batch_size, self.sides
        most = (batch, sides.most, sides.most, 3)
        shapes = {INPUT: most, self.output: self.output_shape(most)}
        if tuple(engine.get_tensor_profile_shape(INPUT, 0)[2]) != most:
            return False
        # -1 stands for what may vary.
        return all(
            len(found := tuple(engine.get_tensor_shape(name))) == len(shape)
            and all(had in (-1, wanted) for had, wanted in zip(found, shape, strict=True))
            for name, shape in shapes.items()
        )


def engine_graph(checkpoint: Checkpoint | FinderCheckpoint, precision: str, batch_size: int, sides: Sides) -> bytes:
    """The ONNX graph that is compiled: uint8 images to an fp32 output; its types say the precision.

    Raises:
        ValueError: int8 of a checkpoint that it cannot run.
    """
    architecture = architecture_of(checkpoint)
    module = architecture.graph(checkpoint, precision, symmetric=True, rest="fp16")
    return onnx_bytes(module, sides, batch_size, architecture.output)

"""The engine for cards that TensorRT knows: the whole model as one TensorRT engine, kept on disk, in CUDA graphs.

TensorRT's own interface is used, not torch-tensorrt's compiler: the same graph then goes through TensorRT 10, 11 and
TensorRT for RTX, and is built by the last in the tests, without a card. torch-tensorrt's package brings the library.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fer_fast.engines.cache import Place
from fer_fast.engines.interface import DEFAULT_SIDE, Engine
from fer_fast.engines.onnx_graph import INPUT, onnx_bytes
from fer_fast.engines.replay import STREAMS, Model, Replays, as_large_as_fits, failing, opening
from fer_fast.engines.tensorrt_build import build_engine, load_tensorrt, messages_of
from fer_fast.engines.torch import card_precision, tensor_of
from fer_fast.machine.devices import torch_device
from fer_fast.models.dtypes import DTYPES
from fer_fast.models.registry import architecture_of
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.models.architecture import Sides
    from fer_fast.models.checkpoint import Checkpoint, FinderCheckpoint

log = logging.getLogger(__name__)

#: Raise it when the graph that is built changes: old engines are then left alone.
GRAPH_VERSION = 4
PRECISIONS: tuple[str, ...] = (*DTYPES, "int8")


class TensorRtEngine(Engine):
    """TensorRT on one card; see `fer_fast.engines.Engine` for the methods.

    Raises:
        FerFastError: TensorRT is not installed, or does not support the card.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | FinderCheckpoint,
        device: str,
        precision: str,
        batch_size: int,
        cached: bool = True,
        side: int = DEFAULT_SIDE,
    ) -> None:
        super().__init__()
        self.library = load_tensorrt("tensorrt")
        self.device = torch_device("cuda" if device == "auto" else device)
        if self.device == "cpu":
            raise ValueError(f"device must be auto, cuda or cuda:N for engine 'tensorrt', not {device!r}")
        if precision not in ("auto", *PRECISIONS):
            raise ValueError(
                f"precision must be auto, {', '.join(PRECISIONS)} for engine 'tensorrt', not {precision!r}"
            )
        architecture = architecture_of(checkpoint)
        sides = architecture.sides(checkpoint)
        self._facts, self.sides = architecture.graph_facts, sides if sides.fixed else sides.only(side)
        card = torch.device(self.device)
        self.precision = card_precision(card, checkpoint.config) if precision == "auto" else precision
        self.streams = STREAMS
        make = partial(self._captured, checkpoint, cached)
        with opening("TensorRT", self.device), torch.cuda.device(card):
            self._replays, self.most = as_large_as_fits(make, batch_size)

    def _infer(self, images: Pixels) -> npt.NDArray[np.float32]:
        pixels = tensor_of(images)
        with failing("TensorRT", self.device):
            return np.concatenate([self._replays(part) for part in torch.split(pixels, self.most)])

    def describe(self) -> dict[str, str]:
        """See `Engine.describe`."""
        return {
            "engine": "tensorrt",
            "version": str(self.library.__version__),
            "device": self.device,
            "precision": self.precision,
            "streams": str(self.streams),
            **self._facts,
            "graph": f"CUDA graph of {self.most} images",
            "cache": self.cache,
        }

    def _release(self) -> None:
        self.__dict__.pop("_replays", None)

    def _captured(self, checkpoint: Checkpoint | FinderCheckpoint, cached: bool, batch: int) -> Replays:
        """Graphs of an engine for this batch: its contexts take memory for the largest batch that it was built for."""
        engine, self.cache = self._fetch_or_build(checkpoint, batch, cached)
        architecture, images = architecture_of(checkpoint), (batch, *self.sides.example, 3)
        output = architecture.output_shape(checkpoint, images)
        make = partial(self._context, engine, images, architecture.output, output)
        return Replays(make, images, torch.device(self.device))

    def _context(self, engine: Any, images: tuple[int, ...], name: str, shape: tuple[int, ...]) -> Model:
        """A context of its own, which one thread at a time may use."""
        context: Any = engine.create_execution_context()
        if context is None:
            raise torch.OutOfMemoryError("TensorRT could not make a context: out of memory")
        context.set_input_shape(INPUT, images)
        output = torch.empty(shape, device=self.device)
        context.set_tensor_address(name, output.data_ptr())

        def run(pixels: torch.Tensor) -> torch.Tensor:
            context.set_tensor_address(INPUT, pixels.data_ptr())
            if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
                raise FerFastError(f"TensorRT failed on {self.device}")
            return output

        return run

    def _fetch_or_build(
        self, checkpoint: Checkpoint | FinderCheckpoint, batch_size: int, cached: bool
    ) -> tuple[Any, str]:
        """The engine, and what its cache did: hit, stored, or why not."""
        runtime = self.library.Runtime(messages_of(self.library))
        place = Place("tensorrt", self._key(checkpoint, batch_size)) if cached else None
        if place is not None and (blob := place.fetch()) is not None:
            engine = runtime.deserialize_cuda_engine(blob)
            if engine is not None:
                return engine, "hit"
            log.warning("engine %s cannot be used here and is built again", place.file)
        log.info("building the engine for this card in %s; that is done once", self.precision)
        graph = engine_graph(checkpoint, self.precision, batch_size, self.sides)
        blob = build_engine(self.library, graph, batch_size)
        engine = runtime.deserialize_cuda_engine(blob)
        if engine is None:
            raise FerFastError("TensorRT cannot read the engine that it built")
        return engine, "not used" if place is None else place.store(blob)

    def _key(self, checkpoint: Checkpoint | FinderCheckpoint, batch_size: int) -> dict[str, str | int]:
        major, minor = torch.cuda.get_device_capability(torch.device(self.device))
        return {
            "model": checkpoint.digest,
            "graph": GRAPH_VERSION,
            "precision": self.precision,
            "batch_size": batch_size,
            "side": self.sides.step,
            "tensorrt": str(self.library.__version__),
            "card": f"{torch.cuda.get_device_name(torch.device(self.device))} {major}.{minor}",
            "torch": torch.__version__,
        }


def engine_graph(checkpoint: Checkpoint | FinderCheckpoint, precision: str, batch_size: int, sides: Sides) -> bytes:
    """The ONNX graph that is compiled: uint8 images to an fp32 output; its types say the precision.

    Raises:
        ValueError: int8 of a checkpoint that it cannot run.
    """
    architecture = architecture_of(checkpoint)
    module = architecture.graph(checkpoint, precision, symmetric=True, rest="fp16")
    return onnx_bytes(module, sides, batch_size, architecture.output)

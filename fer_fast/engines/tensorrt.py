"""The engine for cards that TensorRT knows: the whole model as an engine a batch size, kept, in CUDA graphs.

TensorRT's own interface is used, not torch-tensorrt's compiler: the same graph then goes through TensorRT 10, 11 and
TensorRT for RTX, and is built by the last in the tests, without a card. torch-tensorrt's package brings the library.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fer_fast.engines.interface import DEFAULT_SIDE, Engine
from fer_fast.engines.replay import STREAMS, Model, Replays, as_large_as_fits, failing, graphs_of, opening, sizes_up_to
from fer_fast.engines.tensorrt_build import load_tensorrt
from fer_fast.engines.tensorrt_sources import BuiltEngines, ExportedEngine, Source
from fer_fast.engines.torch import tensor_of
from fer_fast.machine.devices import torch_device
from fer_fast.models.architecture import INPUT
from fer_fast.models.files.exported import ExportedModel
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint


class TensorRtEngine(Engine):
    """TensorRT on one card; see `fer_fast.engines.Engine` for the methods.

    Raises:
        FerFastError: TensorRT is not installed, or does not support the card.
    """

    def __init__(
        self,
        model: Checkpoint | FinderCheckpoint | ExportedModel,
        device: str,
        precision: str,
        batch_size: int,
        cached: bool = True,
        side: int = DEFAULT_SIDE,
    ) -> None:
        super().__init__()
        self.library = load_tensorrt(model.description.library if isinstance(model, ExportedModel) else "tensorrt")
        self.device = torch_device("cuda" if device == "auto" else device)
        if self.device == "cpu":
            raise ValueError(f"device must be auto, cuda or cuda:N for engine 'tensorrt', not {device!r}")
        source: Source = (
            ExportedEngine(model, self.library, precision)
            if isinstance(model, ExportedModel)
            else BuiltEngines(model, self.library, self.device, precision, side, cached)
        )
        self.precision, self._facts = source.precision, source.facts
        self.sides = source.sides if source.sides.fixed else source.sides.only(side)
        self.streams = STREAMS
        with opening("TensorRT", self.device), torch.cuda.device(torch.device(self.device)):
            self._replays, self.most = as_large_as_fits(partial(self._captured, source), batch_size)

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
            "graph": graphs_of(self.most),
            "cache": self.cache,
        }

    def _release(self) -> None:
        self.__dict__.pop("_replays", None)

    def _captured(self, source: Source, batch: int) -> Replays:
        """Graphs of each size, of an engine for it."""
        found = {size: source.engine(size) for size in sizes_up_to(batch)}
        self.cache = ", ".join(dict.fromkeys(said for _, said in found.values()))

        def model(images: tuple[int, ...]) -> Model:
            engine, _ = found[images[0]]
            return self._context(engine, source.messages, images, source.output, source.output_shape(images))

        return Replays(model, (batch, *self.sides.example, 3), torch.device(self.device))

    def _context(self, engine: Any, messages: Any, images: tuple[int, ...], name: str, shape: tuple[int, ...]) -> Model:
        """A context of its own, which one thread at a time may use."""
        context: Any = engine.create_execution_context(self.library.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:  # for want of memory, or not: its last message says which
            raise RuntimeError(f"TensorRT could not make a context: {messages.last}")
        context.set_input_shape(INPUT, images)
        output = torch.empty(shape, device=self.device)
        context.set_tensor_address(name, output.data_ptr())

        def run(pixels: torch.Tensor) -> torch.Tensor:
            # Of torch's pool, where the graphs of a stream share it; torch gives it to nobody else before this has run.
            memory = torch.empty(engine.device_memory_size_v2, dtype=torch.uint8, device=self.device)
            context.set_device_memory(memory.data_ptr(), memory.numel())
            context.set_tensor_address(INPUT, pixels.data_ptr())
            if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
                raise FerFastError(f"TensorRT failed on {self.device}")
            return output

        return run

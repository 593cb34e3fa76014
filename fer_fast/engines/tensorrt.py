"""The engine for cards that TensorRT knows, kept on disk, in CUDA graphs, in two forms.

`tensorrt` is the whole model as one engine of TensorRT's, `tensorrt-fused` backbone and Vision Transformer as an engine
each with the native fused op between them, all three in one graph.

TensorRT's own interface is used, not torch-tensorrt's compiler: the same graph then goes through TensorRT 10, 11 and
TensorRT for RTX, and is built by the last in the tests, without a card. torch-tensorrt's package brings the library.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_fast.engines.interface import DEFAULT_SIDE, Engine
from fer_fast.engines.replay import STREAMS, Replays, as_large_as_fits, failing, graphs_of, opening, sizes_for
from fer_fast.engines.tensorrt_build import load_tensorrt
from fer_fast.engines.tensorrt_cut import CutEngines
from fer_fast.engines.tensorrt_sources import BuiltEngines, ExportedEngine, Source
from fer_fast.engines.torch import tensor_of
from fer_fast.machine.devices import torch_device
from fer_fast.models.files.exported import ExportedModel

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint


class TensorRtEngine(Engine):
    """TensorRT on one card; see `fer_fast.engines.Engine` for the methods.

    Args:
        model, device, precision, batch_size, cached, side: see `fer_fast.engines.open_engine`.
        form: tensorrt or tensorrt-fused; an exported model has the first alone.
        may_go_on: see `build_engine`.
        largest_alone: see `sizes_for`.

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
        form: str = "tensorrt",
        may_go_on: Callable[[], bool] | None = None,
        largest_alone: bool = False,
    ) -> None:
        super().__init__()
        self.form = form
        self.library = load_tensorrt(model.description.library if isinstance(model, ExportedModel) else "tensorrt")
        self.device = torch_device("cuda" if device == "auto" else device)
        if self.device == "cpu":
            raise ValueError(f"device must be auto, cuda or cuda:N for engine {form!r}, not {device!r}")
        source: Source
        if isinstance(model, ExportedModel):
            source = ExportedEngine(model, self.library, precision)
        else:
            engines = CutEngines if form == "tensorrt-fused" else BuiltEngines
            source = engines(model, self.library, self.device, precision, side, cached, may_go_on)
        self.precision, self._facts = source.precision, source.facts
        self.sides = source.sides if source.sides.fixed else source.sides.only(side)
        self.streams, self._largest_alone = STREAMS, largest_alone
        with opening("TensorRT", self.device), torch.cuda.device(torch.device(self.device)):
            self._replays, self.most = as_large_as_fits(partial(self._captured, source), batch_size)

    def _infer(self, images: Pixels) -> npt.NDArray[np.float32]:
        pixels = tensor_of(images)
        with failing("TensorRT", self.device):
            return np.concatenate([self._replays(part) for part in torch.split(pixels, self.most)])

    def describe(self) -> dict[str, str]:
        """See `Engine.describe`."""
        return {
            "engine": self.form,
            "version": str(self.library.__version__),
            "device": self.device,
            "precision": self.precision,
            "streams": str(self.streams),
            **self._facts,
            "graph": graphs_of(sizes_for(self.most, self._largest_alone)),
            "cache": self.cache,
            **self.chosen,
        }

    def _release(self) -> None:
        self.__dict__.pop("_replays", None)

    def _captured(self, source: Source, batch: int) -> Replays:
        """Graphs of each size, of engines for it; the largest engine comes first, see `BuiltEngines`."""
        images, device = (batch, *self.sides.example, 3), torch.device(self.device)
        sizes = sizes_for(batch, self._largest_alone)
        found = {size: source.models((size, *images[1:]), device) for size in reversed(sizes)}
        self.cache = ", ".join(dict.fromkeys(said for _, said in found.values()))
        return Replays(lambda shape: found[shape[0]][0](), images, device, sizes)

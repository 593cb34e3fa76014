"""The reference engine: PyTorch with the native fused op, on any device that torch has; on a card as a CUDA graph."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_fast.engines.interface import DEFAULT_SIDE, Engine, keeps_accuracy
from fer_fast.engines.replay import STREAMS, Replays, as_large_as_fits, failing, graphs_of, opening, sizes_for
from fer_fast.machine.devices import torch_device
from fer_fast.machine.processors import quota_threads
from fer_fast.models.card import fit_to_card
from fer_fast.models.registry import architecture_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.models.config import ClassifierConfig
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint
    from fer_fast.models.finder.config import FinderConfig

log = logging.getLogger(__name__)


class TorchEngine(Engine):
    """PyTorch without a compiler, which refuses cards before Volta; see `fer_fast.engines.Engine` for the methods.

    Args:
        checkpoint, device, precision, batch_size, side: see `fer_fast.engines.open_engine`.
        largest_alone: see `sizes_for`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | FinderCheckpoint,
        device: str,
        precision: str,
        batch_size: int = 32,
        side: int = DEFAULT_SIDE,
        largest_alone: bool = False,
    ) -> None:
        super().__init__()
        self.device = torch_device(device)
        architecture = architecture_of(checkpoint)
        self._facts, self.sides = architecture.eager_facts, architecture.sides(checkpoint)
        card = torch.device(self.device)
        self.precision = _precision(precision, card, checkpoint.config)
        self.most, self._largest_alone = batch_size, largest_alone
        self._replays: Replays | None = None
        # torch spreads one batch over all cores; on a card another one is copied meanwhile.
        self.streams = 1 if self.device == "cpu" else STREAMS
        if self.device == "cpu":
            _obey_quota()
            self.model = architecture.eager(checkpoint, self.precision)
            return
        self.sides = self.sides if self.sides.fixed else self.sides.only(side)
        with opening("torch", self.device), self._flags():
            self.model = architecture.eager(checkpoint, self.precision).to(card)
            major, _ = torch.cuda.get_device_capability(card)
            self._facts = self._facts | fit_to_card(self.model, self.precision, major)
            self._replays, self.most = as_large_as_fits(self._captured, batch_size)

    @torch.inference_mode()
    def _infer(self, images: Pixels) -> npt.NDArray[np.float32]:
        pixels = tensor_of(images)
        with failing("torch", self.device):
            if self._replays is None:
                return self.model(pixels).float().numpy()  # type: ignore[no-any-return]
            return np.concatenate([self._replays(part) for part in torch.split(pixels, self.most)])

    def _captured(self, batch: int) -> Replays:
        """Graphs of each size, of one model."""
        images, sizes = (batch, *self.sides.example, 3), sizes_for(batch, self._largest_alone)
        return Replays(lambda _: self.model, images, torch.device(self.device), sizes)

    def _flags(self) -> AbstractContextManager[None]:
        """Of cuDNN, which decide what is captured: sizes are fixed, so it times its ways and takes the fastest.

        torch lets it round the inputs of fp32 convolutions to ten bits by default; fp32 means fp32 here.
        """
        rounds = self.precision != "fp32"
        return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=rounds)  # type: ignore[no-any-return,no-untyped-call]

    def describe(self) -> dict[str, str]:
        """See `Engine.describe`."""
        return {
            "engine": "torch",
            "version": torch.__version__,
            "device": self.device,
            "precision": self.precision,
            "streams": str(self.streams),
            **self._facts,
            **({"threads": str(torch.get_num_threads())} if self.device == "cpu" else {}),
            **({} if self._replays is None else {"graph": graphs_of(sizes_for(self.most, self._largest_alone))}),
            **self.chosen,
        }

    def _release(self) -> None:
        self._replays = None
        self.__dict__.pop("model", None)


def _obey_quota() -> None:
    """Lets torch use no more threads than a container's quota has time for; they are the process's, not the engine's.

    Whoever says a number by OMP_NUM_THREADS gets it.
    """
    threads = quota_threads()
    if threads is not None and threads < torch.get_num_threads() and "OMP_NUM_THREADS" not in os.environ:
        log.info("torch computes on %d threads, as the container's quota allows", threads)
        torch.set_num_threads(threads)


def tensor_of(images: Pixels) -> torch.Tensor:
    """The images as torch takes them, where they lie."""
    if isinstance(images, torch.Tensor):
        return images
    # torch warns about read-only memory.
    return torch.from_numpy(images if images.flags.writeable else images.copy())


def _precision(precision: str, device: torch.device, config: ClassifierConfig | FinderConfig) -> str:
    if precision == "int8":
        raise ValueError("precision must be auto, fp32, bf16 or fp16 for engine 'torch', not 'int8'")
    if device.type == "cpu":
        if precision == "fp16":
            raise ValueError("precision must be auto, fp32 or bf16 for engine 'torch' on a CPU, not 'fp16'")
        return "fp32" if precision == "auto" else precision
    return card_precision(device, config) if precision == "auto" else precision


def card_precision(device: torch.device, config: ClassifierConfig | FinderConfig) -> str:
    """The fastest precision of a card that keeps the model's accuracy."""
    major, _ = torch.cuda.get_device_capability(device)
    # Ampere and later compute bf16 at fp16's rate; Pascal computes fp16 at 1/64 of fp32's.
    fastest = "bf16" if major >= 8 else "fp16" if major == 7 else "fp32"
    return fastest if keeps_accuracy(config, fastest) else "fp32"

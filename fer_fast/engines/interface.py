"""What every engine can do, and what callers may ask for by name."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from fer_fast.engines.opened import Opened
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.models.architecture import Sides
    from fer_fast.models.config import ClassifierConfig
    from fer_fast.models.finder.config import FinderConfig

#: The engines by name. "auto" is OpenVINO on a CPU; on a card the fastest of `FORMS`, measured there.
ENGINES: tuple[str, ...] = ("auto", "openvino", "torch", "tensorrt", "tensorrt-fused")
#: Those for a card, in the order in which they are tried: what opens soonest first.
FORMS: tuple[str, ...] = ("torch", "tensorrt-fused", "tensorrt")
DEVICES: tuple[str, ...] = ("auto", "cpu", "cuda", "cuda:N")
PRECISIONS: tuple[str, ...] = ("auto", "fp32", "bf16", "fp16", "int8")
#: What a precision may cost, of an accuracy or an average precision of 0 to 1: "auto" takes none that costs more.
LARGEST_FALL = 0.003
#: The longest side that images will have, of a model that takes many sizes, unless told.
DEFAULT_SIDE = 640


class OutOfTimeError(FerFastError):
    """A build was ended: it took longer than whoever asked for it wanted to wait."""


class Engine(Opened):
    """One model compiled for one machine; a kind of engine adds `_infer`, `_release` and `describe`.

    Attributes:
        streams: how many `infer` calls at once keep the machine busy.
        device: where it computes: cpu or cuda:N; several are joined by commas.
        sides: what images may be: the model's own, or where it is compiled for a single shape that one.
        chosen: of one that "auto" chose by measuring, what `describe` says of that.
    """

    kind = "engine"
    chosen: Mapping[str, str] = MappingProxyType({})
    streams: int
    device: str
    sides: Sides

    def infer(self, images: Pixels) -> npt.NDArray[np.float32]:
        """Runs one batch; safe to call from many threads at once.

        Args:
            images: uint8 [batch, height, width, 3], RGB, contiguous, of the engine's `sides`; batch from 1 to the
                engine's batch size. An array, or a tensor that lies where the engine computes.

        Returns:
            Logits, of an exported model probabilities, float32 [batch, classes], or of a face finder float32
            [batch, cells, 15]; the caller's own.

        Raises:
            FerFastError: if the device fails, the engine is closed, or it was opened before this process was forked.
        """
        with self._call():
            return self._infer(images)

    @abstractmethod
    def _infer(self, images: Pixels) -> npt.NDArray[np.float32]:
        """`infer` itself, of an engine that is open."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """What runs and why: engine, version, device, precision, streams, tokens; on a processor threads; cache;
        why "auto" chose it, where it measured."""


def keeps_accuracy(config: ClassifierConfig | FinderConfig, precision: str) -> bool:
    """Whether a precision costs no more than `LARGEST_FALL`, as far as the model was measured in it."""
    return config.precision_falls.get(precision, 0.0) <= LARGEST_FALL


def check_device(device: str) -> None:
    """Raises a ValueError that names the known devices; whether this one is there is for the engine to find."""
    cards = device.split(",")
    known = r"cuda:(0|[1-9][0-9]?)" if len(cards) > 1 else r"auto|cpu|cuda(:(0|[1-9][0-9]?))?"
    if not all(re.fullmatch(known, card) for card in cards) or len(set(cards)) < len(cards):
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, or cards as cuda:0,cuda:1, not {device!r}")


def check_choice(argument: str, value: str, known: tuple[str, ...]) -> None:
    """Raises a ValueError that names the argument and the known values."""
    if value not in known:
        raise ValueError(f"{argument} must be one of {', '.join(known)}, not {value!r}")

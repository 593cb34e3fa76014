"""Engines on several cards come in, one engine that keeps all of them busy goes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_fast.engines.interface import Engine
from fer_fast.engines.pool import Pool

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fer_fast.decode import Pixels


class SeveralEngines(Engine):
    """One model on several cards; see `fer_fast.engines.Engine` for the methods.

    A tensor is classified where it lies, an array on whichever card has a stream free.

    Args:
        engines: the same model in the same precision, each on a card of its own.

    Raises:
        ValueError: their precisions differ.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        super().__init__()
        chosen = {engine.device: engine.describe()["precision"] for engine in engines}
        if len(set(chosen.values())) > 1:
            said = ", ".join(f"{precision} on {device}" for device, precision in chosen.items())
            raise ValueError(f"precision must be given where cards differ: auto is {said}")
        self.engines = list(engines)
        self.device, self.sides = ",".join(chosen), engines[0].sides
        self.streams = sum(engine.streams for engine in engines)
        self._free: Pool[Engine] = Pool()
        for place in range(max(engine.streams for engine in engines)):
            for engine in engines:
                if place < engine.streams:
                    self._free.put(engine)

    def _infer(self, images: Pixels) -> npt.NDArray[np.float32]:
        lies = str(getattr(images, "device", "cpu"))
        for each in self.engines:
            if each.device == lies:
                return each.infer(images)
        engine: Engine | None = None  # a Ctrl-C may come before it is taken
        try:
            engine = self._free.get()
            return engine.infer(images)
        finally:
            if engine is not None:
                self._free.put(engine)

    def describe(self) -> dict[str, str]:
        """See `Engine.describe`; what differs is joined."""
        said = [engine.describe() for engine in self.engines]
        merged = {name: ", ".join(dict.fromkeys(each.get(name, "") for each in said)) for name in said[0]}
        return merged | {"device": self.device, "streams": str(self.streams)}

    def _release(self) -> None:
        for engine in self.engines:
            engine.close()

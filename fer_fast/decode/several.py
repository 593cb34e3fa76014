"""Decoders for several cards come in, one decoder that they take turns in goes out."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import cycle
from typing import TYPE_CHECKING

from fer_fast.decode.interface import Decoded, Decoder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class SeveralDecoders(Decoder):
    """Each batch goes to the next decoder, and its pixels lie on that decoder's card.

    Args:
        decoders: of one kind.
    """

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self.name = decoders[0].name
        self.image_size = decoders[0].image_size
        self.limits = decoders[0].limits
        self.workers = sum(decoder.workers for decoder in decoders)
        self.decoders = list(decoders)
        self._turn = cycle(self.decoders)
        self._owner = os.getpid()
        self._lock = threading.Lock()

    @property
    def files_done(self) -> int:  # type: ignore[override]
        """See `Decoder`."""
        return sum(decoder.files_done for decoder in self.decoders)

    def submit(self, paths: Sequence[str]) -> Future[Decoded]:
        """See `Decoder.submit`."""
        if os.getpid() != self._owner:  # a thread that is not here may have held the lock; each decoder refuses
            return self.decoders[0].submit(paths)
        with self._lock:
            decoder = next(self._turn)
        return decoder.submit(paths)

    def decode_content(self, encoded: bytes) -> npt.NDArray[np.uint8]:
        """See `Decoder.decode_content`."""
        return self.decoders[0].decode_content(encoded)

    def close(self) -> None:
        """See `Decoder.close`."""
        for decoder in self.decoders:
            decoder.close()

"""What every decoder backend is: a batch of paths comes in, a future of pixels and failures goes out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fer_fast.decode.limits import Limits
from fer_fast.types import Column, DecodeError, Stamp

if TYPE_CHECKING:
    from typing import Any, Self, TypeAlias

    import numpy as np
    import numpy.typing as npt
    import torch

    #: uint8 [batch, S, S, 3], RGB: an array in memory, or a tensor on a GPU.
    Pixels: TypeAlias = npt.NDArray[np.uint8] | torch.Tensor


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a batch of paths.

    A file gives any number of pictures: its position is in `indices` as often. A file with a failure gives none.

    Attributes:
        pixels: uint8 [len(indices), S, S, 3], RGB; C-contiguous; complete, if it is a tensor on a GPU.
        indices: the position in the batch of each picture of `pixels`, ascending.
        failures: position and reason of the files that gave no pixels, ascending, each once.
        seconds: time spent, summed over the workers.
        stamps: of each path the file that was read; None where none was, for example because it could not be opened.
        cells: of each picture what it has for the decoder's `columns`; empty if there are none.
        finding: seconds that finding faces took besides, likewise.
    """

    pixels: Pixels
    indices: list[int]
    failures: list[tuple[int, DecodeError]]
    seconds: float
    stamps: list[Stamp | None]
    cells: list[tuple[Any, ...]] = field(default_factory=list)
    finding: float = 0.0

    def on_host(self) -> npt.NDArray[np.uint8]:
        """The pixels in memory."""
        import numpy as np  # 0.1 s, and this module is loaded for its names, too

        return self.pixels if isinstance(self.pixels, np.ndarray) else self.pixels.cpu().numpy()


def plain(paths: Sequence[str]) -> list[str]:
    """Paths as str itself: a subclass's, numpy's for one, is packed or compared as it likes."""
    return [str.__str__(os.fspath(path)) for path in paths]


class Decoder(ABC):
    """Decodes batches ahead of the model. Safe to use from several threads.

    Whatever the aspect ratio, an image is squashed to S x S by an antialiased bilinear resize (faces come as
    nearly square crops); its EXIF orientation is obeyed; alpha is dropped, as by the loaders that models are
    trained with (Pillow's convert, OpenCV, torchvision, DALI); of an animation the first frame counts.

    Attributes:
        name: the backend, as `open_decoder` knows it.
        image_size: S.
        workers: how many files are decoded at once.
        limits: what decoding may cost.
        files_done: how many have been looked at so far, about; a sign of life.
        several: whether a file may give no picture, or more than one.
        columns: those that it adds to a table; see `Decoded.cells`.
        why: "auto" took it; empty where it was named, or where there is no choice.
        files_at_once: how many make a batch that suits it; None is as many as the model's batch has images.
    """

    name: str
    image_size: int
    workers: int
    limits: Limits
    files_done: int = 0
    several: bool = False
    columns: tuple[Column, ...] = ()
    why: str = ""
    files_at_once: int | None = None

    @property
    def runs_on(self) -> str:
        """What the workers are at the moment, for people: 2 threads, or 2 processes."""
        return f"{self.workers} threads" if self.workers > 1 else "1 thread"

    @abstractmethod
    def submit(self, paths: Sequence[str]) -> Future[Decoded]:
        """Begins to decode a batch; batches begin in the order in which they are submitted.

        A file that gives no pixels is a failure in the result; the future raises only if the backend fails.

        Raises:
            FerFastError: the decoder is closed, or this is a process forked from the one that opened it.
        """

    def decode_content(self, encoded: bytes) -> npt.NDArray[np.uint8]:
        """Decodes an image file that is in memory, and waits for it.

        Args:
            encoded: the file's bytes.

        Returns:
            uint8 [S, S, 3], in memory.

        Raises:
            DecodeError: it gives no pixels.
            FerFastError: as `submit`.
        """
        from fer_fast.decode.images import pixels_of  # Pillow: only for those who decode

        return pixels_of(encoded, self.image_size, self.limits.max_pixels)

    def release(self, pictures: int) -> None:  # noqa: B027 (most decoders do not count)
        """Tells that so many of its pictures are needed no more; a run does, so that they are never too many."""

    @abstractmethod
    def close(self) -> None:
        """Drops what is not done, without waiting: its futures raise FerFastError. A second call does nothing.

        Not from a signal's handler: what that interrupts may hold a lock that is needed here.
        """

    def decode(self, paths: Sequence[str]) -> Decoded:
        """Decodes a batch and waits for it."""
        return self.submit(paths).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

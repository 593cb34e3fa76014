"""What a library of NVIDIA's is to a decoder: encoded images come in, pixels of those that it decodes go out."""

from __future__ import annotations

import io
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from fer_fast.types import FerFastError

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy.typing as npt

    from fer_fast.decode.interface import Pixels

    #: uint8 [images, S, S, 3], numpy's on the CPU and torch's on a card, and the place of each image in its batch.
    Part: TypeAlias = tuple[Pixels, list[int]]

_log = logging.getLogger(__name__)

#: How an image is turned that has this EXIF orientation: whether rows become columns, then what is reversed.
_TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


class Encoded(NamedTuple):
    """A file's bytes, and how its picture is to be turned, 1 to 8 as EXIF counts."""

    content: npt.NDArray[np.uint8]
    orientation: int = 1


class Found(NamedTuple):
    """What a library makes of a batch.

    Attributes:
        parts: no place twice; those that are missing it refuses.
        reason: why it refuses the last of them, if it says so.
    """

    parts: list[Part]
    reason: str = ""


class Library(ABC):
    """Decodes and squashes batches; of one thread.

    Args:
        side: S, the side in pixels of what comes out.
        card: the number of a card; None decodes on the CPU.
        threads: that decode where the CPU does.

    Attributes:
        title: for people.
    """

    title: str

    def __init__(self, side: int, card: int | None, threads: int) -> None:
        self.side, self.card, self.threads = side, card, threads

    @abstractmethod
    def run(self, encoded: Sequence[Encoded], batch: int) -> Part:
        """Decodes images, squashes and turns them; complete, whatever stream of a card they are used on.

        Args:
            encoded: one or more.
            batch: files of the batch that they are of: what is built once is built for so many.

        Raises:
            Exception: of the library's own kinds; then there are pixels of none.
        """

    def decode(self, encoded: Sequence[Encoded], batch: int) -> Found:
        """As `run`; where that raises the images are decoded one by one."""
        try:
            return Found([self.run(encoded, batch)])
        except Exception as error:
            _log.info("%s failed on %d images, decoded one by one now: %s", self.title, len(encoded), reason_of(error))
        parts, reason = [], ""
        for place, each in enumerate(encoded):
            try:
                pixels, found = self.run([each], batch)
                parts.append((pixels, [place] * len(found)))
            except Exception as error:
                reason = reason_of(error)
        return Found(parts, reason)


def check_library(library: type[Library], side: int, card: int | None, device: str) -> None:
    """Decodes one small JPEG: alone, before threads do, and so that what is missing is told at once.

    Raises:
        FerFastError: it does not.
    """
    content = io.BytesIO()
    Image.new("RGB", (16, 16)).save(content, "JPEG")
    try:
        _, places = library(side, card, 1).run([Encoded(np.frombuffer(content.getvalue(), np.uint8))], 1)
    except Exception as error:  # of its own kinds
        raise FerFastError(f"{library.title} does not decode on {device}: {reason_of(error)}") from error
    if not places:
        raise FerFastError(f"{library.title} does not decode on {device}: it refuses a JPEG and says no reason")


def turned(pixels: Any, orientations: Sequence[int]) -> Any:
    """The images of a `Part`, each turned by its orientation: in place, where pixels can be written."""
    is_array = isinstance(pixels, np.ndarray)
    if is_array and not pixels.flags.writeable and any(each != 1 for each in orientations):
        pixels = pixels.copy()
    for place, orientation in enumerate(orientations):
        if orientation != 1:
            swaps, axes = _TURNS[orientation]
            image = pixels[place].swapaxes(0, 1) if swaps else pixels[place]
            pixels[place] = np.flip(image.copy(), axes) if is_array else image.flip(axes)  # a copy, too
    return pixels


def reason_of(error: Exception) -> str:
    """DALI's traceback of the pipeline's definition is left out."""
    return " ".join(str(error).split()).rpartition("encountered: ")[2][:200]

"""A decoded picture of a film comes in; it goes out upright and in RGB, as large as it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fer_fast.decode.views import reduced_size
from fer_fast.films.colour import source_colour
from fer_fast.films.region import EFFORT, has_regions, region_of

if TYPE_CHECKING:
    import av
    import numpy as np
    import numpy.typing as npt

    from fer_fast.decode.pixels import Box, Size
    from fer_fast.films.upright import Upright

    Pixels = npt.NDArray[np.uint8]


@dataclass(eq=False)
class Frame:
    """One picture of a film; of one thread at a time.

    Attributes:
        number: how many frames the film shows before this one, counted by the time stamps of all that is read before,
            whether or not it is decoded: frames that are skipped or cannot be decoded leave gaps. What damage took out
            of the container, so that nothing of it is read, is not counted; times stay right.
        time: when it is shown, seconds from the film's beginning, to the millisecond.
        key: whether it was coded without any other frame.
    """

    number: int
    time: float
    key: bool
    _picture: av.VideoFrame = field(repr=False)
    _upright: Upright = field(repr=False)

    def reduced(self, longest: int) -> Pixels:
        """Of the upright frame, which is never enlarged, its longer side at most so long.

        Args:
            longest: in pixels, 1 or more.

        Returns:
            uint8 RGB [height, width, 3].

        Raises:
            ValueError: of a length below 1.
            DecodeError: `UNSUPPORTED`, its pixels are of a kind that cannot be made RGB.
        """
        if longest < 1:
            raise ValueError(f"longest must be at least 1, not {longest}")
        size = reduced_size(self._upright.size, longest)
        return self.rgb() if size == self._upright.size else self._made(size)

    def rgb(self) -> Pixels:
        """All of it: uint8 RGB [height, width, 3], of the film's `size`; made once.

        Raises:
            DecodeError: as `reduced`.
        """
        return self._rgb

    def regions(self, boxes: Sequence[Box]) -> Iterator[Pixels]:
        """What `rgb` has in each of some boxes; of a large frame not much more is made RGB.

        Args:
            boxes: left, top, right and bottom of each in pixels, within the frame.

        Returns:
            uint8 RGB [height, width, 3] of each, in their order.

        Raises:
            DecodeError: as `reduced`.
        """
        return map(self._region if self._has_small(boxes) else self._slice, boxes)

    @cached_property
    def _rgb(self) -> Pixels:
        return self._made(self._upright.size)

    def _has_small(self, boxes: Sequence[Box]) -> bool:
        size = self._picture.width, self._picture.height
        effort = sum(EFFORT + (right - left) * (bottom - top) for left, top, right, bottom in boxes)
        is_less = "_rgb" not in self.__dict__ and effort < size[0] * size[1]
        return is_less and size == self._upright.stored(self._upright.size) and has_regions(self._picture)

    def _region(self, box: Box) -> Pixels:
        picture, (left, top, right, bottom) = region_of(self._picture, self._upright.stored_box(box))
        pixels = source_colour(self._picture).rgb(picture, (picture.width, picture.height))
        return self._upright.turned(pixels[top:bottom, left:right])

    def _slice(self, box: Box) -> Pixels:
        left, top, right, bottom = box
        return self.rgb()[top:bottom, left:right]

    def _made(self, size: Size) -> Pixels:
        made = source_colour(self._picture).rgb(self._picture, self._upright.stored(size))
        return self._upright.turned(made)

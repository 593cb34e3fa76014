"""A decoded picture and a box come in; the region around it goes out, in the picture's own numbers, without a copy.

Made RGB, what is in the box has the colours that it has in the whole picture, to the bit: where one number of colour is
of several pixels, it is spread over them as it is there. That holds of planes whose sides are filled by whole numbers.
"""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import av

    from fer_fast.decode.pixels import Box

#: Pixels along a side that share a number of colour, at most.
_SHARED = 4
#: Pixels between a box and its region's edge: what is beyond the edge reaches less far.
_MARGIN = 2 * _SHARED
#: Pixels that become RGB in the time in which a region is taken.
EFFORT = 1 << 15


class Region(NamedTuple):
    """A box of a picture, and some pixels around it.

    Attributes:
        picture: nothing else.
        inside: where in it the box is.
    """

    picture: av.VideoFrame
    inside: Box


def has_regions(picture: av.VideoFrame) -> bool:
    """Whether a picture's regions have the colours of the whole."""
    name = picture.format.name
    is_known = name.startswith("yuv") and not name.startswith("yuv410")  # where rows share by fours, they do not
    return is_known and not (picture.width % _SHARED or picture.height % _SHARED)


def region_of(picture: av.VideoFrame, box: Box) -> Region:
    """The region around a box.

    Args:
        picture: see `has_regions`.
        box: left, top, right and bottom in its pixels, within it.
    """
    left, top = (max(0, (edge - _MARGIN) // _SHARED * _SHARED) for edge in box[:2])
    right, bottom = (-(-(edge + _MARGIN) // _SHARED) * _SHARED for edge in box[2:])
    size = min(right, picture.width) - left, min(bottom, picture.height) - top
    return Region(_kept.cut(picture, (left, top), size), (box[0] - left, box[1] - top, box[2] - left, box[3] - top))


class _Cutter(threading.local):
    """FFmpeg's crop, kept for the next region of a like picture: to make it takes longer than what it does."""

    def __init__(self) -> None:
        self._of: tuple[int, int, str] | None = None

    def cut(self, picture: av.VideoFrame, corner: tuple[int, int], size: tuple[int, int]) -> av.VideoFrame:
        """So many pixels from a corner on."""
        of = picture.width, picture.height, picture.format.name
        if self._of != of:
            self._make(picture)
        self._of = None  # until the region is out of it: a Ctrl-C may come between
        for name, value in zip(("w", "h", "x", "y"), (*size, *corner), strict=True):
            self._crop.process_command(name, str(value))
        self._graph.vpush(picture)
        region = self._graph.vpull()
        self._of = of
        return region

    def _make(self, picture: av.VideoFrame) -> None:
        from av.filter import Graph

        graph = Graph()
        graph.threads = 1
        width, height, unit = picture.width, picture.height, Fraction(1, 1000)  # of times, by which nothing goes here
        source = graph.add_buffer(width=width, height=height, format=picture.format, time_base=unit)
        self._graph, self._crop = graph, graph.add("crop")
        graph.link_nodes(source, self._crop, graph.add("buffersink")).configure()


_kept = _Cutter()

"""Coded pixels come in, whether a part of them was never written goes out.

An interrupted copy often has its file's full length, with zeros where bytes are missing. Formats without checksums do
not show it: zeros, too, decode to something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

NOT_WRITTEN = "zeros where the picture should be: a part of the file was never written"

#: So many zeros in a row are looked into in a WebP. A shorter hole is not seen; one up to some 60 bytes may not be.
_SUSPICIOUS = bytes(16)
#: Bytes at the end of a part that a decoder may do without: 3 are the most in files of libwebp, and 1 if lossless.
_SPARE = 8
#: Zeros at the end that are the last codes', not padding behind them.
_CODES = bytes(4)

#: Zeros in a row that a picture may hold. HEVC has two at most, and three in the length before a unit of it; what
#: AV1 has is measured: 110 around a few dots on a flat picture by rav1e, 91 by libaom, 37 by SVT-AV1.
_MOST_ZEROS = {b"av01": 400, b"hvc1": 7, b"hev1": 7}
#: Zeros at the end of a picture that are too many: both codecs close it by a bit that is set.
_AT_THE_END = 4
#: Bytes that are searched at once.
_PIECE = 1 << 20


def frame_written(coded: bytes, is_lossy: bool, decodes: Callable[[bytes], bool]) -> bytes | None:
    """WebP's coded frame without padding, as its encoder wrote it; None if a part of that is not there.

    Long runs of zeros are nothing unusual in such frames: white after noise gives thousands. But an encoder writes what
    a decoder needs, with no more than `_SPARE` bytes to spare, and behind a hole a decoder reads something else:
    either it lacks bytes at the end, or it leaves some over. What cannot be seen so is a hole in noise without any
    shades, whose codes are all of one length: zeros are as many colours as were lost.

    Args:
        coded: the body of a chunk VP8 or VP8L.
        is_lossy: it is VP8's. That comes in parts: modes first, then coefficients.
        decodes: whether libwebp takes such a body.
    """
    hole = coded.find(_SUSPICIOUS)
    if hole < 0:
        return coded
    unpadded = coded.rstrip(b"\0") + _CODES
    if coded.endswith(_SUSPICIOUS) and decodes(unpadded):
        coded = unpadded
    if decodes(coded[:-_SPARE]):
        return None
    return None if is_lossy and hole < _modes_end(coded) and decodes(_with_fewer_modes(coded)) else coded


def _modes_end(coded: bytes) -> int:
    return 10 + (int.from_bytes(coded[:3], "little") >> 5)


def _with_fewer_modes(coded: bytes) -> bytes:
    tag, end = int.from_bytes(coded[:3], "little"), _modes_end(coded)
    fewer = max(tag - (_SPARE << 5), tag & 31)
    return fewer.to_bytes(3, "little") + coded[3 : max(10, end - _SPARE)] + coded[end:]


def has_hole(content: BinaryIO, codec: bytes, pieces: list[tuple[int, int]]) -> bool:
    """Whether a coded picture holds more zeros than its codec writes, in a row or at its end.

    Args:
        content: the file; its position is moved.
        codec: as a box of the file names it. Of others than AV1 and HEVC nothing is known here.
        pieces: of the picture, as `items.Coded` has them.
    """
    zeros = _MOST_ZEROS.get(codec)
    if zeros is None or not pieces:
        return False
    hole = bytes(1 + zeros)
    for start, end in pieces:
        for place in range(start, end, _PIECE):
            content.seek(place)
            if hole in content.read(min(_PIECE + zeros, end - place)):
                return True
    start, end = pieces[-1]
    content.seek(max(start, end - _AT_THE_END))
    return not any(content.read(_AT_THE_END))

"""Coded pixels come in, whether a part of them was never written goes out.

An interrupted copy often has its file's full length, with zeros where bytes are missing. Formats without checksums do
not show it: zeros, too, decode to something.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

NOT_WRITTEN = "zeros where the picture should be: a part of the file was never written"

#: So many zeros in a row are looked into. A shorter hole is not seen.
_SUSPICIOUS = bytes(16)
#: Bytes at the end of a part that a decoder may do without: 3 are the most in files of libwebp, and 1 if lossless.
_SPARE = 8

#: Zeros in a row that a picture may hold. HEVC has two at most, and three in the length before a unit of it; what
#: AV1 has is measured: 110 around a few dots on a flat picture by rav1e, 68 by libaom.
_MOST_ZEROS = {b"av01": 400, b"hvc1": 7, b"hev1": 7}
#: Zeros at the end of a picture that are too many: both codecs close it by a bit that is set.
_AT_THE_END = 4
#: Bytes that are searched at once.
_PIECE = 1 << 20


def shortened(coded: bytes, is_lossy: bool) -> Iterator[bytes]:
    """WebP's coded frame with the end of a part left out; if it still decodes, it is not what an encoder wrote.

    Long runs of zeros are nothing unusual in such frames: white after noise gives thousands. But an encoder writes what
    a decoder needs, with no more than `_SPARE` bytes to spare, and behind a hole a decoder reads something else:
    either it lacks bytes at the end, or it leaves some over.

    Args:
        coded: the body of a chunk VP8 or VP8L.
        is_lossy: it is VP8's. That comes in parts: modes first, then coefficients.

    Yields:
        None if there are no suspicious zeros.
    """
    hole = coded.find(_SUSPICIOUS)
    if hole < 0:
        return
    yield coded[:-_SPARE]
    if is_lossy:
        tag = int.from_bytes(coded[:3], "little")
        end = 10 + (tag >> 5)
        if hole < end and tag >> 5 > _SPARE:
            yield (tag - (_SPARE << 5)).to_bytes(3, "little") + coded[3 : end - _SPARE] + coded[end:]


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

"""What a file says of itself, EXIF or XMP, comes in; how its picture is to be turned goes out.

The rule is that of Pillow's `ImageOps.exif_transpose`, so that both show a picture alike: the first directory's first
tag of orientation counts, whatever number it is of (SHORT, LONG, a float; a BYTE or a text is no number to Pillow), the
first where it has several. A directory that is cut short counts as far as it goes, XMP where EXIF has no such tag.
Where Pillow raises, because a block is damaged from its beginning, that block says nothing here. Pillow's own reader
parses every tag and warns about damaged ones, which cost no face.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_PREFIX = b"Exif\0\0"
_ORIENTATION = 0x0112

#: How a block begins, and its byte order: TIFF's ways, and those that Pillow takes for them.
_ORDERS = {b"II*\0": "<", b"II\0*": "<", b"MM\0*": ">", b"MM*\0": ">", b"MM\0+": ">"}
#: Bytes of one value of each type of a tag.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
#: Of those that are numbers, how it is unpacked: fractions as two.
_NUMBERS = {3: "H", 4: "L", 5: "LL", 6: "b", 8: "h", 9: "l", 10: "ll", 11: "f", 12: "d", 13: "L", 16: "Q"}

_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')

#: Of Pillow's plugins those that turn the pixels themselves, and leave what they went by.
_TURNED = ("TIFF", "HEIF")


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """The orientation, 1 to 8; 1 if neither has one, or a wrong one.

    Args:
        exif: an APP1 or eXIf block, with or without its `Exif` in front.
        xmp: counts where EXIF has no tag of orientation.
    """
    value = _tagged(exif)
    if value is None:
        found = _XMP.search(xmp)
        value = int(found[1]) if found else 1
    return int(value) if value in range(1, 9) else 1


def orientation_left(image: Image) -> int:
    """How an image that Pillow has opened is still to be turned."""
    info = image.info
    if not info or image.format in _TURNED:
        return 1
    exif = info.get("exif")
    if exif is None:
        exif = profile_in(_bytes(info.get("Raw profile type exif")))
    return orientation_of(_bytes(exif), _bytes(info.get("XML:com.adobe.xmp") or info.get("xmp")))


def profile_in(text: bytes) -> bytes:
    """The block in a "raw profile" of ImageMagick's: after its name and its length, a line each, in hexadecimal."""
    try:
        return bytes.fromhex(b"".join(text.strip().split(b"\n")[2:]).decode("latin-1"))
    except ValueError:
        return b""


def _bytes(found: object) -> bytes:
    if isinstance(found, str):
        return found.encode("latin-1", "replace")
    return found if isinstance(found, bytes) else b""


def _tagged(exif: bytes) -> float | None:
    """The value of the tag of orientation, 0 if it is no number; None without the tag."""
    tiff = exif.removeprefix(_PREFIX).removeprefix(_PREFIX)
    order = _ORDERS.get(tiff[:4])
    if order is None:
        return None
    seen: set[int] = set()
    elsewhere = 0
    try:
        (directory,) = struct.unpack_from(order + "L", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for place in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count, offset = struct.unpack_from(order + "HHLL", tiff, place)
            size = count * _SIZES.get(kind, 0)
            if tag in seen or not size:
                continue
            at = place + 8
            if size > 4:
                at = offset
                elsewhere += size
                if elsewhere > len(tiff):  # Pillow does without a tag like that
                    continue
                if at + size > len(tiff):  # and here it stops
                    return None
            if tag == _ORIENTATION:
                return _number(order, kind, tiff, at)
            seen.add(tag)
    except struct.error:
        pass
    return None


def _number(order: str, kind: int, tiff: bytes, place: int) -> float:
    if kind not in _NUMBERS:
        return 0
    number, *divisor = struct.unpack_from(order + _NUMBERS[kind], tiff, place)
    if divisor:
        return number / divisor[0] if divisor[0] else 0
    return float(number)

"""An EXIF block comes in, how its picture is to be turned goes out.

Pillow's own reader parses every tag and warns about damaged ones, which cost no face.
"""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT = 3


def orientation_of(exif: bytes) -> int:
    """The EXIF orientation, 1 to 8, of an APP1 or eXIf block; 1 if it has none or is damaged."""
    tiff = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "L", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHLH", tiff, entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1

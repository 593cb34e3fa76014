"""A TIFF's directory comes in; whether its strips or tiles are where it says, and were written, is checked."""

from __future__ import annotations

from collections.abc import Callable

from fer_fast.decode.formats.jpeg_holes import check_holes
from fer_fast.decode.formats.strip_holes import deflate_has_hole, has_hole, packbits_has_hole
from fer_fast.decode.formats.tiff_directory import Directory
from fer_fast.decode.formats.tiff_layout import PLANES, SAMPLES
from fer_fast.types import DecodeError, Status

_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES, _JPEG_TABLES = 273, 279, 324, 325, 347
_FILL_ORDER = 266
_OLD_JPEG, _JPEG = 6, 7
#: Each byte with its bits in the other order.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

#: How holes are found in each compression: in all of these libtiff takes some for pixels.
_HAS_HOLE: dict[int, Callable[[bytes], bool]] = {
    **dict.fromkeys((2, 3, 4, 5, 32771, 34925, 50000), has_hole),
    **dict.fromkeys((8, 32946), deflate_has_hole),
    32773: packbits_has_hole,
}


#: What stands before any of them.
_HEADER = 8


def check_strips(directory: Directory, compression: int, planes: int) -> None:
    """Checks the strips or tiles of a picture.

    Args:
        directory: its own.
        compression: by its tag.
        planes: how many of its planes are read, where it has any: those behind may be damaged, or not there at all.

    Raises:
        DecodeError: `CORRUPT` if one is not there, or holds what was never written.
    """
    name, places, lengths = "tile", directory.numbers(_TILES), directory.numbers(_TILE_BYTES)
    if not places:
        name, places, lengths = "strip", directory.numbers(_STRIPS), directory.numbers(_STRIP_BYTES)
    if directory.number(PLANES, 1) == 2:
        places = places[: len(places) * planes // max(planes, directory.number(SAMPLES, 1))]
    for number, place in enumerate(places if compression != _OLD_JPEG else ()):  # that has other tags for its place
        if not _HEADER <= place < directory.size:
            raise DecodeError(Status.CORRUPT, f"{name} {number} of the TIFF is not in the file")
    holed = _HAS_HOLE.get(compression)
    # A JPEG of its own, without an end.
    tables = directory.numbers(_JPEG_TABLES).tobytes()[:-2] if compression == _JPEG else b""
    is_reversed = directory.number(_FILL_ORDER, 1) == 2 and compression != _JPEG
    for place, length in {*zip(places, lengths, strict=False)} if holed or compression == _JPEG else ():
        directory.content.seek(int(place))
        data = directory.content.read(int(length))
        if compression == _JPEG:
            check_holes(tables + data[2:] if tables else data, is_arithmetic=False)
        elif holed and holed(data.translate(_REVERSED) if is_reversed else data):
            raise DecodeError(Status.CORRUPT, f"the {name} at byte {place} of the TIFF was not written whole")

"""EXIF blocks, sound and broken: tags come in, the bytes of a block go out."""

import struct

ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, SSHORT, SLONG, SRATIONAL, FLOAT, DOUBLE, IFD = range(1, 14)
LONG8 = 16
_FORMATS = {
    **{BYTE: "B", ASCII: "B", SHORT: "H", LONG: "L", SBYTE: "b", UNDEFINED: "B", SSHORT: "h", SLONG: "l"},
    **{FLOAT: "f", DOUBLE: "d", IFD: "L", LONG8: "Q"},
}


def tag(kind, *values, number=ORIENTATION):
    """A tag for `block`; a fraction is a pair of values."""
    return number, kind, values


def block(*tags, order="<", magic=None, place=8, entries=None):
    """A directory of tags, and behind it what does not fit.

    Args:
        tags: as `tag` gives them, or 12 bytes as they are.
        order: of bytes, as struct calls it.
        magic: the first four bytes; None are TIFF's.
        place: of the directory.
        entries: how many it says it has; None is how many there are.
    """
    magic = magic or (b"II*\0" if order == "<" else b"MM\0*")
    behind = place + 2 + 12 * len(tags) + 4
    directory, values = b"", b""
    for each in tags:
        if isinstance(each, bytes):
            directory += each
            continue
        number, kind, given = each
        form = {RATIONAL: "LL", SRATIONAL: "ll"}.get(kind) or _FORMATS[kind]
        flat = [part for value in given for part in (value if isinstance(value, tuple) else (value,))]
        data = struct.pack(order + form * len(given), *flat)
        if len(data) > 4:
            values += data
            data = struct.pack(order + "L", behind + len(values) - len(data))
        directory += struct.pack(order + "HHL", number, kind, len(given)) + data.ljust(4, b"\0")
    count = len(tags) if entries is None else entries
    start = (magic + struct.pack(order + "L", place)).ljust(place, b"\0")
    return start + struct.pack(order + "H", count) + directory + bytes(4) + values

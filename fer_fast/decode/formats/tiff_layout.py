"""A TIFF's directory comes in; how its samples are read into an image goes out, or what it is that cannot be read."""

from __future__ import annotations

import math
from typing import NamedTuple

from fer_fast.decode.formats.tiff_directory import Directory
from fer_fast.decode.meaning import Limits, Meaning
from fer_fast.types import DecodeError, Status

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SAMPLES, PLANES, COLOURS, INKS, EXTRA, FORMAT = 277, 284, 320, 332, 338, 339
LOWEST, HIGHEST, JPEG_XR = 340, 341, 0xBC01

_NEGATIVE, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
#: What each kind of picture is called, and its colours.
_PICTURES = {
    _NEGATIVE: ("negative grey", 1),
    _GREY: ("grey", 1),
    _RGB: ("RGB", 3),
    _PALETTE: ("palette", 1),
    4: ("mask", 1),
    _CMYK: ("CMYK", 4),
    _YCBCR: ("YCbCr", 3),
    _LAB: ("CIE L*a*b*", 3),
    9: ("ICC L*a*b*", 3),
    10: ("ITU L*a*b*", 3),
    32803: ("camera's colour filter", 1),
    32844: ("LogL", 1),
    32845: ("LogLuv", 3),
    34892: ("camera's raw colour", 3),
}
_UNSIGNED, _SIGNED, _FLOAT = "unsigned", "signed", "float"
_FORMATS = {1: _UNSIGNED, 2: _SIGNED, 3: _FLOAT, 4: _UNSIGNED, 5: "complex", 6: "complex"}

_CCITT, _OLD_JPEG, JPEG = (2, 3, 4, 32771), 6, 7
#: Compressions that libtiff may have for these pictures; the names of others.
_READ = {1, *_CCITT, 5, _OLD_JPEG, JPEG, 8, 32773, 32809, 32946, 34925, 50000, 50001}
_UNREAD = {
    **dict.fromkeys((9, 10, 34661), "JBIG"),
    **dict.fromkeys((34676, 34677), "SGI LogLuv"),
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
    34887: "LERC",
    34892: "a camera's JPEG",
    34933: "PNG",
    **dict.fromkeys((22610, 34934), "JPEG XR"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
}
#: Numbers that anyone may have taken for a compression or a kind of picture of their own.
_PRIVATE = range(1 << 15, 1 << 16)


class Layout(NamedTuple):
    """How a picture's samples are read.

    Attributes:
        mode, raw_mode: of the image that they become, and of what libtiff gives for it, in Pillow's words.
        meaning: of its numbers, where they are of more than 8 bits.
    """

    mode: str
    raw_mode: str
    meaning: Meaning = Meaning()


class _Samples(NamedTuple):
    """What a directory says of the samples of a pixel; `extra` are those behind its colours."""

    photometric: int
    format: str
    bits: int
    extra: int
    is_planar: bool
    is_associated: bool


#: Grey by format, bits and extra samples.
_GREYS = {
    (_UNSIGNED, 1, 0): Layout("1", "1"),
    (_UNSIGNED, 2, 0): Layout("L", "L;2"),
    (_UNSIGNED, 4, 0): Layout("L", "L;4"),
    (_UNSIGNED, 8, 0): Layout("L", "L"),
    (_UNSIGNED, 8, 1): Layout("LA", "LA"),
    (_UNSIGNED, 12, 0): Layout("I;16", "I;12", Meaning(bits=12)),
    (_UNSIGNED, 16, 0): Layout("I;16", "I;16N"),
    (_UNSIGNED, 16, 1): Layout("I", "I;32N", Meaning(dtype="uint16")),
    (_UNSIGNED, 32, 0): Layout("F", "F;32N"),
    (_SIGNED, 8, 0): Layout("L", "L", Meaning(dtype="int8")),
    (_SIGNED, 16, 0): Layout("F", "F;16NS"),
    (_SIGNED, 32, 0): Layout("F", "F;32NS"),
    (_FLOAT, 16, 0): Layout("I;16", "I;16N", Meaning(dtype="float16")),
    (_FLOAT, 32, 0): Layout("F", "F;32NF"),
    (_FLOAT, 64, 0): Layout("F", "F;64NF"),
}
_INVERTED = {"1": "1;I", "L;2": "L;2I", "L;4": "L;4I", "L": "L;I"}

#: Extra samples that Pillow can leave out, by mode and bits.
_MOST_EXTRA = {("RGB", 8): 3, ("RGB", 16): 1, ("CMYK", 8): 2, ("CMYK", 16): 0}


def layout_of(directory: Directory) -> Layout:
    """How a picture is read.

    Raises:
        DecodeError: `UNSUPPORTED`, with what it is; `CORRUPT` for what no picture is.
    """
    compression = directory.number(COMPRESSION, 1)
    if JPEG_XR in directory:
        raise DecodeError(Status.UNSUPPORTED, "a TIFF compressed by JPEG XR")
    if compression not in _READ:
        name = _UNREAD.get(compression, "an unknown method")
        raise _unknown(f"a TIFF compressed by {name} ({compression})", name in _UNREAD.values(), compression)
    samples = _samples(directory, compression)
    found = _layout(samples, compression)
    if samples.photometric == _CMYK and directory.number(INKS, 1) != 1:
        raise DecodeError(Status.UNSUPPORTED, "a TIFF in other inks than CMYK")
    if found is None:
        raise _unknown(*_description(samples))
    return found._replace(meaning=found.meaning._replace(limits=_stated_limits(directory)))


def _samples(directory: Directory, compression: int) -> _Samples:
    photometric = directory.number(PHOTOMETRIC, -1)
    if compression == _OLD_JPEG:
        photometric = _YCBCR  # whatever it says
    count = directory.number(SAMPLES, 3 if compression == _OLD_JPEG else 1)
    if photometric < 0:  # it is required; where it is missing libtiff guesses so
        photometric = _NEGATIVE if compression in _CCITT else _RGB if count >= 3 else _GREY
    if photometric == _YCBCR and count == 1:
        photometric = _GREY
    name, colours = _kind_of(photometric)
    bits = {*directory.numbers(BITS)[:count]} or {1}
    formats = {*directory.numbers(FORMAT)[:count]} or {1}
    if count < colours or not all(1 <= each <= 64 for each in bits) or not formats <= _FORMATS.keys():
        raise DecodeError(Status.CORRUPT, f"a TIFF in {name} of {count} samples of {_listed(bits)} bits")
    if len(bits) > 1 or len(formats) > 1:
        raise DecodeError(Status.UNSUPPORTED, f"a TIFF of samples of {_listed(bits)} bits, formats {_listed(formats)}")
    return _Samples(
        photometric,
        _FORMATS[int(*formats)],
        int(*bits),
        count - colours,
        directory.number(PLANES, 1) == 2 and count > 1,
        count > colours and directory.number(EXTRA, 0) == 1,
    )


def _layout(samples: _Samples, compression: int) -> Layout | None:
    """How samples are read; None if they cannot be."""
    photometric, form, bits, extra, is_planar, is_associated = samples
    if photometric in (_NEGATIVE, _GREY):
        return _grey(samples)
    if form != _UNSIGNED:
        return None
    if photometric == _PALETTE and not is_associated:
        if is_planar or not extra:  # a plane alone is read alone
            return Layout("P", "P" if bits == 8 else f"P;{bits}") if bits in (1, 2, 4, 8) else None
        return Layout("P", "PX") if (bits, extra) == (8, 1) else None
    if photometric in (_RGB, _CMYK):
        return _planes(samples) if is_planar else _pixels(samples)
    if photometric == _YCBCR and bits == 8 and not extra:  # libtiff makes RGB of it, whatever its subsampling
        return Layout("RGB", "RGB" if compression == JPEG and not is_planar else "RGBX")
    return Layout("LAB", "LAB") if photometric == _LAB and bits == 8 and not extra and not is_planar else None


def _grey(samples: _Samples) -> Layout | None:
    extra = 0 if samples.is_planar else samples.extra
    found = _GREYS.get((samples.format, samples.bits, extra))
    if found and samples.is_associated and not samples.is_planar:  # the plane of grey alone is as on black
        return Layout("La", "La") if found.mode == "LA" and samples.photometric == _GREY else None
    if not found or samples.photometric == _GREY:
        return found
    if found.mode in ("F", "I", "I;16"):
        return found._replace(meaning=found.meaning._replace(is_negative=True))
    return found._replace(raw_mode=_INVERTED[found.raw_mode]) if found.raw_mode in _INVERTED else None


def _pixels(samples: _Samples) -> Layout | None:
    """Colours of which each pixel's are together."""
    mode = raw_mode = "RGB" if samples.photometric == _RGB else "CMYK"
    left_out = samples.extra
    if left_out > _MOST_EXTRA.get((mode, samples.bits), -1) or (samples.is_associated and mode == "CMYK"):
        return None
    if samples.is_associated:
        mode, raw_mode, left_out = "RGBA", "RGBa", left_out - 1
    elif left_out and samples.bits == 16:
        mode, raw_mode, left_out = "RGBA", "RGBA", 0
    return Layout(mode, raw_mode + "X" * left_out + (";16N" if samples.bits == 16 else ""))


def _planes(samples: _Samples) -> Layout | None:
    """Colours in planes; those behind the last one of the mode are not read."""
    if samples.bits not in (8, 16) or (samples.is_associated and samples.photometric == _CMYK):
        return None
    mode = "CMYK" if samples.photometric == _CMYK else "RGBA" if samples.is_associated else "RGB"
    return Layout(mode, mode + (";16N" if samples.bits == 16 else ""))


def _stated_limits(directory: Directory) -> Limits | None:
    lowest, highest = directory.numbers(LOWEST), directory.numbers(HIGHEST)
    black, white = min(lowest, default=math.nan), max(highest, default=math.nan)
    return (black, white) if -math.inf < black < white < math.inf else None


def _kind_of(photometric: int) -> tuple[str, int]:
    """What a kind of picture is called, and its colours."""
    return _PICTURES.get(photometric, (f"photometric {photometric}", 1))


def _description(samples: _Samples) -> tuple[str, bool, int]:
    name, _ = _kind_of(samples.photometric)
    extra = f" and {samples.extra} extra samples" if samples.extra else ""
    planes = ", in planes" if samples.is_planar else ""
    what = f"a TIFF in {name}, {samples.bits}-bit {samples.format}{extra}{planes}"
    return what, samples.photometric in _PICTURES, samples.photometric


def _unknown(what: str, has_name: bool, number: int) -> DecodeError:
    """Of a number that nobody has given a meaning damage is more likely."""
    return DecodeError(Status.UNSUPPORTED if has_name or number in _PRIVATE else Status.CORRUPT, what)


def _listed(numbers: set[int] | set[float]) -> str:
    return ", ".join(str(each) for each in sorted(numbers))

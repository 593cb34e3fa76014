"""A file's first bytes come in; its format by content goes out. The suffix has no say."""

from __future__ import annotations

from fer_fast.types import DecodeError, Status

#: Bytes that tell the format: up to the brands of a HEIF file.
HEAD = 256

#: What each format is called where a row speaks of it.
NAMES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "bmp": "BMP",
    "tiff": "TIFF",
    "gif": "GIF",
    "avif": "AVIF",
    "heif": "HEIC",
}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
#: A file that is shorter may be the beginning of an image; of the formats here a BMP tells itself last.
_SHORTEST = 18
#: Brands in the first box of the family of ISO 14496-12. The structural ones say only that there are images in it.
_AVIF_BRANDS = {b"avif", b"avis"}
_HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_STRUCTURAL_BRANDS = {b"mif1", b"mif2", b"msf1"}


def format_of(head: bytes, size: int) -> str:
    """The format: jpeg, png, webp, bmp, tiff, gif, avif or heif.

    Args:
        head: the file's first bytes, `HEAD` of them if it has as many.
        size: of the file, in bytes.

    Raises:
        DecodeError: `UNSUPPORTED`, or `CORRUPT` for a file that ends where an image might only begin.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if head[4:8] == b"ftyp" and (name := _branded(head)):
        return name
    if size < _SHORTEST and _may_begin_an_image(head):
        raise DecodeError(Status.CORRUPT, f"the file ends after {size} bytes")
    if not any(head):
        raise DecodeError(Status.UNSUPPORTED, "no image: the file begins with zeros, as one that was never written")
    raise DecodeError(Status.UNSUPPORTED, "not a jpeg, png, webp, bmp, tiff, gif, avif or heic image")


def _branded(head: bytes) -> str:
    """The format by the brands of a file's first box; empty for a film's."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major = {head[8:12]}
    every = major | {head[place : place + 4] for place in range(16, end, 4)}
    for brands in (major, every):
        if brands & _HEVC_BRANDS:
            return "heif"
        if brands & _AVIF_BRANDS:
            return "avif"
    return "heif" if every & _STRUCTURAL_BRANDS else ""


def _may_begin_an_image(head: bytes) -> bool:
    if any(magic.startswith(head) for magic, _ in _MAGIC):
        return True
    if head.startswith(b"BM"[: len(head)]):
        return True
    if b"\0\0\0".startswith(head[:3]) and b"ftyp".startswith(head[4:8]):
        return len(head) < 12 or head[8:12] in _STRUCTURAL_BRANDS
    return b"RIFF".startswith(head[:4]) and b"WEBP".startswith(head[8:12])

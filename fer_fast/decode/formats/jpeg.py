"""A JPEG comes in, a picture goes out: whole, or not at all.

libjpeg fills what it cannot read with grey and tells of it by a warning, which Pillow drops; simplejpeg raises it. Both
give the same pixels.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from simplejpeg import decode_jpeg

from fer_fast.decode.formats.jpeg_header import FEW, WHOLE_BAND, JpegHeader, read_header
from fer_fast.decode.formats.jpeg_holes import check_holes
from fer_fast.decode.formats.picture import Picture
from fer_fast.types import DecodeError, Status

if TYPE_CHECKING:
    from typing import Any

    from fer_fast.decode.pixels import Size

#: By the number of components: the picture's mode, what simplejpeg calls it, what Pillow calls its bytes. Adobe's
#: programs write CMYK inverted, and so does everybody who wants to be read by them.
_MODES = {1: ("L", "GRAY", "L"), 3: ("RGB", "RGB", "RGB"), 4: ("CMYK", "CMYK", "CMYK;I")}

#: Nanoseconds beyond which a JPEG of many scans or in arithmetic codes is slow. Of 12 million pixels it was measured
#: that a scan takes 0.1 to 0.4 a pixel if it holds nothing, and a byte of codes 150, or 500 if they are arithmetic.
_SLOW = 1e9
_A_PIXEL, _A_BYTE, _AN_ARITHMETIC_BYTE = 0.4, 150.0, 500.0

#: What libjpeg says of a file that is valid, and that it does not read.
_BEYOND_LIBJPEG = (
    "Unsupported color conversion",
    "Fractional sampling",
    "CCIR601 sampling",
    "Sorry, arithmetic coding",
    "Could not determine colorspace",
)
#: A longer side libjpeg does not read, though a JPEG may have 65,535; its sampling has no name then.
_LONGEST = 65_500
_NO_MEMORY = ("Insufficient memory", "Memory allocation failure")
_UNKNOWN_SAMPLING = "Could not determine subsampling level"
_END = b"\xff\xd9"
#: A scan's header but for its last three bytes.
_SCAN = re.compile(rb"(\xff\xda\0(?:\x08\x01.{2}|\x0a\x02.{4}|\x0c\x03.{6}|\x0e\x04.{8})).{3}", re.DOTALL)
_LEFT_BEFORE_END = re.compile(r"(\d+) extraneous bytes before marker 0xd9")


class JpegPicture(Picture):
    """A JPEG whose header has been read.

    Args:
        header: its own.
        content: of the file.
        size: of the file, in bytes.

    Attributes:
        coding: the last byte of the frame header's marker, 0xC0 to 0xCF.
    """

    def __init__(self, header: JpegHeader, content: BinaryIO, size: int) -> None:
        self.size = header.size
        self.mode = _MODES[len(header.sampling)][0]
        self.orientation = header.orientation
        self.coding = header.coding
        self.memory = _memory(header, size, 1)
        self.is_slow = (header.has_scans or header.is_arithmetic) and _work(header, content, size) > _SLOW
        self._header = header
        self._content, self._bytes = content, size

    def cost(self, least: Size) -> tuple[int, Size]:
        """See `Picture.cost`: much less where libjpeg scales."""
        scale = self._scale(least)
        width, height = self.size
        return _memory(self._header, self._bytes, scale), (-(-width // scale), -(-height // scale))

    def full_size(self, image: Image.Image) -> Size:
        """See `Picture.full_size`."""
        return self.size

    def load(self, least: Size) -> Image.Image:
        """Lets libjpeg scale a large photo by 1/2, 1/4 or 1/8.

        At twice the side that is wanted the pixels of a smooth photo differ from a full decode by less than 0.7 of 255
        on average, of one with fine detail by more.
        """
        scale = self._scale(least)
        stream = _stream(self._header, self._content)
        if not self._header.is_lossless:
            check_holes(stream, self._header.is_arithmetic)
        found = self._decoded(stream, scale)
        if isinstance(found, str) and (left := _LEFT_BEFORE_END.search(found)) and int(left[1]) < FEW:
            stream = self._without_padding(stream, int(left[1]))
            found = self._decoded(stream, scale)  # behind that warning libjpeg may have others: rows that are missing
        if not isinstance(found, str):
            return found
        if _UNKNOWN_SAMPLING in found:
            return self._by_pillow(stream, least)
        if found.startswith(_NO_MEMORY):
            raise MemoryError
        if found.startswith(_BEYOND_LIBJPEG):
            raise DecodeError(Status.UNSUPPORTED, f"a JPEG that libjpeg does not read: {found}")
        raise DecodeError(Status.CORRUPT, found if "JPEG" in found else f"a broken JPEG: {found}")

    def _scale(self, least: Size) -> int:
        """By how much it is divided: 1, 2, 4 or 8."""
        most = 1 if self._header.is_lossless else min(self.size[0] // least[0], self.size[1] // least[1])
        return next((scale for scale in (8, 4, 2) if most >= scale), 1)

    def _without_padding(self, stream: bytes, size: int) -> bytes:
        """The stream without so many bytes, and without fill, before its end."""
        end = stream.index(_END, stream.index(self._header.segments[-1]))
        return stream[:end].rstrip(b"\xff")[:-size] + stream[end:]

    def _decoded(self, stream: bytes, scale: int) -> Image.Image | str:
        """The picture, or what libjpeg has against it."""
        mode, colours, order = _MODES[len(self._header.sampling)]
        if self._header.is_lossless and mode == "RGB" and not _is_rgb(self._header):
            mode = order = "YCbCr"  # libjpeg converts no colours of these
        width, height = (-(-side // scale) for side in self.size)
        pixels: Any
        try:
            if scale == 1:
                pixels = decode_jpeg(stream, colours, strict=True)
            else:
                pixels = decode_jpeg(stream, colours, min_height=height, min_width=width, min_factor=scale, strict=True)
        except ValueError as error:
            return str(error).partition("(): ")[2] or str(error)
        except RuntimeError:  # no decoder can be made
            raise MemoryError from None
        return Image.frombuffer(mode, (pixels.shape[1], pixels.shape[0]), pixels, "raw", order, 0, 1)

    def _by_pillow(self, stream: bytes, least: Size) -> Image.Image:
        """The picture of a sampling that has no name, 4:1:0 for one, which simplejpeg refuses.

        Of its damage Pillow tells no more than that the file ends early.
        """
        if max(self.size) > _LONGEST:
            raise DecodeError(Status.UNSUPPORTED, f"a JPEG with a side of {max(self.size)} pixels")
        most = [max(factors) for factors in zip(*self._header.sampling, strict=True)]
        if any(highest % each for pair in self._header.sampling for highest, each in zip(most, pair, strict=True)):
            raise DecodeError(Status.UNSUPPORTED, "a JPEG of fractional sampling")
        image = JpegImageFile(io.BytesIO(stream))
        image.decodermaxblock = max(image.decodermaxblock, len(stream))  # in one call, without the GIL
        if not self._header.is_lossless:
            image.draft(None, least)
        image.load()
        return image


def open_jpeg(content: BinaryIO, size: int) -> JpegPicture:
    """Opens a JPEG; see `opening.open_picture`."""
    return JpegPicture(read_header(content), content, size)


def _memory(header: JpegHeader, size: int, scale: int) -> int:
    """Bytes at the peak: the coefficients, then the pixels twice; the stream, and the file if it is not in memory.

    Pillow holds 4 bytes of a pixel in colours; of grey it takes the decoder's.
    """
    (width, height), sampling = header.size, header.sampling
    wide, high = (max(factors) for factors in zip(*sampling, strict=True))
    units = (-(-width // (8 * wide))) * (-(-height // (8 * high)))
    pixels = -(-width // scale) * -(-height // scale)
    coefficients = 128 * units * sum(across * down for across, down in sampling) if header.has_scans else 0
    copy = 4 if len(sampling) > 1 else 0
    return 2 * size + max(coefficients + max(copy, 1) * pixels, (len(sampling) + copy) * pixels)


def _work(header: JpegHeader, content: BinaryIO, size: int) -> float:
    """How long it takes to decode it, in nanoseconds."""
    if not isinstance(content, io.BytesIO):  # a large file
        return float("inf")
    scans = content.getvalue().count(b"\xff\xda", header.end) + 1
    a_byte = _AN_ARITHMETIC_BYTE if header.is_arithmetic else _A_BYTE
    return _A_PIXEL * scans * header.size[0] * header.size[1] + a_byte * size


def _is_rgb(header: JpegHeader) -> bool:
    return not header.is_jfif and not header.adobe


def _stream(header: JpegHeader, content: BinaryIO) -> bytes:
    """The JPEG without what no codec needs and one could stumble over; with an end, if it lacks nothing else.

    Without an end a sequential picture of one scan may be whole, and every reader shows it: if there is less of it,
    codes are missing. Arithmetic codes may be left out at their end, and a scan may be missing where there are several.
    """
    content.seek(0)
    data = content.read()
    pixels: bytes | memoryview = memoryview(data)[header.end :]
    if header.is_sequential and header.has_scans:
        pixels = _SCAN.sub(rb"\1" + WHOLE_BAND, data[header.end :])
    may_lack_end = not (header.has_scans or header.is_arithmetic or data.endswith(_END))
    if may_lack_end:
        pixels = data[header.end :].rstrip(b"\0")  # if there is no end, zeros are padding or missing codes
    return b"".join((b"\xff\xd8", _colours(header), *header.segments, pixels, _END if may_lack_end else b""))


def _colours(header: JpegHeader) -> bytes:
    """Adobe's segment, which says what the components are; none where their number or their names do."""
    components = len(header.sampling)
    if components == 3 and header.is_jfif:
        transform = 1
    elif header.adobe is None:
        return b""
    else:  # an unknown transform is taken for the usual one, as by libjpeg
        transform = (1 if components == 3 else 2) if header.adobe else 0
    if components == 1 or (components == 3 and header.is_lossless):
        return b""
    return b"\xff\xee\0\x0eAdobe\0d\0\0\0\0" + bytes([transform])

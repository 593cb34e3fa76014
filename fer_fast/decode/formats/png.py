"""A PNG comes in, a picture goes out: of its chunks those that its pixels depend on are handed to a decoder."""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO

from PIL import Image

from fer_fast.decode.formats.picture import Picture, stored_bytes
from fer_fast.decode.formats.png_chunks import HEADER, MODES, PIECE, SIGNATURE, Chunks, Header, next_chunk
from fer_fast.decode.pixels import Size
from fer_fast.types import DecodeError, Status

#: Bytes of pixels that are inflated at once where they are counted.
_STEP = 1 << 16


#: Of an interlaced picture's passes the first column and row, and the steps to the next ones.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_ONE_PASS = ((0, 0, 1, 1),)


class PngPicture(Picture):
    """The picture in a PNG; of an animation that which is shown without animating.

    Args:
        content: the file.
    """

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self._chunks = chunks = Chunks()
        self._damage: DecodeError | None = None
        try:
            chunks.walk(content)
        except DecodeError as error:
            if not chunks.header.width:
                raise
            self._damage = error  # a picture that is too large is that in the first place
        self._header = header = chunks.header
        self.size = header.width, header.height
        self.mode, self._samples, _ = MODES[header.bits, header.colours]
        self.orientation = chunks.orientation
        self.memory = stored_bytes(self.mode, self.size) + chunks.coded

    def load(self, least: Size) -> Image.Image:
        """See `Picture.load`."""
        self._check()
        # Pillow takes the end of the coded bytes for the end of the picture and leaves the rest black. Without the
        # last of the four bytes of their checksum it does not come to that end; a whole picture does not need them.
        image = self._decoded(self._coded(self._chunks.coded - 1))
        if image is None:
            # It also ends where nothing is left to read, though rows are still to be inflated. Two bytes keep it at
            # that where the checksum is missing, too, and do not make one.
            coded = self._coded(self._chunks.coded, 2)
            _check_whole(memoryview(coded)[:-2], self._header)
            image = self._decoded(coded)
        if image is None:
            raise DecodeError(Status.CORRUPT, "the pixels of the PNG cannot be decoded")
        if self.mode == "P":
            # A number of no colour is black, as by libpng.
            image.putpalette(self._chunks.palette[:768].ljust(768, b"\0"))
        return image

    def bare(self) -> bytes:
        """The file, without what its pixels do not need and without a palette.

        Raises:
            DecodeError: as `load`.
        """
        self._check()
        if self._chunks.is_bare:
            self._content.seek(0)
            return self._content.read()
        coded = self._coded(self._chunks.coded)
        chunks = ((b"IHDR", HEADER.pack(*self._header)), (b"IDAT", coded), (b"IEND", b""))
        return b"".join((SIGNATURE, *(part for chunk in chunks for part in _chunk(*chunk))))

    def _check(self) -> None:
        if self._damage:
            raise self._damage

    def _decoded(self, coded: bytearray) -> Image.Image | None:
        try:
            return Image.frombytes(self.mode, self.size, coded, "zip", self._samples, self._header.interlace)
        except ValueError:
            return None

    def _coded(self, most: int, more: int = 0) -> bytearray:
        """The first bytes of the pixels, of as many chunks as they are in, and some zeros more."""
        content = self._content
        coded = bytearray(most + more)
        place = 0
        content.seek(self._chunks.first)
        while place < most:
            length, kind = next_chunk(content)
            while kind == b"IDAT" and length and (piece := content.read(min(length, most - place, PIECE))):
                coded[place : place + len(piece)] = piece
                place += len(piece)
                length -= len(piece)
            content.seek(length + 4, os.SEEK_CUR)
        return coded


def open_png(content: BinaryIO, size: int) -> PngPicture:
    """Opens a PNG; see `opening.open_picture`."""
    return PngPicture(content)


def _chunk(kind: bytes, data: bytes | bytearray) -> tuple[bytes | bytearray, ...]:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return len(data).to_bytes(4, "big"), kind, data, checksum.to_bytes(4, "big")


def _check_whole(coded: memoryview, header: Header) -> None:
    """Counts what is inflated, piece by piece, up to what the picture needs; the checksum behind it may be missing.

    Raises:
        DecodeError: `CORRUPT` for less.
    """
    wanted = _raw_bytes(header)
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for place in range(2, len(coded), _STEP):
            piece: bytes | memoryview = coded[place : place + _STEP]
            found = PIECE
            while found == PIECE and wanted > 0:
                found = len(inflating.decompress(piece, PIECE))
                wanted -= found
                piece = inflating.unconsumed_tail
            if wanted <= 0 or inflating.eof:
                break
    except zlib.error as error:
        raise DecodeError(Status.CORRUPT, f"broken pixels of a PNG: {error}") from None
    if wanted > 0:
        raise DecodeError(Status.CORRUPT, f"{wanted} bytes of a PNG's pixels are missing")


def _raw_bytes(header: Header) -> int:
    """Of a picture's rows, each with its filter in front."""
    samples = MODES[header.bits, header.colours][2]
    raw = 0
    for x, y, across, down in _PASSES if header.interlace else _ONE_PASS:
        columns, rows = -((x - header.width) // across), -((y - header.height) // down)
        if columns > 0 and rows > 0:
            raw += rows * (1 + (columns * samples * header.bits + 7) // 8)
    return raw

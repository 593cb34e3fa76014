"""Paths come in; pixels decoded by Pillow on a pool of threads go out."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image
from PIL import ImageFile as ImageFileModule
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from fer_fast.decode.files import check_png, read_image_file
from fer_fast.decode.interface import DEFAULT_MAX_PIXELS, Decoded, Decoder
from fer_fast.decode.pixels import Pixels, write_pixels
from fer_fast.types import DecodeError, FerFastError, Stamp, Status, one_line

_log = logging.getLogger(__name__)


class _Jpeg(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Nothing: the resolution is of no use here, and reading it parses the whole EXIF block."""


# The plugins are called directly. Image.open would try them in turn, and warn about large images by a global
# limit that belongs to the program around us; this module has its own.
_PLUGINS: dict[str, type[ImageFile]] = {
    "jpeg": _Jpeg,
    "png": PngImageFile,
    "webp": WebPImageFile,
    "bmp": BmpImageFile,
    "tiff": TiffImageFile,
    "gif": GifImageFile,
}

#: Bytes that a JPEG decoder is given at once, so that it runs in one call without the GIL.
_BLOCK = 16 << 20

#: Files a task: with fewer the pool's own work shows on small faces, with more the last task is waited for.
_CHUNK = 8


class Opened(NamedTuple):
    """A file whose header has been read and checked.

    Attributes:
        image: its pixels are still in the file.
        kind: jpeg, png, webp, bmp, tiff or gif.
        content, size: the file and its bytes.
        stamp: tells whether the file was changed later.
    """

    image: ImageFile
    kind: str
    content: BinaryIO
    size: int
    stamp: Stamp


@contextmanager
def opened(path: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> Iterator[Opened]:
    """Opens an image file; whatever is raised inside becomes a DecodeError, too.

    Args:
        path: any str that the operating system gave.
        max_pixels: see `open_decoder`.

    Raises:
        DecodeError: with the status that the file's row gets; nothing else, whatever the file holds.
    """
    content, kind, size, stamp = read_image_file(path)
    try:
        image = _PLUGINS[kind](content)
        width, height = image.size
        if width * height > max_pixels:
            reason = f"{width} x {height} pixels are more than the limit of {max_pixels}"
            raise DecodeError(Status.TOO_LARGE, reason)
        if kind == "png":
            check_png(content)
        yield Opened(image, kind, content, size, stamp)
    except DecodeError as error:
        error.stamp = stamp
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        raise DecodeError(Status.TOO_LARGE, one_line(error), stamp) from None
    except OSError as error:
        # Only the operating system sets errno; Pillow's own complaints have none.
        status = Status.CORRUPT if error.errno is None else Status.UNREADABLE
        raise DecodeError(status, one_line(error), stamp) from None
    except Exception as error:  # a plugin may raise anything on a damaged file, and no file may stop the run
        raise DecodeError(Status.CORRUPT, one_line(error), stamp) from None
    finally:
        content.close()


def decode_file(path: str, out: Pixels, max_pixels: int = DEFAULT_MAX_PIXELS) -> Stamp:
    """Decodes the first frame of one file.

    Args:
        path: any str that the operating system gave.
        out: uint8 [S, S, 3]; of no use after an error.
        max_pixels: see `open_decoder`.

    Returns:
        Of the file that was read.

    Raises:
        DecodeError: as `opened`.
    """
    with opened(path, max_pixels) as file:
        decode_opened(file, out)
        return file.stamp


def decode_opened(file: Opened, out: Pixels) -> None:
    """The same of a file that is open; inside `opened` alone, which turns whatever is raised into a DecodeError."""
    if file.kind == "jpeg":
        _shrink_while_decoding(file.image, out.shape[0])
        file.image.decodermaxblock = max(file.image.decodermaxblock, min(file.size, _BLOCK))
    write_pixels(file.image, out)


def _shrink_while_decoding(image: ImageFile, side: int) -> None:
    """Lets libjpeg scale a large photo by 1/2, 1/4 or 1/8, never below twice the wanted side.

    At twice the side the pixels differ from a full decode by 0.4 of 255 on average, in half the time or less;
    at once the side by 0.6 to 1.0.
    """
    image.draft(None, (2 * side, 2 * side))


class PillowDecoder(Decoder):
    """Decodes on threads: Pillow's codecs and resize run without the GIL."""

    name = "pillow"

    def __init__(self, image_size: int, workers: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self.image_size = image_size
        self.workers = workers or len(os.sched_getaffinity(0))
        self.max_pixels = max_pixels
        if ImageFileModule.LOAD_TRUNCATED_IMAGES:  # not ours to change
            _log.warning("PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set: half an image will pass for a whole one")
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="fer-fast-decode")

    def submit(self, paths: Sequence[str]) -> Future[Decoded]:
        """See `Decoder.submit`."""
        batch = _Batch(paths, self.image_size, self.max_pixels)
        for start in range(0, len(paths), _CHUNK):
            self._pool.submit(batch.decode, start, min(start + _CHUNK, len(paths)))
        return batch.future

    def close(self) -> None:
        """See `Decoder.close`."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Batch:
    """A batch that several workers fill; the last of them completes the future."""

    def __init__(self, paths: Sequence[str], side: int, max_pixels: int) -> None:
        self.future: Future[Decoded] = Future()
        self._paths = paths
        self._max_pixels = max_pixels
        self._pixels = np.empty((len(paths), side, side, 3), np.uint8)
        self._failures: list[tuple[int, DecodeError]] = []
        self._stamps: list[Stamp | None] = [None] * len(paths)
        self._seconds = 0.0
        self._left = len(paths)
        self._lock = threading.Lock()
        if not paths:
            self._complete()

    def decode(self, start: int, end: int) -> None:
        """Decodes paths[start:end] in the calling thread."""
        begun = time.perf_counter()
        failures = []
        try:
            for index in range(start, end):
                try:
                    self._stamps[index] = decode_file(self._paths[index], self._pixels[index], self._max_pixels)
                except DecodeError as error:
                    self._stamps[index] = error.stamp
                    failures.append((index, error))
        except BaseException as error:
            with self._lock:
                if not self.future.done():
                    self.future.set_exception(FerFastError(f"the decoder failed: {one_line(error)}"))
            raise
        with self._lock:
            self._failures += failures
            self._seconds += time.perf_counter() - begun
            self._left -= end - start
            if self._left == 0 and not self.future.done():
                self._complete()

    def _complete(self) -> None:
        failed = {index for index, _ in self._failures}
        indices = [index for index in range(len(self._paths)) if index not in failed]
        pixels = self._pixels if not failed else self._pixels[indices]
        self._failures.sort(key=lambda failure: failure[0])
        self.future.set_result(Decoded(pixels, indices, self._failures, self._seconds, self._stamps))

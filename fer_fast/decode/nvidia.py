"""Paths come in; pixels decoded and resized by a library of NVIDIA's, on a GPU or on the CPU, go out.

It takes encoded bytes, never paths: headers are read and checked here first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

import numpy as np

from fer_fast.decode.apart import Apart
from fer_fast.decode.budget import Budget
from fer_fast.decode.formats.opening import prepare_codecs
from fer_fast.decode.interface import Decoded, Decoder, plain
from fer_fast.decode.library import Library, check_library
from fer_fast.decode.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS, limits_of
from fer_fast.decode.nvidia_batch import NvidiaBatch
from fer_fast.decode.pending import Pending
from fer_fast.decode.threads import Threads
from fer_fast.decode.views import Square
from fer_fast.machine.devices import torch_device
from fer_fast.machine.processors import usable_processors

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode.interface import Pixels
    from fer_fast.decode.library import Part

_log = logging.getLogger(__name__)

#: Files a reader's task.
_CHUNK = 8
#: Threads that take turns on a card, so that it decodes one batch while the next is handed over.
_RUNNERS = 2


class NvidiaDecoder(Decoder):
    """Decodes JPEG and PNG files by a library, what that would show otherwise than Pillow (CMYK, palettes) by Pillow.

    On a card pixels stay there: `Decoded.pixels` is a torch tensor. Headers are checked as for Pillow, and on what the
    library refuses Pillow has the last word, so that a file has the same status but for damage that the library shows.
    Of a damaged file nvImageCodec, which is inside DALI, too, may write a line of its own to stderr.

    Args:
        name: see `Decoder`.
        library: what decodes.
        image_size: S, the side in pixels of what comes out.
        workers: threads that read and check files, and that decode where the CPU does; None takes the processors that
            this process may use.
        max_pixels, max_memory, max_seconds: see `open_decoder`; the memory is that of this machine, not of a card.
        device: cpu, cuda or cuda:N.

    Raises:
        FerFastError: if the library does not decode here, or there is no such card.
    """

    def __init__(
        self,
        name: str,
        library: type[Library],
        image_size: int,
        workers: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        device: str = "cpu",
        max_memory: int | None = None,
        max_seconds: float = DEFAULT_MAX_SECONDS,
    ) -> None:
        self.name = name
        self.image_size = image_size
        self.workers = workers or usable_processors()
        self.limits = limits_of(self.workers, max_pixels, max_memory, max_seconds)
        self.device = device
        card = device if device == "cpu" else torch_device(device)
        self._card = None if card == "cpu" else int(card.partition(":")[2])
        self._library = library
        self._of_thread = threading.local()
        self._budget = Budget(self.limits.max_memory)
        self._view = Square(image_size)
        self._apart = Apart(self.workers, _CHUNK * self._view.most_bytes, self.limits, self._budget)
        self._pending = Pending()
        check_library(library, image_size, self._card, device)
        prepare_codecs()
        self._readers = Threads(self.workers, thread_name_prefix="fer-fast-read")
        runners = 1 if self._card is None else _RUNNERS
        self._runners = Threads(runners, thread_name_prefix=f"fer-fast-{name}")

    def submit(self, paths: Sequence[str]) -> Future[Decoded]:
        """See `Decoder.submit`."""
        paths = plain(paths)
        batch = NvidiaBatch(self._pending.add(), paths, self._view, self.limits)
        starts = range(0, len(paths), _CHUNK)
        try:
            reads = [self._readers.submit(self._read, batch, start) for start in starts]
            self._runners.submit(self._run, batch, reads)
        except RuntimeError as error:  # closed meanwhile, or no thread can be started
            self._pending.refuse(batch.future, error)
        return batch.future

    def decode_content(self, encoded: bytes) -> npt.NDArray[np.uint8]:
        """See `Decoder.decode_content`."""
        self._pending.check()
        return self._apart.decode_content(encoded, self._view)

    def close(self) -> None:
        """See `Decoder.close`."""
        if self._pending.close():
            self._readers.shutdown(wait=False, cancel_futures=True)
            self._runners.shutdown(wait=False, cancel_futures=True)
            self._apart.close()

    def _read(self, batch: NvidiaBatch, start: int) -> None:
        """Reads and checks a task's files, from `start` on; in a reader's thread."""
        end = min(start + _CHUNK, len(batch.paths))
        begun = time.perf_counter()
        with self._budget.take(self.limits.small):
            large = batch.read(start, end)
        self.files_done += end - start
        if large and not self._pending.closed:
            pixels = list(np.empty((end - start, self.image_size, self.image_size, 3), np.uint8))
            for place, answer in self._apart.decode(batch.paths[start:end], self._view, pixels, large):
                batch.settle(start + place, answer, pixels[place])
                self.files_done += 1
        batch.add_time(time.perf_counter() - begun)

    def _run(self, batch: NvidiaBatch, reads: list[Future[None]]) -> None:
        """Decodes what the readers left; in a runner's thread."""
        try:
            for read in reads:
                read.result()
            begun = time.perf_counter()
            pixels, indices = self._decoded(batch)
            batch.seconds += time.perf_counter() - begun
            batch.failures.sort(key=lambda failure: failure[0])
            decoded = Decoded(pixels, indices, batch.failures, batch.seconds, batch.stamps)
            self._pending.answer(batch.future, decoded)
        except BaseException as error:
            self._pending.fail(batch.future, error)
            raise

    def _decoded(self, batch: NvidiaBatch) -> Part:
        """The batch's pixels and their places."""
        parts: list[Part] = []
        for places in batch.groups():
            parts += self._by_library(batch, places)
        if not parts or batch.own:
            own = sorted(batch.own)
            parts.append((_stacked([batch.own[place] for place in own], self.image_size, self._card), own))
        return _merged(parts)

    def _by_library(self, batch: NvidiaBatch, places: list[int]) -> list[Part]:
        """What the library makes of some images; what it refuses is decided by Pillow."""
        if not hasattr(self._of_thread, "library"):
            self._of_thread.library = self._library(self.image_size, self._card, self.workers)
        library: Library = self._of_thread.library
        found = library.decode([batch.encoded[place] for place in places], len(batch.paths))
        parts = [(pixels, [places[each] for each in within]) for pixels, within in found.parts]
        decoded = {place for _, within in parts for place in within}
        refused = [place for place in places if place not in decoded]
        for place in refused:
            batch.decode(place)
        rescued = sum(place in batch.own for place in refused)
        if rescued and not decoded:
            why = found.reason or "it says no reason"
            _log.warning("%s decodes none of %d images that Pillow decodes: %s", library.title, rescued, why)
        return parts


def _stacked(images: list[npt.NDArray[np.uint8]], side: int, card: int | None) -> Pixels:
    pixels = np.stack(images) if images else np.empty((0, side, side, 3), np.uint8)
    if card is None:
        return pixels
    import torch

    return torch.from_numpy(pixels).to(f"cuda:{card}")


def _merged(parts: list[Part]) -> Part:
    """All images in the order of their places."""
    places = [place for _, found in parts for place in found]
    if len(parts) == 1:
        return parts[0][0], places
    order = sorted(range(len(places)), key=places.__getitem__)
    arrays = [pixels for pixels, _ in parts if isinstance(pixels, np.ndarray)]
    if arrays:
        return np.concatenate(arrays)[order], sorted(places)
    import torch

    merged = torch.cat([pixels for pixels, _ in parts if isinstance(pixels, torch.Tensor)])[order]
    torch.cuda.current_stream(merged.device).synchronize()  # what the parts' memory belongs to may not wait for torch
    return merged, sorted(places)

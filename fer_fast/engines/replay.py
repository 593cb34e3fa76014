"""A model on a card comes in; CUDA graphs of it, which answer batches from several threads, go out.

A batch of faces keeps a large card busy for less time than Python takes to launch its kernels one by one. Everything
that a batch needs is allocated before the first one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_fast.engines.opened import alone
from fer_fast.engines.pool import Pool
from fer_fast.types import FerFastError

log = logging.getLogger(__name__)

Model = Callable[[Tensor], Tensor]
#: Gives a model for images of a shape, [batch, height, width, 3].
Models = Callable[[tuple[int, ...]], Model]
T = TypeVar("T")

#: Streams that take turns: while one computes, the next batch is copied in and the last one's answer out.
STREAMS = 2
#: Images of a graph, but for the largest, which has as many as were asked for: one face of a camera does not wait for
#: 255 that are not there.
SIZES = (1, 8, 32, 128, 256)
#: Calls before a capture: cuBLAS and cuDNN allocate and choose their kernels in the first ones.
_WARM_UP = 3


def sizes_for(most: int, largest_alone: bool = False) -> tuple[int, ...]:
    """The batches for which there are graphs, small to large: those of `SIZES` below `most`, and `most`.

    An engine that is opened to be measured, and closed again, has the largest alone.
    """
    return (*(size for size in SIZES if size < most and not largest_alone), most)


def graphs_of(sizes: Sequence[int]) -> str:
    """The same in words, for `describe`."""
    *smaller, largest = sizes
    if smaller:
        return f"CUDA graphs of {', '.join(map(str, smaller))} and {largest} images"
    return f"CUDA graph of {largest} image{'s' if largest > 1 else ''}"


class Replays:
    """Captured graphs of one model; safe to call from many threads.

    Args:
        make: gives for images of a shape a model of its own to each graph: uint8 [batch, height, width, 3] to an output
            [batch, ...], both on the card, launched on the current stream.
        images: shape of the largest batch, [batch, height, width, 3].
        device: the card.
        sizes: the batches for which there are graphs, small to large.
    """

    def __init__(self, make: Models, images: tuple[int, ...], device: torch.device, sizes: Sequence[int]) -> None:
        self._free: Pool[_Stream] = Pool()
        for _ in range(STREAMS):
            self._free.put(_Stream(make, images, device, sizes))

    def __call__(self, images: Tensor) -> npt.NDArray[np.float32]:
        """The output for one batch, float32 [batch, ...]; images in memory or on the card."""
        stream = None  # a Ctrl-C may come before it is taken
        try:
            stream = self._free.get()
            return stream(images)
        finally:
            if stream is not None:
                self._free.put(stream)


class _Graph(NamedTuple):
    """A graph with what it goes on using."""

    graph: torch.cuda.CUDAGraph
    model: Model
    output: Tensor


class _Stream:
    """Graphs of each size on one stream, with one input for all; a smaller batch leaves the end of it as it was.

    They share a pool of memory, in any order: one of them at a time runs, and takes nothing from another but the input.
    """

    def __init__(self, models: Models, images: tuple[int, ...], device: torch.device, sizes: Sequence[int]) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        with torch.cuda.device(device), torch.inference_mode():
            self.images = torch.zeros(images, dtype=torch.uint8, device=device)
            torch.cuda.synchronize()
            pool = torch.cuda.graph_pool_handle()
            # The largest first: what it took is enough for the others.
            captured = {size: self._captured(models((size, *images[1:])), size, pool) for size in reversed(sizes)}
        self.graphs = dict(reversed(captured.items()))  # small to large
        self.answer = _pinned(captured[images[0]].output.shape)

    def __call__(self, images: Tensor) -> npt.NDArray[np.float32]:
        batch = len(images)
        graph, _, output = next(each for size, each in self.graphs.items() if size >= batch)
        with torch.inference_mode(), torch.cuda.device(self.images.device):
            # Whoever gives a tensor on the card may still be computing it.
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                self.images[:batch].copy_(images, non_blocking=True)
                graph.replay()
                self.answer[:batch].copy_(output[:batch], non_blocking=True)
            self.stream.synchronize()
        return self.answer[:batch].numpy().copy()

    def _captured(self, model: Model, size: int, pool: Any) -> _Graph:
        graph, images = torch.cuda.CUDAGraph(), self.images[:size]
        with torch.cuda.stream(self.stream):
            for _ in range(_WARM_UP):
                model(images)
        with capturing(graph, self.stream, pool):
            output = model(images).float()
        return _Graph(graph, model, output)


def _pinned(shape: torch.Size) -> Tensor:
    """Memory to which a card copies without the processor's help."""
    return torch.empty(shape, dtype=torch.float32, pin_memory=True)


@contextmanager
def capturing(graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream, pool: Any = None) -> Iterator[None]:
    """Captures what is launched inside. A capture that fails raises what went wrong in it, on the stream of before.

    `torch.cuda.graph` alone leaves the thread on the stream of a capture that it cannot end, and raises that it cannot.
    """
    failed: Exception | None = None
    try:
        # Other threads may go on using the card: this one's calls alone are what is captured.
        with torch.cuda.stream(stream), torch.cuda.graph(graph, pool, stream, "thread_local"):
            try:
                yield
            except Exception as error:
                failed = error
                raise
    except RuntimeError as ended:
        if failed is None or ended is failed:
            raise
        failed.add_note(f"The capture could not be ended: {ended}")
        raise failed from None


@contextmanager
def opening(engine: str, device: str) -> Iterator[None]:
    """Where an engine opens on a card: what the libraries raise becomes a FerFastError.

    Alone: a process captures one graph at a time, and cuDNN's flags, which decide what is captured, are the process's.
    """
    with alone(), failing(engine, device):
        yield


@contextmanager
def failing(engine: str, device: str) -> Iterator[None]:
    """Turns what a library raises into a FerFastError that names engine and device."""
    try:
        yield
    except FerFastError:
        raise
    except (RuntimeError, TypeError) as error:  # TypeError: what pybind11 makes of a null pointer, an old driver's sign
        raise FerFastError(f"{engine} failed on {device}: {' '.join(str(error).split())}") from error


#: How libraries say that a card's memory is full: torch, the driver and CUDA's runtime, in words, by name or as
#: number 2; TensorRT, in two ways; cuBLAS, cuDNN and their like, by the name of a status.
_FULL = re.compile(
    r"out[ _]?of[ _]?memory|MemoryAllocation|could not be allocated|ALLOC(ATION)?_FAILED|cuda (error|failure):? 2\b",
    re.IGNORECASE,
)


def is_memory_full(said: BaseException | str) -> bool:
    """Whether a library's error, or its last message, says that there is no memory left: less of it may do."""
    return _FULL.search(str(said)) is not None


def as_large_as_fits(make: Callable[[int], T], batch_size: int) -> tuple[T, int]:
    """What `make` gives for the largest batch that the card's memory holds: `batch_size`, half of it, a quarter, ...

    Raises:
        FerFastError: not even one image fits.
    """
    batch = batch_size
    while True:
        try:
            return make(batch), batch
        except RuntimeError as error:
            if not is_memory_full(error):
                raise
            why = str(error)
        # Here nothing holds what the attempt held any more, as its error did.
        if batch == 1:
            raise FerFastError(f"the card's memory does not hold a single image: {why}")
        torch.cuda.empty_cache()
        log.warning("the card's memory does not hold a batch of %d: trying %d", batch, batch // 2)
        batch //= 2

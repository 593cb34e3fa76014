"""A model on a card comes in; CUDA graphs of it, which answer batches from several threads, go out.

A batch of faces keeps a large card busy for less time than Python takes to launch its kernels one by one. Everything
that a batch needs is allocated before the first one.
"""

from __future__ import annotations

import logging
import queue
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_fast.engines.opened import alone
from fer_fast.types import FerFastError

log = logging.getLogger(__name__)

Model = Callable[[Tensor], Tensor]
T = TypeVar("T")

#: Graphs that take turns: while one computes, the next batch is copied in and the last one's answer out.
STREAMS = 2
#: Calls before a capture: cuBLAS and cuDNN allocate and choose their kernels in the first ones.
_WARM_UP = 3


class Replays:
    """Captured graphs of one model; safe to call from many threads.

    Args:
        make: gives a model of its own to each graph: uint8 [batch, height, width, 3] to an output [batch, ...], both
            on the card, launched on the current stream.
        images: shape of the largest batch, [batch, height, width, 3].
        device: the card.
    """

    def __init__(self, make: Callable[[], Model], images: tuple[int, ...], device: torch.device) -> None:
        self._free: queue.SimpleQueue[_Replay] = queue.SimpleQueue()
        for _ in range(STREAMS):
            self._free.put(_Replay(make(), images, device))

    def __call__(self, images: Tensor) -> npt.NDArray[np.float32]:
        """The output for one batch, float32 [batch, ...]; images in memory or on the card."""
        replay = None  # a Ctrl-C may come before it is taken
        try:
            replay = self._free.get()
            return replay(images)
        finally:
            if replay is not None:
                self._free.put(replay)


class _Replay:
    """One graph with its stream and its buffers; a smaller batch leaves the end of the buffers as it was."""

    def __init__(self, model: Model, images: tuple[int, ...], device: torch.device) -> None:
        self.model = model  # the graph goes on using the memory that this owns
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.inference_mode():
            self.images = torch.zeros(images, dtype=torch.uint8, device=device)
            torch.cuda.synchronize()
            with torch.cuda.stream(self.stream):
                for _ in range(_WARM_UP):
                    model(self.images)
            with capturing(self.graph, self.stream):
                self.output = model(self.images).float()
        self.answer = torch.empty(self.output.shape, dtype=torch.float32, pin_memory=True)

    def __call__(self, images: Tensor) -> npt.NDArray[np.float32]:
        batch = len(images)
        with torch.inference_mode(), torch.cuda.device(self.images.device):
            # Whoever gives a tensor on the card may still be computing it.
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                self.images[:batch].copy_(images, non_blocking=True)
                self.graph.replay()
                self.answer[:batch].copy_(self.output[:batch], non_blocking=True)
            self.stream.synchronize()
        return self.answer[:batch].numpy().copy()


@contextmanager
def capturing(graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream) -> Iterator[None]:
    """Captures what is launched inside. A capture that fails raises what went wrong in it, on the stream of before.

    `torch.cuda.graph` alone leaves the thread on the stream of a capture that it cannot end, and raises that it cannot.
    """
    failed: Exception | None = None
    try:
        # Other threads may go on using the card: this one's calls alone are what is captured.
        with torch.cuda.stream(stream), torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
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


#: How libraries say that a card's memory is full: torch, the driver and CUDA's runtime; TensorRT, in two ways; cuBLAS,
#: cuDNN and their like, by the name of a status.
_FULL = re.compile(r"out[ _]?of[ _]?memory|could not be allocated|ALLOC(ATION)?_FAILED", re.IGNORECASE)


def is_memory_full(error: BaseException) -> bool:
    """Whether a library's error says that there is no memory left: less of it may do."""
    return _FULL.search(str(error)) is not None


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
            if batch == 1:
                raise FerFastError(f"the card's memory does not hold a single image: {error}") from error
            torch.cuda.empty_cache()
            log.warning("the card's memory does not hold a batch of %d: trying %d", batch, batch // 2)
            batch //= 2

"""Timing on a GPU: a call comes in; the same call as a replayed graph, timed by the card's own events, goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

from fer_fast.bench.case import Agreement, Prepared

#: Calls before a capture: cuBLAS and cuDNN allocate and choose their kernels in the first ones.
WARM_UP = 3


def prepared(call: Callable[[], object], check: Callable[[], Agreement] | None = None) -> Prepared:
    """A call on the current device, ready to be timed."""
    return prepared_in_turn([call], check)


def prepared_in_turn(calls: Sequence[Callable[[], object]], check: Callable[[], Agreement] | None = None) -> Prepared:
    """The same for several calls that do the same on buffers of their own and are taken in turn, so that none is warm.

    Each is captured in a CUDA graph: the time is the kernels', not that of Python launching them.
    """
    graphs = [_captured(call) for call in calls]

    def timer(count: int) -> tuple[float, list[float]]:
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        marks[0].record()
        for number in range(count):
            graphs[number % len(graphs)].replay()
            marks[number + 1].record()
        torch.cuda.synchronize()
        seconds = [start.elapsed_time(end) / 1000 for start, end in pairwise(marks)]
        return marks[0].elapsed_time(marks[-1]) / 1000, seconds

    return Prepared(calls[0], check, timer=timer, note="CUDA graph")


def _captured(call: Callable[[], object]) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph

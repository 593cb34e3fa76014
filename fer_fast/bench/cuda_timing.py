"""Timing on a GPU: calls are captured in one CUDA graph, replayed and timed by the card's own events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from fer_fast.bench.case import Agreement, Prepared
from fer_fast.engines.replay import capturing

#: Calls before a capture: cuBLAS and cuDNN allocate and choose their kernels in the first ones.
WARM_UP = 3


def prepared(call: Callable[[], Any], compare: Callable[[Any], Agreement] | None = None) -> Prepared:
    """A call on the current device, ready to be timed; see `prepared_in_turn`."""
    return prepared_in_turn([call], compare)


def prepared_in_turn(calls: Sequence[Callable[[], Any]], compare: Callable[[Any], Agreement] | None = None) -> Prepared:
    """Calls that do the same on buffers of their own, captured in one CUDA graph, so that none finds its memory warm.

    The time is the kernels', not that of Python launching them: a call of a few microseconds would be lost in it.

    Args:
        calls: each returns a tensor, or several, that it wrote.
        compare: says how far an answer is off; it gets what the replayed graph wrote, not what a call returned.
    """
    graph, answers = _captured(calls)

    def timer(count: int) -> tuple[float, list[float]]:
        replays = -(-count // len(calls))
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(replays + 1)]  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        marks[0].record()
        for mark in marks[1:]:
            graph.replay()
            mark.record()
        torch.cuda.synchronize()
        each = [start.elapsed_time(end) / 1000 / len(calls) for start, end in pairwise(marks)]
        seconds = [second for second in each for _ in calls][:count]
        return sum(seconds), seconds

    def check() -> Agreement:
        assert compare is not None
        with torch.inference_mode():  # the answers were made in it
            for answer in answers:
                for tensor in [answer] if isinstance(answer, Tensor) else answer:
                    tensor.zero_()
        graph.replay()
        torch.cuda.synchronize()
        return max((compare(answer) for answer in answers), key=lambda agreement: agreement.error)

    return Prepared(calls[0], check if compare else None, timer=timer, note="CUDA graph")


def _captured(calls: Sequence[Callable[[], Any]]) -> tuple[torch.cuda.CUDAGraph, list[Any]]:
    """The graph, and what each call writes when it is replayed."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            for call in calls:
                call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with capturing(graph, stream):
        answers = [call() for call in calls]
    return graph, answers

"""The fused op and what it replaces, on exact taps in memory that is cold for all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fer_fast.bench import cuda_timing
from fer_fast.bench.case import Agreement, Case, Key, Prepared, Work
from fer_fast.bench.forms import TORCH_PRECISIONS
from fer_fast.bench.material import Material, compared
from fer_fast.models.dtypes import DTYPES
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.ops.tokens import fused_tokens, fused_tokens_reference

#: Sources and tokens in rotation, so that each call finds its memory cold: more than a last-level cache.
COLD_BYTES = 2**28

#: What each form of ours replaces.
INSTEAD = {"fused op": "as written", "fused op, then projection": "a convolution a source, summed"}

Arguments = dict[str, Any]


def cases(material: Material, device: str, batch: int) -> Iterator[Case]:
    """The op against plain PyTorch; and with the projection behind it against one convolution a source."""
    for precision in TORCH_PRECISIONS[device]:
        work = material.cost("tokens", precision, batch)
        for form, engine in (("fused op", "native"), (INSTEAD["fused op"], "torch")):
            prepare = partial(_op, material, engine, device, precision, batch)
            quick = precision == "fp32"
            yield Case(Key("tokens", form, engine, device, precision, batch), prepare, batch, work, quick)
    weight = material.fusion.vit.proj.weight
    tokens, cost = material.tokens(1)[0], material.cost("tokens", "fp32", batch)
    flop = 2.0 * tokens.shape[0] * weight.numel()
    # What is written are projected tokens, whatever lies between.
    work = Work(cost.bytes - 4 * tokens.numel() + 4 * tokens.shape[0] * weight.shape[0], flop)
    projected = "fused op, then projection"
    for form, engine in ((projected, "native"), (INSTEAD[projected], "torch")):
        prepare = partial(_projected, material, engine, device, batch)
        yield Case(Key("tokens", form, engine, device, "fp32", batch), prepare, batch, work, quick=False)


def arguments(material: Material, device: str, precision: str, batch: int) -> Arguments:
    """What both the op and its reference take: the exact taps, channels_last as the backbone leaves them."""
    model, dtype = material.fusion, DTYPES[precision]
    taps = [tap.to(device, dtype).contiguous(memory_format=torch.channels_last) for tap in material.taps(batch)]
    images = torch.from_numpy(material.pixels(batch)).to(device)
    means, inv_stds = model.statistics()
    return {
        "sources": [images, *taps] if "image" in material.fusion.config.sources else taps,
        "means": [mean.to(device) for mean in means],
        "inv_stds": [inv_std.to(device) for inv_std in inv_stds],
        "patches": model.patches,
        "grid": material.fusion.config.grid,
        "reduce_mean": model.reduce_mean,
        "out_dtype": dtype,
    }


class ColdCalls:
    """An op on copies of its sources, each with the token buffer that it last wrote kept alive.

    Args:
        op: called with `given`.
        given: the arguments.
        traffic: bytes that one call reads and writes.
    """

    def __init__(self, op: Callable[..., Tensor], given: Arguments, traffic: float) -> None:
        count = max(1, -(-COLD_BYTES // int(traffic)))
        copies = [given | {"sources": [source.clone() for source in given["sources"]]} for _ in range(count)]
        self.calls = [partial(self._run, op, copy) for copy in copies]
        self._turns = itertools.cycle(self.calls)
        self._kept: list[Tensor | None] = [None] * count
        for _ in range(2 * count):  # the allocator's memory is touched for the first time here, not while it is timed
            self()

    def __call__(self) -> Tensor:
        """Runs the op on the next copy."""
        return next(self._turns)()

    def _run(self, op: Callable[..., Tensor], copy: Arguments) -> Tensor:
        with torch.inference_mode():
            tokens = op(**copy)
        self._kept.append(tokens)  # old tokens live on, so that new ones are not written to warm memory
        self._kept.pop(0)
        return tokens


def _op(material: Material, engine: str, device: str, precision: str, batch: int) -> Prepared:
    op = fused_tokens if engine == "native" else fused_tokens_reference
    given = arguments(material, device, precision, batch)
    traffic = material.cost("tokens", precision, batch).bytes * batch
    return _cold(ColdCalls(op, given, traffic), [material.tokens(batch)], device, precision)


def _projected(material: Material, engine: str, device: str, batch: int) -> Prepared:
    given = arguments(material, device, "fp32", batch)
    projection = material.fusion.vit.proj
    with torch.inference_mode():
        exact = projection(material.tokens(batch))
    traffic = material.cost("tokens", "fp32", batch).bytes * batch
    if engine == "native":
        weight, bias = projection.weight.to(device), projection.bias.to(device)

        def fused(**copy: Any) -> Tensor:
            return torch.nn.functional.linear(fused_tokens(**copy), weight, bias)

        return _cold(ColdCalls(fused, given, traffic), [exact], device, "fp32")
    model = AlgebraicModel(material.fusion).to(device)

    def summed(sources: Sequence[Tensor], **_: Any) -> Tensor:
        pixels = [model.normalised(sources[0])] if "image" in material.fusion.config.sources else []
        return model.embed(pixels + list(sources[len(pixels) :]))

    return _cold(ColdCalls(summed, given, traffic), [exact], device, "fp32")


def _cold(calls: ColdCalls, exact: Sequence[Tensor], device: str, precision: str) -> Prepared:
    def compare(answer: Tensor) -> Agreement:
        return compared([answer], exact, precision)

    if device == "cpu":
        return Prepared(calls, lambda: compare(calls()))
    return cuda_timing.prepared_in_turn(calls.calls, compare)

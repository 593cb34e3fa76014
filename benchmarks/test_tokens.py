"""The fused op against memcpy and plain PyTorch: agreement first, then GB/s, from buffers that are cold for all."""

from __future__ import annotations

import ctypes
import statistics
from collections.abc import Callable

import pytest
import torch

from fer_fast.bench.case import wall_clock
from fer_fast.bench.limits import ThreadedCopy
from fer_fast.bench.material import compared
from fer_fast.bench.stages.tokens import COLD_BYTES, ColdCalls
from fer_fast.models.fusion.resnet18 import TAP_CHANNELS, TAP_STRIDES
from fer_fast.ops.tokens import fused_tokens, fused_tokens_reference

# glibc maps blocks this large anew each time, and what was timed would be page faults, of op and reference alike.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
ctypes.CDLL(None).mallopt(M_MMAP_MAX, 0)
ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

BATCH = 32
TAPS, PATCHES = ("FM2", "FM3", "FM4"), (16, 2, 1, 1)


def arguments(pixels: int, dtype: torch.dtype, channels_last: bool) -> dict:
    """The image and FM2, FM3, FM4 of ResNet-18 at 112 pixels and grid 7, or 224 and 14."""
    sources = [torch.randint(0, 256, (BATCH, pixels, pixels, 3), dtype=torch.uint8)]
    for name in TAPS:
        side = -(-pixels // TAP_STRIDES[name])
        tap = torch.randn(BATCH, TAP_CHANNELS[name], side, side).to(dtype)
        sources.append(tap.contiguous(memory_format=torch.channels_last) if channels_last else tap)
    channels = [3, *(TAP_CHANNELS[name] for name in TAPS)]
    return {
        "sources": sources,
        "means": [torch.randn(c) for c in channels],
        "inv_stds": [torch.rand(c) + 0.5 for c in channels],
        "patches": PATCHES,
        "grid": pixels // 16,
        "out_dtype": dtype,
    }


def seconds(call: Callable[[], object], rounds: int = 40) -> float:
    """The first quartile: other work on the machine only ever adds."""
    return statistics.quantiles(wall_clock(call, rounds, 1)[1])[0]


@pytest.mark.parametrize("layout", ["channels_last", "nchw"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("pixels", [112, 224])
def test_fused_tokens(benchmark, pixels: int, precision: str, layout: str) -> None:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    given = arguments(pixels, dtype, layout == "channels_last")
    tokens = fused_tokens(**given)
    agreement = compared([tokens], [fused_tokens_reference(**given | {"out_dtype": torch.float32})], precision)
    assert agreement.holds, agreement
    traffic = sum(source.nbytes for source in given["sources"]) + tokens.nbytes
    ours, reference = (ColdCalls(op, given, traffic) for op in (fused_tokens, fused_tokens_reference))
    benchmark(ours)
    taken, memcpy = seconds(ours), seconds(ThreadedCopy(traffic, buffers=-(-COLD_BYTES // traffic)))
    benchmark.extra_info |= {
        "gigabytes_per_second": round(traffic / taken / 1e9, 2),
        "fraction_of_memcpy": round(memcpy / taken, 3),
        "times_faster_than_reference": round(seconds(reference, rounds=8) / taken, 2),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    print(benchmark.extra_info)

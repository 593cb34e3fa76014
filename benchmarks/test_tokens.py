"""The fused op against memcpy and plain PyTorch: agreement first, then GB/s, from buffers that are cold for all."""

from __future__ import annotations

import ctypes
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fer_fast.tokens import fused_tokens, fused_tokens_reference

# glibc maps blocks this large anew each time, and what was timed would be page faults, of op and reference alike.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
ctypes.CDLL(None).mallopt(M_MMAP_MAX, 0)
ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

BATCH = 32
COLD_BYTES = 256 * 2**20  # rotated through: more than the last-level cache
CHANNELS, PATCHES = (3, 128, 256, 512), (16, 2, 1, 1)


def arguments(pixels: int, dtype: torch.dtype, channels_last: bool) -> dict:
    """The image and FM2, FM3, FM4 of ResNet-18 at 112 pixels and grid 7, or 224 and 14."""
    sources = [torch.randint(0, 256, (BATCH, pixels, pixels, 3), dtype=torch.uint8)]
    for channels, side in zip(CHANNELS[1:], (pixels // 8, pixels // 16, -(-pixels // 32)), strict=True):
        tap = torch.randn(BATCH, channels, side, side).to(dtype)
        sources.append(tap.contiguous(memory_format=torch.channels_last) if channels_last else tap)
    return {
        "sources": sources,
        "means": [torch.randn(c) for c in CHANNELS],
        "inv_stds": [torch.rand(c) + 0.5 for c in CHANNELS],
        "patches": PATCHES,
        "grid": pixels // 16,
        "out_dtype": dtype,
    }


def assert_agrees(given: dict) -> torch.Tensor:
    tokens = fused_tokens(**given)
    ulp = {torch.float32: 1e-5, torch.bfloat16: 2**-7}[given["out_dtype"]]
    torch.testing.assert_close(tokens, fused_tokens_reference(**given), rtol=ulp, atol=ulp)
    return tokens


class Memcpy:
    """Copies half of `traffic` bytes, which reads and writes `traffic`, with as many threads as the op has."""

    def __init__(self, traffic: int, buffers: int) -> None:
        self._threads = torch.get_num_threads()
        self._size = traffic // 2 // self._threads
        shape = (buffers, 2, self._threads * self._size)
        self._pairs = itertools.cycle(torch.ones(shape, dtype=torch.uint8))
        self._pool = ThreadPoolExecutor(self._threads)

    def __call__(self) -> None:
        """Copies once, from and to the next pair of buffers."""
        source, target = (half.data_ptr() for half in next(self._pairs))

        def part(i: int) -> None:
            ctypes.memmove(target + i * self._size, source + i * self._size, self._size)

        list(self._pool.map(part, range(self._threads)))


def seconds(function, rounds: int = 40) -> float:
    """The first quartile: other work on the machine only ever adds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return sorted(times)[rounds // 4]


@pytest.mark.parametrize("layout", ["channels_last", "nchw"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("pixels", [112, 224])
def test_fused_tokens(benchmark, pixels: int, dtype: torch.dtype, layout: str) -> None:
    given = arguments(pixels, dtype, layout == "channels_last")
    tokens = assert_agrees(given)
    traffic = sum(source.nbytes for source in given["sources"]) + tokens.nbytes
    buffers = -(-COLD_BYTES // traffic)
    copies = [given | {"sources": [source.clone() for source in given["sources"]]} for _ in range(buffers)]
    turns = itertools.cycle(copies)
    kept: list[torch.Tensor] = [tokens] * buffers  # old outputs live on, so that new ones are cold

    def once() -> None:
        kept.append(fused_tokens(**next(turns)))
        kept.pop(0)

    benchmark(once)
    ours, memcpy = seconds(once), seconds(Memcpy(traffic, buffers))
    reference = seconds(lambda: fused_tokens_reference(**next(turns)), rounds=8)
    benchmark.extra_info |= {
        "gigabytes_per_second": round(traffic / ours / 1e9, 2),
        "fraction_of_memcpy": round(memcpy / ours, 3),
        "times_faster_than_reference": round(reference / ours, 2),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    print(benchmark.extra_info)

"""What the CUDA kernel asks a card's memory for, counted on the host: each access of each warp, the kernel as it is.

A card moves sectors of 32 bytes. The kernel is as fast as its memory only if what it moves is what it needs, if many
threads share the work, and if a block waits for no one thread.
"""

from __future__ import annotations

import pytest
import torch
from token_cases import BF16, F16, F32, Case, product
from token_witnesses import Shim

NAMES = ("image", "FM2", "FM3", "FM4")


@pytest.mark.parametrize("layout", ["channels_last", "nchw"])
@pytest.mark.parametrize("dtype", [F32, F16, BF16], ids=str)
@pytest.mark.parametrize("pixels", [112, 224])
def test_what_is_moved_is_what_is_needed(pixels: int, dtype: torch.dtype, layout: str, shim: Shim) -> None:
    case: Case = product(pixels, dtype, layout, batch=1)
    arguments = case.arguments()
    tokens = case.grid**2 * dtype.itemsize
    for index, (name, source, patch) in enumerate(zip(NAMES, arguments["sources"], arguments["patches"], strict=True)):
        stores, loads = shim.traffic(index, **arguments)
        channels = arguments["means"][index].numel()
        assert stores.bytes == tokens * channels * patch**2, f"{name}: each element of a token is written once"
        statistics = loads.bytes - source.numel() * source.itemsize
        assert statistics % (2 * channels * 4) == 0, f"{name}: each pixel is read once, and statistics by each share"
        assert stores.bytes / stores.moved >= 0.95, name
        assert loads.bytes / loads.moved >= 0.9, name
        assert (stores.lanes + loads.lanes) / (stores.warp_lanes + loads.warp_lanes) >= 0.9, f"{name}: lanes with data"
        assert stores.lanes / stores.thread_slots >= 0.9, f"{name}: a block waits for its busiest thread"


def test_the_counts_are_those_of_a_warp(shim: Shim) -> None:
    """By hand: 4 tokens of 8 channels in fp32. Two threads write a sector of 32 bytes together, token by token."""
    pixels = torch.zeros(1, 8, 2, 2).contiguous(memory_format=torch.channels_last)
    arguments = {
        "sources": [pixels],
        "means": [torch.zeros(8)],
        "inv_stds": [torch.ones(8)],
        "patches": [1],
        "grid": 2,
        "reduce_mean": [False],
        "out_dtype": F32,
    }
    assert shim.plan(0, **arguments) == ("runs", 1, 2, 4 * 32 + 2 * 32)
    stores, loads = shim.traffic(0, **arguments)
    assert (stores.bytes, stores.moved, stores.lanes, stores.warp_lanes, stores.thread_slots) == (128, 128, 8, 128, 8)
    assert (loads.bytes, loads.moved, loads.lanes, loads.warp_lanes) == (128 + 64, 128 + 64, 12, 32 * (4 + 2))

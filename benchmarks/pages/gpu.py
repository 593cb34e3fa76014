"""docs/gpu.md: the costs of the stages, a card's limits and the decoders' differences come in, tables go out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from pages.shared import load, machine, rows_of, table

from fer_fast.bench.cards import CARDS

TOKENS = Path(__file__).resolve().parents[2] / "csrc" / "tokens"
PASCAL = CARDS["gtx-1080-ti"]
#: Title, stage and form of what a batch goes through; the last is all of it in one.
STAGES = (
    ("backbone: pixels to taps", "backbone", "pixels to taps"),
    ("fused op: image and taps to tokens", "tokens", "fused op"),
    ("Vision Transformer: tokens to logits", "vit", "tokens to logits"),
)


def pascal() -> str:
    """The roofline of a GTX 1080 Ti in fp32, stage by stage."""
    rows, seconds = [], 0.0
    for title, stage, form in STAGES:
        row = _cost(stage, form)
        moved, computed = row["bytes_per_image"], row["flop_per_image"]
        memory, compute = moved / PASCAL.bytes_per_second, computed / PASCAL.flop_per_second["fp32"]
        seconds += max(memory, compute)
        bound = "memory" if memory >= compute else "compute"
        cells = f"{moved / 1e6:.2f}", f"{computed / 1e9:.3f}", f"{1e6 * memory:.2f}", f"{1e6 * compute:.2f}", bound
        rows.append([title, *cells])
    rows.append(["all, one after the other", "", "", "", "", f"{1e6 * seconds:.1f} us: {1 / seconds:,.0f} images/s"])
    return table(["an image, fp32", "MB moved", "GFLOP", "us of memory", "us of compute", "bound"], rows)


def _cost(stage: str, form: str, precision: str = "fp32") -> dict[str, Any]:
    return rows_of(stage, form=form, precision=precision)[0]


class Chip(NamedTuple):
    """What decides how much must be on its way: see docs/gpu.md."""

    title: str
    precision: str
    bytes_per_second: float
    multiprocessors: int
    latency: float  # seconds


#: Datasheets: H100 SXM (HBM3), GTX 1080 Ti. Latencies: published microbenchmarks, rounded up.
CHIPS = (
    Chip("H100 SXM", "bf16", 3.35e12, 132, 800e-9),
    Chip("GTX 1080 Ti", "fp32", PASCAL.bytes_per_second, 28, 600e-9),
)
BATCH = 256
#: A launch for each source; what is lost between two; what a copy reaches of the peak.
LAUNCHES, GAP, COPY = 4, 1.5e-6, 0.9


def kernel() -> str:
    """What the CUDA kernel is expected to reach, from bytes in flight against latency."""
    rows, in_flight = [], _in_flight()
    for chip in CHIPS:
        moved = _cost("tokens", "fused op", chip.precision)["bytes_per_image"]
        needed = chip.bytes_per_second * chip.latency / chip.multiprocessors
        copied = BATCH * moved / (COPY * chip.bytes_per_second * min(1.0, in_flight / needed))
        seconds = copied + (LAUNCHES - 1) * GAP
        rows.append(
            [
                f"{chip.title}, {chip.precision}",
                f"{moved / 1e6:.2f}",
                f"{needed / 1e3:.1f}",
                f"{in_flight / 1e3:.1f}",
                f"{1e6 * seconds:.0f}",
                f"{BATCH * moved / seconds / 1e9:,.0f} ({BATCH * moved / seconds / chip.bytes_per_second:.2f})",
            ]
        )
    header = ["projection", "MB an image", "KB needed", "KB in flight", f"us for {BATCH} images", "GB/s (of the peak)"]
    return table(header, rows)


def _in_flight() -> int:
    """Bytes: of blocks that a multiprocessor holds at least, their threads, and the loads of each before it waits."""
    sources = [(TOKENS / name).read_text() for name in ("cuda_source.h", "tokens_kernel.h")]
    found = dict(re.findall(r"constexpr int32_t (k\w+) = (\d+);", "".join(sources)))
    return 16 * int(found["kCudaBlocks"]) * int(found["kCudaThreads"]) * int(found["kInFlight"])


def decoders() -> str:
    """The libraries' pixels and predictions against Pillow's."""
    record, rows = load("decoders"), []
    for name, sets in record["decoders"].items():
        for images, found in sets.items():
            share = 100 * len(found["changed"]) / found["images"]
            differences = f"{found['mean']:.3f}", f"{found['worst_mean']:.2f}", str(found["largest"])
            changed = f"{len(found['changed'])} ({share:.2f} %)"
            rows.append([name, images, f"{found['images']:,}", *differences, changed])
    header = [
        "decoder",
        "against Pillow's",
        "images",
        "mean difference",
        "worst image",
        "largest",
        "changed predictions",
    ]
    measured = f"Grey levels of 255; all on {record['device']}, on {machine(record['environment'])}"
    return f"{table(header, rows)}\n\n{measured}"


TABLES = {"kernel": kernel, "pascal": pascal, "decoders": decoders}

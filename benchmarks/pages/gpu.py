"""docs/gpu.md: the costs of the stages, a card's limits and the decoders' differences come in, tables go out."""

from __future__ import annotations

from typing import Any

from pages.shared import load, machine, rows_of, table

from fer_fast.bench.cards import CARDS

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


def _cost(stage: str, form: str) -> dict[str, Any]:
    return rows_of(stage, form=form, precision="fp32")[0]


def decoders() -> str:
    """DALI's pixels and predictions against Pillow's."""
    record, rows = load("decoders"), []
    for name, found in record["sets"].items():
        share = 100 * len(found["changed"]) / found["images"]
        differences = f"{found['mean']:.3f}", f"{found['worst_mean']:.2f}", str(found["largest"])
        rows.append([name, f"{found['images']:,}", *differences, f"{len(found['changed'])} ({share:.2f} %)"])
    header = ["DALI against Pillow", "images", "mean difference", "worst image", "largest", "changed predictions"]
    measured = f"Grey levels of 255; DALI on {record['device']}, on {machine(record['environment'])}"
    return f"{table(header, rows)}\n\n{measured}"


TABLES = {"pascal": pascal, "decoders": decoders}

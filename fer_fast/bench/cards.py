"""A table of GPU cards with its sources, and the roofline of work on one: a projection, never a measurement."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """What the vendor states of one card, at boost clock and dense (no structured sparsity).

    Attributes:
        name: the key in `CARDS`.
        title: the vendor's name, with the variant that the figures are of.
        bytes_per_second: peak of the device memory, in bytes a second (1 GB/s is 1e9).
        flop_per_second: precision (fp32, fp16, bf16, int8) to peak operations a second, a multiply-add counting as
            two. fp32 is plain fp32, not TF32. On tensor cores fp16 and bf16 accumulate in fp32, as torch and TensorRT
            have it, and int8 in int32. A precision is absent when the card has no instructions for it.
        sources: the documents with their table or column, as plain text.
        note: what a reader of the figures has to know.
    """

    name: str
    title: str
    bytes_per_second: float
    flop_per_second: dict[str, float]
    sources: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Projection:
    """The most that a card could do, and what bounds it.

    Attributes:
        images_per_second: an upper bound, which real runs stay below.
        bound: 'memory' or 'compute'.
    """

    images_per_second: float
    bound: str


_CARDS = (
    Card(
        name="gtx-1080-ti",
        title="NVIDIA GeForce GTX 1080 Ti (11 GB GDDR5X)",
        bytes_per_second=484e9,
        flop_per_second={"fp32": 11.3e12, "fp16": 11.3e12 / 64, "int8": 4 * 11.3e12},
        sources=(
            "NVIDIA Turing Architecture In-Depth, 2018, Table 1, GTX 1080 Ti column: bandwidth, fp32",
            "CUDA C Programming Guide, Throughput of Native Arithmetic Instructions, compute capability 6.1: "
            "2 fp16 against 128 fp32 results a clock",
            "NVIDIA Tesla P40 datasheet, the same GP102 chip: 47 TOPS int8 against 12 TFLOPS fp32",
        ),
        note="no tensor cores; int8 is dp4a, four multiply-adds in the place of one",
    ),
    Card(
        name="t4",
        title="NVIDIA T4 (16 GB GDDR6)",
        bytes_per_second=320e9,
        flop_per_second={"fp32": 8.1e12, "fp16": 65e12, "int8": 130e12},
        sources=(
            "NVIDIA T4 Tensor Core GPU datasheet 951643: fp32, mixed precision (FP16/FP32), int8",
            "NVIDIA T4 product brief PB-09256-001, Table 2: up to 320 GB/s",
        ),
        note="the datasheet says 300 GB/s; bf16 came with compute capability 8.0, this is 7.5",
    ),
    Card(
        name="a100",
        title="NVIDIA A100 SXM (80 GB HBM2e)",
        bytes_per_second=2039e9,
        flop_per_second={"fp32": 19.5e12, "fp16": 312e12, "bf16": 312e12, "int8": 624e12},
        sources=("NVIDIA A100 Tensor Core GPU datasheet 1758950-r4, A100 80GB SXM column",),
    ),
    Card(
        name="rtx-4090",
        title="NVIDIA GeForce RTX 4090 (24 GB GDDR6X)",
        bytes_per_second=1008e9,
        flop_per_second={"fp32": 82.6e12, "fp16": 165.2e12, "bf16": 165.2e12, "int8": 660.6e12},
        sources=("NVIDIA Ada GPU Architecture whitepaper v2.1, Appendix A, Table 2, GeForce RTX 4090 column",),
        note="fp16 with fp16 accumulation would be 330.3 TFLOP/s",
    ),
    Card(
        name="h200",
        title="NVIDIA H200 SXM (141 GB HBM3e)",
        bytes_per_second=4.8e12,
        flop_per_second={"fp32": 67e12, "fp16": 1979e12 / 2, "bf16": 1979e12 / 2, "int8": 3958e12 / 2},
        sources=("NVIDIA H200 Tensor Core GPU datasheet 3002446, H200 SXM column",),
        note="the datasheet gives tensor cores with sparsity; dense is half of that",
    ),
)
#: By name.
CARDS: dict[str, Card] = {card.name: card for card in _CARDS}


def find_card(name: str) -> Card:
    """The card of that name; ValueError, naming the known ones, when there is none."""
    if name not in CARDS:
        raise ValueError(f"card must be one of {', '.join(CARDS)}, not {name!r}")
    return CARDS[name]


def project(card: Card, precision: str, bytes_per_image: float, flop_per_image: float) -> Projection | None:
    """The roofline: memory and arithmetic overlap wholly, and the slower of the two sets the rate.

    Source: Williams, Waterman and Patterson, Roofline: An Insightful Visual Performance Model for Multicore
    Architectures, Communications of the ACM 52(4), 2009.

    Args:
        card: where.
        precision: fp32, fp16, bf16 or int8.
        bytes_per_image: moved between the device memory and the chip for one image.
        flop_per_image: operations for one image, a multiply-add counting as two.

    Returns:
        The upper bound in images a second, or None when the card lacks the precision.

    Raises:
        ValueError: a cost is negative, or both are 0.
    """
    costs = (bytes_per_image, flop_per_image)
    if not (all(cost >= 0 for cost in costs) and any(costs)):
        raise ValueError(f"bytes_per_image and flop_per_image must be 0 or more and not both 0, not {costs}")
    if precision not in card.flop_per_second:
        return None
    memory = bytes_per_image / card.bytes_per_second  # seconds an image
    compute = flop_per_image / card.flop_per_second[precision]  # seconds an image
    return Projection(1 / max(memory, compute), "memory" if memory >= compute else "compute")

"""The cards' figures against each other, and the roofline against cases worked by hand."""

from __future__ import annotations

import pytest

from fer_fast.bench.cards import CARDS, Card, Projection, find_card, project

CARD = Card("made", "made", bytes_per_second=100.0, flop_per_second={"fp32": 1000.0}, sources=("made",))
TENSOR_CARDS = [name for name in CARDS if name != "gtx-1080-ti"]


@pytest.mark.parametrize(
    ("bytes_per_image", "flop_per_image", "expected"),
    [
        (50, 100, Projection(2.0, "memory")),  # 0.5 s to move, 0.1 s to compute
        (10, 250, Projection(4.0, "compute")),  # 0.1 s, 0.25 s
        (50, 0, Projection(2.0, "memory")),
        (0, 500, Projection(2.0, "compute")),
        (20, 200, Projection(5.0, "memory")),  # the ridge: 10 operations a byte, both 0.2 s
    ],
)
def test_roofline_by_hand(bytes_per_image, flop_per_image, expected):
    assert project(CARD, "fp32", bytes_per_image, flop_per_image) == expected


def test_t4_by_hand():
    memory = project(CARDS["t4"], "fp16", bytes_per_image=32e6, flop_per_image=1e9)
    assert (memory.images_per_second, memory.bound) == (pytest.approx(10_000), "memory")  # 100 us against 15 us
    compute = project(CARDS["t4"], "fp32", bytes_per_image=32e6, flop_per_image=8.1e9)
    assert (compute.images_per_second, compute.bound) == (pytest.approx(1000), "compute")  # 100 us against 1 ms


@pytest.mark.parametrize("name", ["gtx-1080-ti", "t4"])
def test_absent_precision_projects_nothing(name):
    assert project(find_card(name), "bf16", 1.0, 1.0) is None


@pytest.mark.parametrize("costs", [(0, 0), (-1, 5), (5, -1), (-1, -1), (float("nan"), 1), (1, float("nan"))])
def test_work_must_cost_something(costs):
    with pytest.raises(ValueError, match="bytes_per_image and flop_per_image must be 0 or more and not both 0"):
        project(CARD, "fp32", *costs)


def test_find_card():
    assert find_card("rtx-4090").flop_per_second["fp16"] == 165.2e12
    names = "gtx-1080-ti, t4, a100, rtx-4090, h200"
    with pytest.raises(ValueError, match=rf"^card must be one of {names}, not 'v100'$"):
        find_card("v100")


@pytest.mark.parametrize("name", CARDS)
def test_every_card_is_complete(name):
    card = CARDS[name]
    assert card.name == name
    assert card.title.startswith("NVIDIA")
    assert card.sources
    assert not any("//" in text for text in (*card.sources, card.note))
    assert set(card.flop_per_second) <= {"fp32", "fp16", "bf16", "int8"}
    assert 1e11 < card.bytes_per_second < 1e13
    assert card.flop_per_second["int8"] > card.flop_per_second["fp32"]


def test_pascal_has_slow_fp16_and_dp4a():
    peaks = CARDS["gtx-1080-ti"].flop_per_second
    assert peaks["fp32"] / peaks["fp16"] == pytest.approx(64)  # CUDA guide, 6.1: 128 results a clock against 2
    assert peaks["int8"] / peaks["fp32"] == pytest.approx(47 / 12, rel=0.03)  # Tesla P40, the same chip
    assert peaks["fp32"] == pytest.approx(2 * 3584 * 1582e6, rel=0.01)  # a multiply-add, cores, boost clock


@pytest.mark.parametrize("name", TENSOR_CARDS)
def test_tensor_cores_beat_fp32_and_double_for_int8(name):
    peaks = CARDS[name].flop_per_second
    assert peaks["fp16"] >= 2 * peaks["fp32"]
    assert peaks.get("bf16", peaks["fp16"]) == peaks["fp16"]
    # GeForce halves fp16 with fp32 accumulation, not int8.
    assert peaks["int8"] / peaks["fp16"] == pytest.approx(4 if name == "rtx-4090" else 2, rel=0.001)

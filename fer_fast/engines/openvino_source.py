"""What OpenVINO compiles, wherever its graph comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_fast.engines.openvino_library import openvino
    from fer_fast.models.architecture import Sides


@dataclass(frozen=True)
class Source:
    """What is compiled: the graph of a checkpoint, or one that was exported.

    Attributes:
        precision: that the model runs in.
        sides: what images may be.
        make: gives the graph for batches of 1 to a number.
        key: what makes it another graph than those of other sources.
        rest: fp32 or bf16: what is computed in floating point is computed in it; where it is not told, in bf16 unless
            `precision` is fp32, where the processor has that.
        facts: what the engine says of it besides.
    """

    precision: str
    sides: Sides
    make: Callable[[int], openvino.Model]
    key: dict[str, str | int]
    rest: str = ""
    facts: dict[str, str] = field(default_factory=dict)

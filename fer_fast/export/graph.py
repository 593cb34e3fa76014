"""What is exported: a checkpoint comes in, its description and, for those who trace one, a torch module go out."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_fast.models.architecture import Architecture, Sides
from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint
from fer_fast.models.files.description import FORMAT
from fer_fast.models.registry import architecture_of
from fer_fast.version import __version__

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Graph:
    """An order for an export; the fields are those of `export_model`."""

    checkpoint: Checkpoint | FinderCheckpoint
    format: str
    precision: str
    batch_size: int
    find_size: int
    cards: tuple[str, ...] = ()

    @property
    def sides(self) -> Sides:
        """What images may be. TensorRT allocates for the largest."""
        sides = self.architecture.sides(self.checkpoint)
        if sides.fixed or not self.format.startswith("tensorrt"):
            return sides
        return Sides(sides.step, sides.only(self.find_size).most)

    @property
    def description(self) -> str:
        """What a program needs besides the graph, a line a fact, name and value; `files/description.py` reads it."""
        facts = [
            ("format", str(FORMAT)),
            ("version", __version__),
            ("kind", self.architecture.kind),
            ("model", self.checkpoint.digest),
            ("precision", self.precision),
            ("batch_size", str(self.batch_size)),
            *([("library", self.format)] if self.format.startswith("tensorrt") else []),
            *([] if self.sides.fixed else [("sides", f"{self.sides.step} {self.sides.most}")]),
            *self.architecture.facts(self.checkpoint),
        ]
        return "".join(f"{name} {value}\n" for name, value in facts)

    @property
    def architecture(self) -> Architecture[Any]:
        """What the checkpoint is."""
        return architecture_of(self.checkpoint)

    @property
    def output(self) -> str:
        """What the output is called."""
        return self.architecture.answer

    def module(self, precision: str, symmetric: bool = False, rest: str = "fp32") -> nn.Module:
        """What to trace; see `Architecture.exported`."""
        return self.architecture.exported(self.checkpoint, precision, symmetric, rest)


def sealed(description: str, **parts: bytes) -> str:
    """A description with size and CRC-32 of each part of a model, and of itself: whoever reads it compares them."""
    for name, data in parts.items():
        description += _sum(name, data)
    return description + _sum("description", description.encode())


def _sum(name: str, data: bytes) -> str:
    return f"{name} {len(data)} {zlib.crc32(data):08x}\n"

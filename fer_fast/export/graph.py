"""What is exported: a checkpoint comes in, a torch module without custom ops goes out."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_fast.models.algebraic import AlgebraicModel
from fer_fast.models.checkpoint import Checkpoint
from fer_fast.models.dtypes import DTYPES
from fer_fast.models.quantised import quantise
from fer_fast.models.storage import build_model
from fer_fast.version import __version__

OUTPUT = "probabilities"
#: Of the description and the graph's input and output; raise it when a program that reads them must change.
FORMAT = 1


@dataclass(frozen=True)
class Graph:
    """An order for an export; the fields are those of `export_model`."""

    checkpoint: Checkpoint
    format: str
    precision: str
    batch_size: int
    cards: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """What a program needs besides the graph, a line a fact: name and value. csrc/classifier reads it, too."""
        config = self.checkpoint.config
        facts = [
            ("format", str(FORMAT)),
            ("version", __version__),
            ("model", self.checkpoint.digest),
            ("precision", self.precision),
            ("image_size", str(config.image_size)),
            ("batch_size", str(self.batch_size)),
            *(("class", " ".join(name.split())) for name in config.classes),
        ]
        return "".join(f"{name} {value}\n" for name, value in facts)

    def example(self, batch: int = 2) -> Tensor:
        """An input, uint8 [batch, size, size, 3]."""
        size = self.checkpoint.config.image_size
        return torch.zeros(batch, size, size, 3, dtype=torch.uint8)


class ExportedModel(nn.Module):
    """Images to calibrated probabilities, the algebraic form inside.

    Args:
        model: in the precision that it runs in.
    """

    def __init__(self, model: AlgebraicModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Maps uint8 [batch, size, size, 3] to float32 [batch, classes], rows sum to 1."""
        logits: Tensor = self.model(images)
        return (logits.float() / self.model.config.temperature).softmax(dim=1)


def sealed(description: str, **parts: bytes) -> str:
    """A description with size and CRC-32 of each part of a model, and of itself: the C++ library compares them."""
    for name, data in parts.items():
        description += _sum(name, data)
    return description + _sum("description", description.encode())


def _sum(name: str, data: bytes) -> str:
    return f"{name} {len(data)} {zlib.crc32(data):08x}\n"


def graph_of(checkpoint: Checkpoint, precision: str, symmetric: bool = False, rest: str = "fp32") -> ExportedModel:
    """The module to export.

    Args:
        checkpoint: the model.
        precision: one of `DTYPES`, or int8.
        symmetric: how int8 quantises, see `QuantisedLayer`.
        rest: the precision of what int8 leaves.

    Raises:
        ValueError: int8 of a checkpoint without measured ranges.
    """
    model = AlgebraicModel(build_model(checkpoint))
    if precision == "int8":
        quantise(model, symmetric).round_to(DTYPES[rest])
    else:
        model.round_to(DTYPES[precision])
    return ExportedModel(model).eval()

"""The classifier's architecture: a checkpoint comes in, the forms of `FusionModel` in which it runs go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fer_fast.models.architecture import Architecture, Sides
from fer_fast.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch import nn


class FusionArchitecture(Architecture[Checkpoint]):
    """See `Architecture` for the methods."""

    kind = "classifier"
    output = "logits"
    answer = "probabilities"
    measure = "validation accuracy"
    graph_facts: ClassVar[dict[str, str]] = {"tokens": "convolutions"}
    eager_facts: ClassVar[dict[str, str]] = {"tokens": "fused op"}

    def sides(self, checkpoint: Checkpoint) -> Sides:
        """One size."""
        return Sides(checkpoint.config.image_size, checkpoint.config.image_size)

    def output_shape(self, checkpoint: Checkpoint, images: tuple[int, ...]) -> tuple[int, ...]:
        """[batch, classes]."""
        return images[0], len(checkpoint.config.classes)

    def facts(self, checkpoint: Checkpoint) -> list[tuple[str, str]]:
        """The size, how faces are cut for it, and the classes."""
        config = checkpoint.config
        classes = [("class", " ".join(name.split())) for name in config.classes]
        return [("image_size", str(config.image_size)), ("framing", config.framing), *classes]

    def int8_obstacle(self, checkpoint: Checkpoint) -> str:
        """It needs ranges."""
        known = checkpoint.config.activation_ranges
        return "" if known else "precision int8 needs a checkpoint with measured activation ranges; this one has none"

    def graph(
        self, checkpoint: Checkpoint, precision: str = "fp32", symmetric: bool = False, rest: str = "fp32"
    ) -> nn.Module:
        """The algebraic form, to logits."""
        from fer_fast.models.fusion_forms import Logits, algebraic

        return Logits(algebraic(checkpoint, precision, symmetric, rest)).eval()

    def exported(
        self, checkpoint: Checkpoint, precision: str = "fp32", symmetric: bool = False, rest: str = "fp32"
    ) -> nn.Module:
        """The algebraic form, to calibrated probabilities."""
        from fer_fast.models.fusion_forms import Probabilities, algebraic

        return Probabilities(algebraic(checkpoint, precision, symmetric, rest)).eval()

    def eager(self, checkpoint: Checkpoint, precision: str) -> nn.Module:
        """Batch norms folded, tokens by the native op."""
        from fer_fast.models.fusion_forms import eager

        return eager(checkpoint, precision)

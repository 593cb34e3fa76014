"""The three-part form: a checkpoint comes in, TensorRT's engines of what is before and after the fused op go out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from fer_fast.engines.onnx_graph import example, free_batch, onnx_of
from fer_fast.engines.tensorrt_context import Compiled, Context
from fer_fast.engines.tensorrt_sources import BuiltEngines
from fer_fast.models.architecture import INPUT
from fer_fast.models.dtypes import DTYPES

if TYPE_CHECKING:
    from fer_fast.engines.replay import Model
    from fer_fast.models.architecture import Sides
    from fer_fast.models.cut import Cut
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint


@dataclass(frozen=True)
class Part:
    """What becomes one engine.

    Attributes:
        name: before or after.
        module: with one input.
        input: what that is called.
        given: an example of it, of two images.
        outputs: what comes of that, by name.
    """

    name: str
    module: nn.Module
    input: str
    given: Tensor
    outputs: dict[str, Tensor]

    def graph(self, batch_size: int) -> bytes:
        """Its ONNX graph, for batches of 1 to a number."""
        return onnx_of(self.module, self.given, free_batch(batch_size), self.input, tuple(self.outputs))

    def compiled(self, library: Any, engine: Any, messages: Any, batch_size: int) -> Compiled:
        """Its engine with what contexts need to know."""
        outputs = {name: ((batch_size, *each.shape[1:]), each.dtype) for name, each in self.outputs.items()}
        return Compiled(library, engine, messages, self.input, (batch_size, *self.given.shape[1:]), outputs)


class CutEngines(BuiltEngines):
    """Two engines a batch size, with the native op between them.

    Raises:
        ValueError: a precision that this form has not, or a model that cannot be cut.
    """

    name: ClassVar[str] = "tensorrt-fused"
    precisions: ClassVar[tuple[str, ...]] = tuple(DTYPES)

    def __init__(self, checkpoint: Checkpoint | FinderCheckpoint, *arguments: Any) -> None:
        super().__init__(checkpoint, *arguments)
        if obstacle := self._architecture.cut_obstacle(checkpoint):
            raise ValueError(f"engine {self.name!r} cannot run this model: {obstacle}")
        self.facts = self._architecture.eager_facts

    def models(self, images: tuple[int, ...], device: torch.device) -> tuple[Callable[[], Model], str]:
        """See `Source.models`."""
        cut, both = self._cut
        (before, first), (after, second) = (self._compiled(part, cut.views * images[0]) for part in both)
        tokens = cut.tokens.to(device)

        def make() -> Model:
            last = Context(after, device)
            return replace(cut, before=Context(before, device), tokens=tokens, after=lambda given: last(given)[0])

        return make, first if first == second else f"{first}, {second}"

    @cached_property
    def _cut(self) -> tuple[Cut, Sequence[Part]]:
        """The network in parts, and what of it is compiled; the same for each batch size."""
        cut = self._architecture.cut(self._checkpoint, self.precision)
        return cut, parts(cut, self.sides, self.output)

    def _compiled(self, part: Part, batch_size: int) -> tuple[Compiled, str]:
        key = {**self.key(batch_size), "part": part.name}
        engine, said = self._kept(key, batch_size, lambda: part.graph(batch_size), part.name)
        return part.compiled(self._library, engine, self.messages, batch_size), said


def parts(cut: Cut, sides: Sides, output: str) -> Sequence[Part]:
    """What a compiler takes of a network: the part before the native op, and the one after it.

    Args:
        cut: as an architecture makes it.
        sides: what images may be.
        output: what the network's output is called.
    """
    assert isinstance(cut.before, nn.Module)
    assert isinstance(cut.after, nn.Module)
    with torch.inference_mode():
        images = example(sides)
        maps = list(cut.before(images))
        tokens = cut.tokens(images, maps)
        answer = cut.after(tokens)
    named = {f"map{place}": each for place, each in enumerate(maps)}
    before = Part("before", cut.before, INPUT, images, named)
    return before, Part("after", cut.after, "tokens", tokens, {output: answer})

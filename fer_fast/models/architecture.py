"""What engines and exports ask of an architecture; torch is loaded for its forms alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from fer_fast.models.cut import Cut
    from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint

#: What the input of every graph is called.
INPUT = "images"
AnyCheckpoint = TypeVar("AnyCheckpoint", "Checkpoint", "FinderCheckpoint")


@dataclass(frozen=True)
class Sides:
    """Heights and widths that a model takes, in pixels.

    Attributes:
        step: each side is a multiple of it.
        most: and not larger.
    """

    step: int
    most: int

    @property
    def fixed(self) -> bool:
        """Whether there is one size alone."""
        return self.step == self.most

    @property
    def example(self) -> tuple[int, int]:
        """A height and a width to trace a graph with; where they may differ they do, lest they be taken for one."""
        return (self.step, self.step) if self.fixed else (2 * self.step, 3 * self.step)

    def canvas(self, height: int, width: int) -> tuple[int, int]:
        """The smallest height and width that hold an image."""
        return -(-height // self.step) * self.step, -(-width // self.step) * self.step

    def only(self, side: int) -> Sides:
        """One size alone, squares of at least `side`: for what is compiled for a single shape."""
        most = self.canvas(side, side)[0]
        return Sides(most, most)


class Architecture(ABC, Generic[AnyCheckpoint]):
    """One kind of model: uint8 images [batch, height, width, 3] come in, one float32 array [batch, ...] goes out.

    Attributes:
        config: the class of its configurations, whose `architecture` is this architecture's name.
        kind: what a model of it is: classifier or finder.
        output: what a graph's output is called.
        answer: the same of an exported graph.
        measure: what `precision_falls` are falls of.
        version: of the distribution that brings it; empty for the package's own.
        graph_facts, eager_facts: what an engine that runs that form says of it.
    """

    config: ClassVar[Any]
    version: str = ""
    kind: str
    output: str
    answer: str
    measure: str
    graph_facts: ClassVar[dict[str, str]] = {}
    eager_facts: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def shapes(self, config: Any) -> Iterator[Shape]:
        """Names and shapes of the tensors of a configuration, those of `network`, one at a time."""

    @abstractmethod
    def network(self, config: Any) -> nn.Module:
        """The network in torch, as it is trained, with weights of chance."""

    @abstractmethod
    def sides(self, checkpoint: AnyCheckpoint) -> Sides:
        """What images may be."""

    @abstractmethod
    def output_shape(self, checkpoint: AnyCheckpoint, images: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the output for images of a shape, [batch, height, width, 3]."""

    def versions(self, config: Any) -> dict[str, str]:
        """What may lay another graph for the same checkpoint one day: versions of distributions, by architecture."""
        return {self.config.architecture: self.version} if self.version else {}

    @abstractmethod
    def facts(self, checkpoint: AnyCheckpoint) -> list[tuple[str, str]]:
        """What an exported model's description says of it: names and values."""

    @abstractmethod
    def int8_obstacle(self, checkpoint: AnyCheckpoint) -> str:
        """Why int8 cannot run it, a sentence; empty where it can."""

    @abstractmethod
    def lay(self, checkpoint: AnyCheckpoint, layers: Layers[Value], images: Value) -> Value:
        """Lays the network for an engine that has layers of its own.

        Args:
            checkpoint: the model.
            layers: the engine's.
            images: uint8 [batch, height, width, 3].

        Returns:
            The output, float32.

        Raises:
            CheckpointError: the weights do not fit their configuration.
        """

    @abstractmethod
    def lay_exported(self, checkpoint: AnyCheckpoint, layers: Layers[Value], images: Value) -> Value:
        """The same with what a program without this package would have to do to the output."""

    @abstractmethod
    def graph(
        self, checkpoint: AnyCheckpoint, precision: str = "fp32", symmetric: bool = False, rest: str = "fp32"
    ) -> nn.Module:
        """The form for graph compilers that take a torch module, without custom ops, in eval mode.

        Args:
            checkpoint: the model.
            precision: of weights and activations: fp32, bf16, fp16, or int8.
            symmetric: how int8 quantises, see `QuantisedLayer`.
            rest: the precision of what int8 leaves.

        Raises:
            CheckpointError: the weights do not fit their configuration.
            ValueError: int8 where it has an obstacle.
        """

    @abstractmethod
    def exported(
        self, checkpoint: AnyCheckpoint, precision: str = "fp32", symmetric: bool = False, rest: str = "fp32"
    ) -> nn.Module:
        """The same with what a program without this package would have to do to the output."""

    @abstractmethod
    def eager(self, checkpoint: AnyCheckpoint, precision: str) -> nn.Module:
        """The form for torch, with the native ops, on the CPU.

        Raises:
            CheckpointError: the weights do not fit their configuration.
        """

    def cut_obstacle(self, checkpoint: AnyCheckpoint) -> str:
        """Why the network cannot run in three parts, a sentence; empty where it can, see `cut`."""
        return f"the network of a {checkpoint.config.architecture!r} has no fused op at which it could be cut"

    def cut(self, checkpoint: AnyCheckpoint, precision: str) -> Cut:
        """The form in three parts, on the CPU: for graph compilers but for the native op in the middle.

        Args:
            checkpoint: the model.
            precision: of weights and activations: fp32, bf16 or fp16.

        Raises:
            CheckpointError: the weights do not fit their configuration.
            ValueError: there is an obstacle.
        """
        raise ValueError(self.cut_obstacle(checkpoint))

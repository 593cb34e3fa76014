"""The face finder's architecture: a checkpoint comes in, `FinderNetwork` as it runs goes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fer_fast.models.architecture import Architecture, Sides
from fer_fast.models.files.checkpoint import FinderCheckpoint
from fer_fast.models.finder.config import COLUMNS, LARGEST_SIDE, STRIDES, FinderConfig, cell_count
from fer_fast.models.finder.layers import finder_shapes, lay_cells
from fer_fast.models.layers import Layers, Value
from fer_fast.models.tensors import Shape

if TYPE_CHECKING:
    from torch import nn


class FinderArchitecture(Architecture[FinderCheckpoint]):
    """See `Architecture` for the methods."""

    config = FinderConfig
    kind = "finder"
    output = "cells"
    answer = "cells"
    measure = "average precision"

    def shapes(self, config: FinderConfig) -> Iterator[Shape]:
        """Those of `FinderNetwork`."""
        return finder_shapes()

    def network(self, config: FinderConfig) -> nn.Module:
        """`FinderNetwork`."""
        from fer_fast.models.finder.network import FinderNetwork

        return FinderNetwork()

    def sides(self, checkpoint: FinderCheckpoint) -> Sides:
        """Multiples of the largest stride."""
        return Sides(max(STRIDES), LARGEST_SIDE)

    def output_shape(self, checkpoint: FinderCheckpoint, images: tuple[int, ...]) -> tuple[int, ...]:
        """[batch, cells, columns]."""
        batch, height, width, _ = images
        return batch, cell_count(height, width), COLUMNS

    def facts(self, checkpoint: FinderCheckpoint) -> list[tuple[str, str]]:
        """How the cells are read."""
        return [("strides", " ".join(map(str, STRIDES))), ("cells", str(COLUMNS))]

    def int8_obstacle(self, checkpoint: FinderCheckpoint) -> str:
        """Eight bits lose most faces, and win no time where the heads stay in floating point."""
        return "precision int8 is not there for a face finder: it would lose most faces"

    def lay(self, checkpoint: FinderCheckpoint, layers: Layers[Value], images: Value) -> Value:
        """The network."""
        return lay_cells(checkpoint, layers, images)

    lay_exported = lay

    def graph(
        self, checkpoint: FinderCheckpoint, precision: str = "fp32", symmetric: bool = False, rest: str = "fp32"
    ) -> nn.Module:
        """The network; what follows its last convolutions is fp32 in any precision.

        Raises:
            CheckpointError: the weights do not fit their configuration.
            ValueError: int8.
        """
        if precision == "int8":
            raise ValueError(self.int8_obstacle(checkpoint))
        from fer_fast.models.dtypes import DTYPES
        from fer_fast.models.files.storage import build_finder

        return build_finder(checkpoint).to(DTYPES[precision])

    exported = graph

    def eager(self, checkpoint: FinderCheckpoint, precision: str) -> nn.Module:
        """The network, its weights as vector units want them."""
        from fer_fast.models.batch_norm import channels_last

        model = self.graph(checkpoint, precision)
        channels_last(model)
        return model

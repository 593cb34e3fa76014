"""The network: normalised pixels come in, logits go out.

It is that of Alizadeh & Fazel 2017: convolutions with batch norm, ReLU, max-pooling and dropout, then dense layers with
ReLU and dropout, then the classes; shallow with two and one, deep with four and two. The widths are this package's.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.cnn.config import CNNConfig
from fer_fast.models.network import Network


class Map(nn.Module):
    """A 3 x 3 convolution, and a pooling to half the side."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, inputs, h, w] to [batch, outputs, h // 2, w // 2]."""
        # Pooled first: the same as ReLU first, and dropout then draws a quarter of the numbers.
        return self.dropout(F.relu(F.max_pool2d(self.norm(self.conv(x)), 2)))  # type: ignore[no-any-return]


class Dense(nn.Module):
    """A linear layer."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, inputs] to [batch, outputs]."""
        return self.dropout(F.relu(self.linear(x)))  # type: ignore[no-any-return]


class CNN(Network):
    """See the module's words.

    Args:
        config: size, widths and classes.
    """

    config: CNNConfig

    def __init__(self, config: CNNConfig) -> None:
        super().__init__(config)
        self.maps = nn.Sequential(*(Map(*widths, config.dropout) for widths in config.convolutions()))
        self.dense = nn.Sequential(*(Dense(*widths, config.dropout) for widths in config.dense_layers()))
        self.head = nn.Linear(config.dense[-1], len(config.classes))

    def stages(self) -> dict[str, nn.Module]:
        """Each convolution, pooled."""
        return {f"map {number}": layer for number, layer in enumerate(self.maps, 1)}

    def logits(self, pixels: Tensor) -> Tensor:
        """See `Network.logits`."""
        return self.head(self.dense(self.maps(pixels).flatten(1)))  # type: ignore[no-any-return]

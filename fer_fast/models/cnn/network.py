"""The network: normalised pixels come in, logits go out.

It is that of Alizadeh & Fazel 2017: convolutions with batch norm, ReLU, max-pooling and dropout, then dense layers with
ReLU and dropout, then the classes; shallow with two and one, deep with four and two. In the hybrid ones HOG features of
the image join the last map before the dense layers. The widths are this package's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_fast.models.cnn.config import CNNConfig
from fer_fast.models.cnn.hog import BLOCK, CELL, CUT, EPSILON, LEAST, SCALE, SHORTEST, rays
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


class HOG(nn.Module):
    """What `hog.lay_hog` lays; nothing in it is learnt. It computes in fp32: a flat block's length is below fp16's."""

    #: Added to a square where a derivative is asked for: the root has none at 0, which flat parts of an image are.
    TINY = 1e-34

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, 1, side, side] to features [batch, hog_width(side)], of the same type."""
        dtype, x = x.dtype, x.float() * SCALE
        down = F.pad(x[:, :, 2:] - x[:, :, :-2], (0, 0, 1, 1))
        across = F.pad(x[..., 2:] - x[..., :-2], (1, 1))
        squares = (down.square() + across.square() - SHORTEST * SCALE**2).relu()
        if x.requires_grad:
            squares = squares + self.TINY
        shares = self._orientations(down, across) * squares.sqrt()
        cells = F.avg_pool2d(shares, CELL)
        rows, columns = (length - BLOCK + 1 for length in cells.shape[2:])
        corners = [(row, column) for row in range(BLOCK) for column in range(BLOCK)]
        blocks = torch.cat([cells[:, :, row : row + rows, column : column + columns] for row, column in corners], 1)
        cut = _normalised(blocks).clamp(max=CUT) * SCALE
        return _normalised(cut).permute(0, 2, 3, 1).flatten(1).to(dtype)

    def _orientations(self, down: Tensor, across: Tensor) -> Tensor:
        """Of each pixel 1 in the channel of its orientation, 0 in the others."""
        sides = torch.cat([down * cosine - across * sine for cosine, sine in zip(*rays(), strict=True)], 1)
        beyond = F.pad((sides * down - LEAST * SCALE**2).sign().relu(), (0, 0, 0, 0, 0, 1))
        return torch.cat([1 - beyond[:, :1], beyond[:, :-1] - beyond[:, 1:]], 1)


def _normalised(blocks: Tensor) -> Tensor:
    """Each block [batch, block's values, rows, columns], scaled, over its length."""
    squares = blocks.square().mean(dim=1, keepdim=True) * blocks.shape[1]
    return blocks / (squares + (EPSILON * SCALE) ** 2).sqrt()


class CNN(Network):
    """See the module's words.

    Args:
        config: size, widths and classes.
    """

    config: CNNConfig

    def __init__(self, config: CNNConfig) -> None:
        super().__init__(config)
        self.maps = nn.Sequential(*(Map(*widths, config.dropout) for widths in config.convolutions()))
        self.hog = HOG() if config.hog else None
        self.dense = nn.Sequential(*(Dense(*widths, config.dropout) for widths in config.dense_layers()))
        self.head = nn.Linear(config.dense[-1], len(config.classes))

    def stages(self) -> dict[str, nn.Module]:
        """Each convolution, pooled."""
        return {f"map {number}": layer for number, layer in enumerate(self.maps, 1)}

    def logits(self, pixels: Tensor) -> Tensor:
        """See `Network.logits`."""
        features = self.maps(pixels).flatten(1)
        if self.hog is not None:
            features = torch.cat([features, self.hog(pixels)], 1)
        return self.head(self.dense(features))  # type: ignore[no-any-return]

"""The Vision Transformer behind the tokens: raw patch tokens come in, class logits go out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention (Dosovitskiy et al. 2021, Appendix A)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, tokens, width] to the same shape."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each [batch, heads, tokens, width / heads]
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One pre-norm encoder layer; `drop_path` is the chance to skip a branch for an image while training."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        hidden = int(width * mlp_ratio)
        last = nn.Linear(hidden, width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), last)
        # A new layer passes on what it gets: behind a backbone that is trained already, nothing is unlearnt.
        for branch in (self.attn.proj, last):
            nn.init.zeros_(branch.weight)
            nn.init.zeros_(branch.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [batch, tokens, width] to the same shape."""
        x = x + self._dropped(self.attn(self.norm1(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        mask = torch.rand(branch.shape[0], 1, 1, device=branch.device) < keep
        return branch * mask / keep


class VisionTransformer(nn.Module):
    """ViT (Dosovitskiy et al. 2021) over ready-made patch tokens, mean-pooled (Beyer et al. 2022).

    Args:
        k: length of a raw token.
        tokens: tokens an image, grid * grid.
        width: embedding length, a multiple of `heads`.
        depth: encoder layers.
        heads: attention heads.
        classes: number of logits.
        mlp_ratio: hidden width of the MLP as a multiple of `width`.
        drop_path: stochastic depth of the last layer; earlier layers get less, linearly.
    """

    def __init__(
        self,
        *,
        k: int,
        tokens: int,
        width: int,
        depth: int,
        heads: int,
        classes: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.proj = nn.Linear(k, width)
        self.pos_embed = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        rates = [drop_path * layer / max(1, depth - 1) for layer in range(depth)]
        self.blocks = nn.Sequential(*(Block(width, heads, mlp_ratio, rate) for rate in rates))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps raw tokens [batch, tokens, k] to logits [batch, classes]."""
        return self.encode(self.proj(tokens))

    def encode(self, embedded: Tensor) -> Tensor:
        """Maps projected tokens [batch, tokens, width] to logits [batch, classes]."""
        x = self.norm(self.blocks(embedded + self.pos_embed))
        return self.head(x.mean(dim=1))  # type: ignore[no-any-return]

"""A fusion model's weights come in, its network is laid: the algebraic form (`algebraic.py`), without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import numpy as np

from fer_fast.models.fusion.backbones import BACKBONES
from fer_fast.models.fusion.config import FusionConfig
from fer_fast.models.fusion.sources import is_reduced, source_channels, source_patch, source_size
from fer_fast.models.layers import Array, Layers, Value
from fer_fast.models.resizing import resize_matrix
from fer_fast.models.tensors import Tensors


def lay_logits(config: FusionConfig, tensors: Tensors, layers: Layers[Value], pixels: Value) -> Value:
    """The network from normalised pixels [batch, 3, size, size] to logits [batch, classes]."""
    sources = {"image": pixels}
    if config.taps:
        maps = BACKBONES[config.backbone].lay(layers, tensors, config.image_size, pixels, config.stages)
        sources |= {f"FM{stage}": tap for stage, tap in enumerate(maps, 1)}
    embedded = Embedding(layers, tensors, config).embedded(sources)
    return Transformer(layers, tensors).logits(embedded, config.depth, config.heads)


@dataclass(frozen=True)
class Embedding(Generic[Value]):
    """Sources to projected tokens; `SourceProjection` says why by convolutions."""

    layers: Layers[Value]
    tensors: Tensors
    config: FusionConfig

    def embedded(self, sources: dict[str, Value]) -> Value:
        """Maps by name to tokens [batch, grid * grid, width], their places added."""
        config = self.config
        weight, bias = self.tensors.layer("vit.proj")  # [width, columns of all sources]
        embedded: Value | None = None
        for place, name in enumerate(config.sources):
            columns = source_channels(name, config) * source_patch(name, config) ** 2
            own, weight = np.split(weight, [columns], axis=1)
            kernel, shift = self._kernel(name, own)
            # The projection's own bias goes with the first source: behind a convolution it costs nothing.
            tokens = self._projected(place, sources[name], kernel, shift if place else shift + bias)
            embedded = tokens if embedded is None else self.layers.add(embedded, tokens)
        assert embedded is not None, "a configuration has sources"
        return self.layers.add(embedded, self.tensors["vit.pos_embed"])

    def _kernel(self, name: str, weight: Array) -> tuple[Array, Array]:
        """A source's share of the projection [width, columns] as a kernel and a bias, its normalisation folded."""
        config = self.config
        patch, channels = source_patch(name, config), source_channels(name, config)
        kernel = weight.reshape(len(weight), patch, patch, channels).transpose(0, 3, 1, 2).astype(np.float64)
        if name == "image":  # normalised already, for the backbone
            return kernel, np.zeros(len(weight))
        kernel = kernel * self.tensors[f"inv_std_{name}"].reshape(1, -1, 1, 1)
        return kernel, -np.einsum("wcyx,c->w", kernel, self.tensors[f"mean_{name}"])

    def _projected(self, place: int, source: Value, kernel: Array, bias: Array) -> Value:
        """A source's maps to its share of the tokens [batch, grid * grid, width]."""
        config = self.config
        name = config.sources[place]
        size, patch = source_size(name, config), source_patch(name, config)
        target = config.grid * patch
        rows = resize_matrix(size, target)
        after = patch == 1  # a patch of one pixel commutes with resizing; resize the fewer channels
        if is_reduced(name, config):
            source = self.layers.mean(source, 1, keep=True)
        if size != target and not after:
            source = self.layers.product(self.layers.product(rows, source), rows.T)
        maps = self.layers.convolution(f"projections.{place}.conv", source, kernel, bias, stride=patch)
        side = size if after else config.grid
        tokens = self.layers.transpose(self.layers.reshape(maps, [0, config.width, side * side]), [0, 2, 1])
        if size != target and after:
            # Both directions at once, [grid * grid, size * size]: there are few tokens.
            tokens = self.layers.product(np.kron(rows, rows), tokens)
        return tokens


@dataclass(frozen=True)
class Transformer(Generic[Value]):
    """`VisionTransformer.encode`."""

    layers: Layers[Value]
    tensors: Tensors

    def logits(self, embedded: Value, depth: int, heads: int) -> Value:
        """Tokens [batch, tokens, width] to logits [batch, classes]."""
        x = embedded
        for block in range(depth):
            x = self._block(f"vit.blocks.{block}", x, heads)
        return self._linear("vit.head", self.layers.mean(self._norm("vit.norm", x), 1))

    def _block(self, name: str, x: Value, heads: int) -> Value:
        mixed = self.layers.attention(self._linear(f"{name}.attn.qkv", self._norm(f"{name}.norm1", x)), heads)
        x = self.layers.add(x, self._linear(f"{name}.attn.proj", mixed))
        hidden = self.layers.gelu(self._linear(f"{name}.mlp.0", self._norm(f"{name}.norm2", x)))
        return self.layers.add(x, self._linear(f"{name}.mlp.2", hidden))

    def _linear(self, name: str, x: Value) -> Value:
        return self.layers.linear(name, x, *self.tensors.layer(name))

    def _norm(self, name: str, x: Value) -> Value:
        return self.layers.layer_norm(x, *self.tensors.layer(name))

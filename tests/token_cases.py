"""The fused op's test table: descriptions of sources come in, tensors and tolerances go out."""

from __future__ import annotations

from dataclasses import dataclass

import torch

F32, F16, BF16, U8 = torch.float32, torch.float16, torch.bfloat16, torch.uint8

#: Per output dtype (relative, absolute), in units of the output. The witnesses differ in the order of their sums alone.
TOLERANCES = {
    F32: (1e-5, 1e-5),  # sums of up to 255 over some ten taps, rounded at 2^-24, divided by a deviation of about 60
    F16: (2**-10, 1e-4),  # fp32 sums to either side of a tie end one ulp apart: 2^-10
    BF16: (2**-7, 1e-3),  # likewise: 2^-7
}


@dataclass(frozen=True)
class Source:
    """`layout`: nchw, channels_last, sliced (every second pixel of a larger map), flipped (h, w exchanged), shifted
    (nchw off the 16-byte grid) or image.
    """

    channels: int
    height: int
    width: int
    patch: int
    dtype: torch.dtype = F32
    layout: str = "channels_last"
    reduce: bool = False

    def tensor(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        c, h, w = self.channels, self.height, self.width
        if self.dtype == U8:
            if self.layout == "sliced":
                return torch.randint(0, 256, (batch, h + 3, w + 2, c), dtype=U8, generator=generator)[:, 1 : h + 1, 2:]
            return torch.randint(0, 256, (batch, h, w, c), dtype=U8, generator=generator)
        if self.layout == "sliced":
            larger = torch.randn((batch, c + 1, 2 * h, 2 * w), generator=generator).to(self.dtype)
            return larger[:, 1:, ::2, 1::2]
        if self.layout == "flipped":
            return torch.randn((batch, c, w, h), generator=generator).to(self.dtype).transpose(2, 3)
        pixels = torch.randn((batch, c, h, w), generator=generator).to(self.dtype)
        if self.layout == "shifted":
            return torch.cat([pixels.new_zeros(1), pixels.flatten()])[1:].view(pixels.shape)
        return pixels.contiguous(memory_format=torch.channels_last) if self.layout == "channels_last" else pixels


@dataclass(frozen=True)
class Case:
    sources: tuple[Source, ...]
    grid: int
    batch: int = 2
    out_dtype: torch.dtype = F32

    def arguments(self, seed: int = 0) -> dict[str, object]:
        """Keyword arguments of `fused_tokens`."""
        generator = torch.Generator().manual_seed(seed)
        means, inv_stds = [], []
        for source in self.sources:
            size = 1 if source.reduce else source.channels
            image = source.dtype == U8
            means.append(torch.rand(size, generator=generator) + (120.0 if image else -0.5))
            inv_stds.append((torch.rand(size, generator=generator) + 0.5) / (60.0 if image else 1.0))
        return {
            "sources": [source.tensor(self.batch, generator) for source in self.sources],
            "means": means,
            "inv_stds": inv_stds,
            "patches": [source.patch for source in self.sources],
            "grid": self.grid,
            "reduce_mean": [source.reduce for source in self.sources],
            "out_dtype": self.out_dtype,
        }


def product(pixels: int, dtype: torch.dtype, layout: str, batch: int, reduce: bool = False) -> Case:
    """The image and FM2, FM3, FM4 of ResNet-18, as the hybrid takes them."""
    grid = {112: 7, 224: 14}[pixels]
    taps = [(128, pixels // 8, 2), (256, pixels // 16, 1), (512, -(-pixels // 32), 1)]
    maps = tuple(Source(c, s, s, patch, dtype, layout, reduce) for c, s, patch in taps)
    return Case((Source(3, pixels, pixels, 16, U8, "image"), *maps), grid, batch, dtype)


CASES = {
    "product 112 fp32": product(112, F32, "channels_last", 2),
    "product 112 bf16 nchw": product(112, BF16, "nchw", 2),
    "product 112 reduced": product(112, F32, "channels_last", 1, reduce=True),
    "product 224 fp32, past the caches": product(224, F32, "channels_last", 3),
    "batch 0": Case((Source(8, 4, 4, 1),), 4, batch=0),
    "batch 1": Case((Source(8, 4, 4, 2),), 2, batch=1),
    "one pixel": Case((Source(1, 1, 1, 1),), 1),
    "one channel": Case((Source(1, 6, 6, 2, layout="nchw"),), 3),
    "odd sizes": Case((Source(5, 7, 9, 3), Source(19, 5, 3, 1, layout="nchw")), 5),
    "odd channels, right size": Case((Source(21, 9, 9, 3), Source(21, 9, 9, 3, layout="nchw")), 3),
    "enlarged": Case((Source(24, 4, 4, 1), Source(24, 4, 4, 1, layout="nchw")), 7),
    "shrunk": Case((Source(16, 31, 29, 2), Source(16, 31, 29, 2, layout="nchw")), 4),
    "shrunk a lot": Case((Source(3, 97, 101, 1), Source(3, 103, 99, 1, U8)), 2),
    "one axis resized": Case((Source(16, 8, 5, 2), Source(16, 5, 8, 2, layout="nchw")), 4),
    "sliced": Case((Source(16, 8, 8, 2, layout="sliced"), Source(9, 3, 3, 1, layout="sliced")), 4),
    "flipped": Case((Source(16, 8, 8, 2, layout="flipped"), Source(9, 3, 5, 1, layout="flipped")), 4),
    "image": Case((Source(3, 32, 32, 16, U8, "image"),), 2),
    "image enlarged": Case((Source(3, 48, 48, 16, U8, "image"),), 7, batch=1),
    "image sliced": Case((Source(3, 32, 32, 16, U8, "sliced"), Source(3, 20, 17, 4, U8, "sliced")), 2),
    "image reduced": Case((Source(3, 32, 32, 16, U8, "image", reduce=True),), 2),
    "reduced": Case((Source(37, 6, 6, 2, reduce=True), Source(37, 6, 6, 2, layout="nchw", reduce=True)), 3),
    "reduced, resized": Case((Source(37, 9, 5, 2, reduce=True), Source(33, 5, 9, 2, layout="sliced", reduce=True)), 3),
    "one of two reduced": Case((Source(8, 6, 6, 2, reduce=True), Source(8, 6, 6, 2)), 3),
    "five sources": Case(
        (
            Source(3, 24, 24, 8, U8, "image"),
            Source(16, 12, 12, 4, BF16),
            Source(16, 6, 6, 2, F16, "nchw"),
            Source(16, 3, 3, 1, F32),
            Source(16, 2, 2, 1, BF16, "nchw"),
        ),
        3,
    ),
    "planes in bands of rows": Case((Source(32, 28, 28, 4, F32, "nchw"), Source(16, 28, 28, 4, BF16, "nchw")), 7),
    "runs in parts of a row": Case((Source(64, 28, 28, 7), Source(96, 28, 28, 7, F16)), 4, batch=1),
    "planes off the grid": Case((Source(32, 7, 7, 1, F16, "shifted"), Source(16, 14, 14, 2, F32, "shifted")), 7),
    "planes enlarged": Case((Source(48, 7, 7, 1, BF16, "nchw"), Source(16, 5, 9, 2, F32, "nchw")), 14, out_dtype=BF16),
    "fp16": Case((Source(24, 6, 6, 2, F16), Source(24, 4, 4, 1, F16, "nchw")), 3, out_dtype=F16),
    "bf16": Case((Source(24, 6, 6, 2, BF16), Source(24, 4, 4, 1, BF16, "nchw")), 3, out_dtype=BF16),
    "fp32 to bf16": Case((Source(24, 6, 6, 2), Source(3, 24, 24, 8, U8, "image")), 3, out_dtype=BF16),
    "bf16 to fp32": Case((Source(24, 6, 6, 2, BF16), Source(24, 7, 7, 1, BF16)), 3),
    "fp16 to bf16": Case((Source(40, 6, 6, 2, F16), Source(24, 7, 7, 1, F16)), 3, out_dtype=BF16),
}

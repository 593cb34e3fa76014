"""The network: pixels come in, each member answers, the logarithm of the mean of their probabilities goes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from fer_fast.models.building import new_network
from fer_fast.models.ensemble.config import EnsembleConfig
from fer_fast.models.ensemble.layers import LEAST
from fer_fast.models.network import Network
from fer_fast.models.resizing import resize_matrix


class Ensemble(Network):
    """The mean of members.

    Args:
        config: theirs, and their shares.
    """

    config: EnsembleConfig

    def __init__(self, config: EnsembleConfig) -> None:
        super().__init__(config)
        self.bias = nn.Parameter(torch.zeros(len(config.classes)))
        self.members = nn.ModuleList(map(new_network, config.members))
        for place, member in enumerate(config.members):
            if member.image_size != config.image_size:
                rows = torch.from_numpy(resize_matrix(config.image_size, member.image_size))
                self.register_buffer(f"rows_{place}", rows, persistent=False)

    @property
    def networks(self) -> list[Network]:
        """The members."""
        return [cast(Network, member) for member in self.members]

    def stages(self) -> dict[str, nn.Module]:
        """Those of each member, its place before their names: `members.0 FM1`."""
        return {
            f"members.{place} {name}": stage
            for place, member in enumerate(self.networks)
            for name, stage in member.stages().items()
        }

    def change(self, change: Callable[[Network], Network]) -> Ensemble:
        """Puts what a function makes of each member in its place."""
        self.members = nn.ModuleList(map(change, self.networks))
        return self

    def logits(self, pixels: Tensor) -> Tensor:
        """See `Network.logits`; pixels are 0 to 255."""
        shares = zip(self.config.shares, self.networks, strict=True)
        counted = [share * self._answer(place, member, pixels) for place, (share, member) in enumerate(shares)]
        return (torch.stack(counted).sum(dim=0) + LEAST).log() + self.bias

    def _answer(self, place: int, member: Network, pixels: Tensor) -> Tensor:
        """A member's calibrated probabilities, float32 [batch, classes]."""
        pixels = pixels.float()  # between two pixels bf16 has too few levels
        if member.config.image_size != self.config.image_size:
            rows = self.get_buffer(f"rows_{place}")
            pixels = rows @ pixels @ rows.T
        logits: Tensor = member(pixels)
        return (logits.float() / member.config.temperature).softmax(dim=1)

    def round_to(self, dtype: torch.dtype) -> None:
        """See `Network.round_to`; what becomes of the members' answers stays fp32."""
        for member in self.networks:
            member.round_to(dtype)

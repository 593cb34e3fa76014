"""A network as graph compilers take it comes in, the modules that engines and exports run go out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fer_fast.models.dtypes import DTYPES
from fer_fast.models.network import Network
from fer_fast.models.quantised import quantise


class Logits(nn.Module):
    """A network, in whatever precision, with an output in fp32."""

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Maps uint8 [batch, size, size, 3] to float32 [batch, classes]."""
        logits: Tensor = self.model(images)
        return logits.float()


class Probabilities(Logits):
    """The same, calibrated; with a shift of the classes [classes], see `prior_shift`."""

    shift: Tensor | None

    def __init__(self, model: Network, shift: npt.NDArray[np.float64] | None = None) -> None:
        super().__init__(model)
        self.register_buffer("shift", None if shift is None else torch.from_numpy(shift).float())

    def forward(self, images: Tensor) -> Tensor:
        """Maps uint8 [batch, size, size, 3] to float32 [batch, classes], rows sum to 1."""
        calibrated = super().forward(images) / self.model.config.temperature
        return (calibrated if self.shift is None else calibrated + self.shift).softmax(dim=1)  # type: ignore[no-any-return]


def rounded(model: Network, precision: str, symmetric: bool, rest: str) -> Network:
    """See `Architecture.graph`; the model is changed in place."""
    if precision == "int8":
        quantise(model, symmetric)
    model.round_to(DTYPES[rest if precision == "int8" else precision])
    return model

"""A classifier's checkpoint comes in, the torch modules that engines and exports run go out."""

from __future__ import annotations

from torch import Tensor, nn

from fer_fast.models.algebraic import AlgebraicModel
from fer_fast.models.backbone import channels_last, fold_batch_norm
from fer_fast.models.checkpoint import Checkpoint
from fer_fast.models.dtypes import DTYPES
from fer_fast.models.fusion import FusionModel
from fer_fast.models.quantised import quantise
from fer_fast.models.storage import build_model
from fer_fast.ops import native
from fer_fast.ops.tokens import fused_tokens


class Logits(nn.Module):
    """The algebraic form, in whatever precision, with an output in fp32."""

    def __init__(self, model: AlgebraicModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Maps uint8 [batch, size, size, 3] to float32 [batch, classes]."""
        logits: Tensor = self.model(images)
        return logits.float()


class Probabilities(Logits):
    """The same, calibrated."""

    def forward(self, images: Tensor) -> Tensor:
        """Maps uint8 [batch, size, size, 3] to float32 [batch, classes], rows sum to 1."""
        return (super().forward(images) / self.model.config.temperature).softmax(dim=1)


def algebraic(checkpoint: Checkpoint, precision: str, symmetric: bool, rest: str) -> AlgebraicModel:
    """See `Architecture.graph`."""
    model = AlgebraicModel(build_model(checkpoint))
    if precision == "int8":
        quantise(model, symmetric)
    model.round_to(DTYPES[rest if precision == "int8" else precision])
    return model


def eager(checkpoint: Checkpoint, precision: str) -> FusionModel:
    """The model as the engine of torch runs it: batch norms folded, tokens by the native op."""
    native.load_torch_ops()  # a missing library is told here, not at the first batch
    model = build_model(checkpoint)
    model.tokens = fused_tokens
    if model.backbone is not None:
        # Before the weights are rounded: a norm that follows a rounded convolution adds half of its error again.
        fold_batch_norm(model.backbone)
    # The statistics stay fp32: the fused op and the normalisation compute in it.
    for part in (model.backbone, model.vit):
        if part is not None:
            part.to(DTYPES[precision])
    channels_last(model)
    return model

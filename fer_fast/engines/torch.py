"""The reference engine: eager PyTorch with the native fused op, on any device that torch has."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from fer_fast import native
from fer_fast.engines.devices import cuda_is_present
from fer_fast.engines.interface import keeps_accuracy
from fer_fast.models.backbone import channels_last, fold_batch_norm
from fer_fast.models.storage import build_model
from fer_fast.tokens import fused_tokens
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fer_fast.decode import Pixels
    from fer_fast.models.checkpoint import Checkpoint
    from fer_fast.models.config import ModelConfig
    from fer_fast.models.fusion import FusionModel

DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """Eager torch; see `fer_fast.engines.Engine` for the methods."""

    streams = 1  # torch spreads one batch over all cores

    def __init__(self, checkpoint: Checkpoint, device: str, precision: str) -> None:
        self.device = _device(device)
        native.load_torch_ops()  # a missing library is told here, not at the first batch
        self.precision = _precision(precision, torch.device(self.device), checkpoint.config)
        self.model = torch_model(checkpoint, torch.device(self.device), self.precision)

    @torch.inference_mode()
    def infer(self, images: Pixels) -> npt.NDArray[np.float32]:
        """See `Engine.infer`."""
        try:
            pixels = _tensor(images).to(self.device)
            with self._exactly():
                return self.model(pixels).float().cpu().numpy()  # type: ignore[no-any-return]
        except RuntimeError as error:
            raise FerFastError(f"torch failed on {self.device}: {error}") from error

    def _exactly(self) -> AbstractContextManager[None]:
        """On a GPU torch rounds the inputs of fp32 convolutions to ten bits by default; fp32 means fp32 here."""
        if self.precision != "fp32" or self.device == "cpu":
            return nullcontext()
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # type: ignore[no-any-return,no-untyped-call]

    def describe(self) -> dict[str, str]:
        """See `Engine.describe`."""
        return {
            "engine": "torch",
            "version": torch.__version__,
            "device": self.device,
            "precision": self.precision,
            "streams": str(self.streams),
            "tokens": "fused op",
        }

    def close(self) -> None:
        """See `Engine.close`."""
        self.__dict__.pop("model", None)


def torch_model(checkpoint: Checkpoint, device: torch.device, precision: str) -> FusionModel:
    """The model as this engine runs it: batch norms folded, tokens by the native op."""
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
    return model.to(device)


def _device(device: str) -> str:
    """The device that is meant: cpu or cuda:N."""
    name = "cuda" if device == "auto" and cuda_is_present() else device.replace("auto", "cpu")
    if name == "cpu":
        return name
    number = torch.device(name).index or 0
    if number >= torch.cuda.device_count():
        seen = f"torch {torch.__version__} sees {torch.cuda.device_count()} CUDA cards"
        raise FerFastError(f"device {device!r} is not there: {seen}")
    return f"cuda:{number}"


def _tensor(images: Pixels) -> torch.Tensor:
    if isinstance(images, torch.Tensor):
        return images
    # torch warns about read-only memory.
    return torch.from_numpy(images if images.flags.writeable else images.copy())


def _precision(precision: str, device: torch.device, config: ModelConfig) -> str:
    if precision == "int8":
        raise ValueError("precision must be auto, fp32, bf16 or fp16 for engine 'torch', not 'int8'")
    if device.type == "cpu":
        if precision == "fp16":
            raise ValueError("precision must be auto, fp32 or bf16 for engine 'torch' on a CPU, not 'fp16'")
        return "fp32" if precision == "auto" else precision
    if precision != "auto":
        return precision
    major, _ = torch.cuda.get_device_capability(device)
    # Ampere and later compute bf16 at fp16's rate; Pascal computes fp16 at 1/64 of fp32's.
    fastest = "bf16" if major >= 8 else "fp16" if major == 7 else "fp32"
    return fastest if keeps_accuracy(config, fastest) else "fp32"

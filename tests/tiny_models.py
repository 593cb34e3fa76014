"""Small models with random weights of a realistic scale, and smooth random faces, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from fer_fast.models.config import ModelConfig
from fer_fast.models.fusion import FusionModel
from fer_fast.train.start import measure_statistics

torch.set_num_threads(1)  # models this small gain nothing by a second thread, and lose much on a busy machine


def tiny_config(**changes: Any) -> ModelConfig:
    """A model that a test can afford; every kind of source resize and patch size is in it."""
    values: dict[str, Any] = {"image_size": 64, "grid": 4, "width": 32, "depth": 1, "heads": 2, **changes}
    return ModelConfig(**values)


def faces(count: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Smooth random pictures, uint8 [count, size, size, 3]: white noise would vanish in the first pooling."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 9, 9, generator=generator) * 255
    smooth = F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 255).round()
    return smooth.permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()


def random_model(config: ModelConfig, seed: int = 0) -> FusionModel:
    """A model whose taps are normalised by their own statistics and whose logits spread as a trained one's."""
    torch.manual_seed(seed)
    model = FusionModel(config).eval().requires_grad_(False)
    images = torch.from_numpy(faces(8, config.image_size, seed + 1)).permute(0, 3, 1, 2).float()
    if model.backbone is not None:
        for layer in model.backbone.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    for block in model.vit.blocks:  # new layers pass on what they get; a trained model's do not
        block.attn.proj.reset_parameters()
        block.mlp[2].reset_parameters()
    measure_statistics(model, images)
    head, logits = model.vit.head, model(images)
    scale = 2.0 / logits.std(dim=0)  # random features hardly differ between faces; a trained head's do
    head.bias.copy_((head.bias - logits.mean(dim=0)) * scale)
    head.weight.mul_(scale.view(-1, 1))
    return model

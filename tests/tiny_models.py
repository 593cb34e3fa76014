"""Small models with random weights of a realistic scale, and smooth random faces, for the tests of this folder.

Where torch is installed, there are models of every kind (`random_model`). Those of the image alone are made by numpy
(`save_image_model`), and numpy says what they answer: with them the tests of a whole classifier do without torch.
"""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_fast.models.files.checkpoint import write_checkpoint
from fer_fast.models.fusion.config import FusionConfig

if TYPE_CHECKING:
    from fer_fast.models.fusion.network import FusionModel

with suppress(ModuleNotFoundError):
    import torch

    torch.set_num_threads(1)  # models this small gain nothing by a second thread, and lose much on a busy machine

Array = npt.NDArray[np.float32]


def tiny_config(**changes: Any) -> FusionConfig:
    """A model that a test can afford; every kind of source resize and patch size is in it."""
    values: dict[str, Any] = {"image_size": 64, "grid": 4, "width": 32, "depth": 1, "heads": 2, **changes}
    return FusionConfig(**values)


def image_config(**changes: Any) -> FusionConfig:
    """The smallest: a Vision Transformer of the image alone."""
    values: dict[str, Any] = {"sources": ("image",), "image_size": 8, "grid": 2, "width": 8, **changes}
    return tiny_config(**values)


def faces(count: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Smooth random pictures, uint8 [count, size, size, 3]: white noise would vanish in the first pooling."""
    coarse = np.random.default_rng(seed).random((count, 3, 9, 9), np.float32) * 255
    smooth = np.empty((count, size, size, 3), np.float32)
    for picture, planes in zip(smooth, coarse, strict=True):
        for channel, plane in enumerate(planes):
            picture[..., channel] = Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC)
    return smooth.clip(0, 255).round().astype(np.uint8)


def save_image_model(path: Path, config: FusionConfig | None = None, seed: int = 0) -> FusionConfig:
    """Writes a model of the image alone, whose logits spread as a trained one's, and gives its configuration."""
    config = config or image_config()
    tensors = _image_tensors(config, np.random.default_rng(seed))
    logits = image_logits(config, tensors, faces(32, config.image_size, seed + 1))
    scale = 2 / logits.std(axis=0)  # random features hardly differ between faces; a trained head's do
    tensors["vit.head.bias"] = (tensors["vit.head.bias"] - logits.mean(axis=0)) * scale
    tensors["vit.head.weight"] *= scale[:, None]
    write_checkpoint(path, config, {name: tensor.astype(np.float16) for name, tensor in tensors.items()})
    return config


def _image_tensors(config: FusionConfig, random: np.random.Generator) -> dict[str, Array]:
    width, patch = config.width, config.image_size // config.grid
    hidden = int(width * config.mlp_ratio)
    layers = {"proj": (3 * patch**2, width), "head": (width, len(config.classes))}
    norms = ["norm"]
    for block in range(config.depth):
        name = f"blocks.{block}"
        layers |= {f"{name}.attn.qkv": (width, 3 * width), f"{name}.attn.proj": (width, width)}
        layers |= {f"{name}.mlp.0": (width, hidden), f"{name}.mlp.2": (hidden, width)}
        norms += [f"{name}.norm1", f"{name}.norm2"]
    tensors = {"vit.pos_embed": 0.02 * random.standard_normal((1, config.grid**2, width), np.float32)}
    for name, (inputs, outputs) in layers.items():
        tensors[f"vit.{name}.weight"] = random.standard_normal((outputs, inputs), np.float32) / math.sqrt(inputs)
        tensors[f"vit.{name}.bias"] = 0.1 * random.standard_normal(outputs, np.float32)
    for name in norms:
        tensors[f"vit.{name}.weight"] = np.ones(width, np.float32)
        tensors[f"vit.{name}.bias"] = np.zeros(width, np.float32)
    return tensors


def image_logits(config: FusionConfig, tensors: dict[str, Any], images: npt.NDArray[np.uint8]) -> Array:
    """What a model of the image alone makes of uint8 [batch, size, size, 3]: logits [batch, classes], by numpy."""
    weights = {name.removeprefix("vit."): tensor.astype(np.float64) for name, tensor in tensors.items()}

    def linear(name: str, x: Any) -> Any:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x: Any) -> Any:
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)

    batch, grid, patch = len(images), config.grid, config.image_size // config.grid
    pixels = (images / 255 - config.mean) / config.std
    tokens = pixels.reshape(batch, grid, patch, grid, patch, 3).transpose(0, 1, 3, 2, 4, 5)  # as the fused op has them
    x = linear("proj", tokens.reshape(batch, grid**2, -1)) + weights["pos_embed"]
    for block in range(config.depth):
        name, head = f"blocks.{block}", config.width // config.heads
        qkv = linear(f"{name}.attn.qkv", norm(f"{name}.norm1", x)).reshape(batch, -1, 3, config.heads, head)
        query, key, value = qkv.transpose(2, 0, 3, 1, 4)
        shares = softmax(query @ key.transpose(0, 1, 3, 2) / math.sqrt(head))
        x = x + linear(f"{name}.attn.proj", (shares @ value).transpose(0, 2, 1, 3).reshape(x.shape))
        inner = linear(f"{name}.mlp.0", norm(f"{name}.norm2", x))
        x = x + linear(f"{name}.mlp.2", inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2)
    return linear("head", norm("norm", x).mean(axis=1)).astype(np.float32)  # type: ignore[no-any-return]


def softmax(logits: Any) -> Any:
    """Logits [..., classes] to probabilities."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def random_model(config: FusionConfig, seed: int = 0) -> FusionModel:
    """A torch model whose taps are normalised by their own statistics and whose logits spread as a trained one's."""
    from fer_fast.models.fusion.network import FusionModel
    from fer_fast.models.fusion.start import measure_statistics

    torch.manual_seed(seed)
    model = FusionModel(config).eval().requires_grad_(False)
    images = torch.from_numpy(faces(32, config.image_size, seed + 1)).permute(0, 3, 1, 2).float()
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


def settle(network: Any, seed: int) -> None:
    """Gives a network of random weights batch norms with statistics of their own, and logits that spread."""
    images = torch.from_numpy(faces(16, network.config.image_size, seed))
    with torch.no_grad():
        network.train()
        for _ in range(20):
            network(images)
        network.eval().requires_grad_(False)
        logits = network(images)
        scale = 2 / logits.std(dim=0)
        network.head.bias.copy_((network.head.bias - logits.mean(dim=0)) * scale)
        network.head.weight.mul_(scale[:, None])

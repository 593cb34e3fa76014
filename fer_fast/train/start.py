"""What a training run begins with: a new model on ResNet-18 weights, or a trained one with other classes."""

from __future__ import annotations

import dataclasses
import io
import pickle
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fer_fast.machine.disk import check_file
from fer_fast.models.backbone import ResNet18Taps, unfold_batch_norm
from fer_fast.models.fusion import FusionModel
from fer_fast.train.augment import plain
from fer_fast.train.faces import Faces, spread
from fer_fast.train.recipe import WEIGHTS_FILES, Recipe
from fer_fast.types import FerFastError

#: torchvision's ResNet18_Weights.IMAGENET1K_V1; the name ends in the first eight digits of its SHA-256.
RESNET18_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


def read_backbone_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Reads ResNet-18 weights under torchvision's names.

    Args:
        paths: .safetensors or .pth files, together one ResNet-18; none for torchvision's ImageNet weights by URL,
            hash-checked.

    Raises:
        ValueError: if there is no such file, or it holds no tensors by name.
        FerFastError: if the download fails.
    """
    if not paths:
        try:
            return _download(RESNET18_URL)
        except (OSError, RuntimeError) as error:
            raise FerFastError(
                f"{RESNET18_URL} cannot be downloaded: {error}; give a file of backbone weights"
            ) from error
    weights: dict[str, Tensor] = {}
    for path in paths:
        weights |= _read_weights(path)
    return weights


def _download(url: str) -> dict[str, Tensor]:
    """The tensors of a file that torch keeps where it keeps others."""
    # Where nobody's home is known, torch would make a folder called ~ in the current one.
    homeless = torch.hub.get_dir().startswith("~")
    with tempfile.TemporaryDirectory() as passing, redirect_stdout(io.StringIO()):
        folder = passing if homeless else None
        return torch.hub.load_state_dict_from_url(url, folder, check_hash=True, weights_only=True)


def _read_weights(path: Path) -> dict[str, Tensor]:
    check_file("backbone", path, WEIGHTS_FILES)
    try:
        safe = path.suffix == ".safetensors"
        weights = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(f"backbone {str(path)!r} cannot be read: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise ValueError(f"backbone {str(path)!r} must hold tensors by name, as torchvision's files do")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes:
        model: what is trained.
        new_stages: stages of its ResNet, layer4 for example, that start at random, at least in part.
    """

    model: FusionModel
    new_stages: tuple[str, ...] = ()


def new_start(recipe: Recipe, train: Faces, weights: dict[str, Tensor]) -> Start:
    """A model whose backbone is pre-trained and whose Vision Transformer is random, by the recipe's seed.

    Args:
        recipe: what to build.
        train: faces for the taps' statistics.
        weights: ResNet-18 tensors under torchvision's names.

    Raises:
        ValueError: if `weights` do not fit.
    """
    torch.manual_seed(recipe.seed)
    config = recipe.config(train.classes)
    model = FusionModel(config, recipe.drop_path)
    if model.backbone is None:
        return Start(model)
    missing = start_backbone(model.backbone, weights)
    measure_statistics(model, plain(spread(train.pixels, 256), config.image_size))
    return Start(model, tuple(sorted({name.partition(".")[0] for name in missing if name.startswith("layer")})))


def tuned_start(recipe: Recipe, train: Faces, start: FusionModel) -> Start:
    """A model that goes on from another one; its head is new if the classes are.

    Args:
        recipe: its seed and stochastic depth are used; of its `model` flip_average and framing alone, where there.
        train: faces; their classes are the model's.
        start: the model to start from; not changed.

    Raises:
        ValueError: if a stage trains the backbone and the model has none.
    """
    if start.backbone is None and any(stage.part == "backbone" for stage in recipe.stages):
        raise ValueError("start must be a model with a backbone, where a stage trains it")
    torch.manual_seed(recipe.seed)
    config = dataclasses.replace(
        start.config,
        classes=train.classes,
        flip_average=recipe.model.get("flip_average", start.config.flip_average),
        framing=recipe.model.get("framing", start.config.framing),
        temperature=1.0,
        activation_ranges={},
        precision_falls={},
    )
    model = FusionModel(config, recipe.drop_path)
    same = train.classes == start.config.classes
    state = {name: tensor for name, tensor in start.state_dict().items() if same or not name.startswith("vit.head.")}
    model.load_state_dict(state, strict=False)
    return Start(model)


def start_backbone(backbone: ResNet18Taps, weights: dict[str, Tensor]) -> set[str]:
    """Puts pre-trained weights in; a residual branch that the file lacks starts as zero, so its block passes on.

    Returns:
        Names of the backbone's tensors that `weights` lacks.

    Raises:
        ValueError: if a tensor has another shape, or the file has none of the backbone's tensors.
    """
    own = {name: tensor for name, tensor in weights.items() if name in backbone.state_dict()}
    if "conv1.weight" not in own:
        raise ValueError("backbone weights must have torchvision's resnet18 names; conv1.weight is not among them")
    try:
        missing = {
            name
            for name in backbone.load_state_dict(own, strict=False).missing_keys
            if not name.endswith("num_batches_tracked")
        }
    except RuntimeError as error:
        raise ValueError(f"backbone weights must have resnet18's shapes: {error}") from error
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d) and f"{name}.weight" in missing:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d) and f"{name}.weight" in missing and name.endswith("bn2"):
            nn.init.zeros_(module.weight)
    return missing


@torch.no_grad()
def measure_statistics(model: FusionModel, images: Tensor) -> None:
    """Gives the backbone real batch-norm statistics and the fused op those of the taps.

    Args:
        model: changed in place.
        images: float [batch, 3, size, size], values 0..255.
    """
    if model.backbone is None:
        return
    pixels = model.normalised(images)
    unfold_batch_norm(model.backbone, pixels)
    set_tap_statistics(model, model.backbone(pixels))


@torch.no_grad()
def set_tap_statistics(model: FusionModel, maps: list[Tensor]) -> None:
    """Sets the means and deviations that the fused op normalises the taps with.

    Args:
        model: changed in place.
        maps: the model's taps of typical faces, each [batch, channels, height, width].
    """
    for name, tap in zip(model.config.taps, maps, strict=True):
        values = tap.mean(dim=1, keepdim=True) if model.config.reduce_mean else tap
        variance, mean = torch.var_mean(values.float(), dim=(0, 2, 3), correction=0)
        model.get_buffer(f"mean_{name}").copy_(mean)
        # A channel that is nearly always zero must not be blown up: its deviation is bounded from below.
        floor = 0.01 * variance.mean()
        model.get_buffer(f"inv_std_{name}").copy_(torch.rsqrt(variance + floor))

"""What a training run begins with: a new model on pre-trained weights, or a trained one with other classes."""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fer_fast.datasets.resized import plain
from fer_fast.machine.disk import check_file
from fer_fast.models.building import new_network
from fer_fast.models.classifier import classifier_of
from fer_fast.models.fusion.architecture import RESNET18_URL
from fer_fast.models.network import Network
from fer_fast.train.faces import Faces, spread
from fer_fast.train.recipe import WEIGHTS_FILES, Recipe
from fer_fast.train.record import read_tensors
from fer_fast.types import FerFastError


def read_backbone_weights(paths: Sequence[Path], url: str = RESNET18_URL) -> dict[str, Tensor]:
    """Reads the weights of a backbone, under the names that its architecture knows.

    Args:
        paths: .safetensors or .pth files, together one backbone; none for what is at the URL, hash-checked.
        url: of a file whose name ends in the first digits of its SHA-256; without one torchvision's ResNet-18.

    Raises:
        ValueError: if there is no such file, or it holds no tensors by name.
        FerFastError: if the download fails.
    """
    if not paths:
        try:
            return _download(url)
        except (OSError, RuntimeError) as error:
            digest = Path(url).stem.rpartition("-")[2]
            rule = f"fetch it, its SHA-256 begins with {digest}, and give it by --backbone"
            raise FerFastError(f"{url} cannot be downloaded: {error}; {rule}") from error
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
        weights = load_file(path) if path.suffix == ".safetensors" else read_tensors(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"backbone {str(path)!r} cannot be read: {error}") from error
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise ValueError(f"backbone {str(path)!r} must hold tensors by name, as torchvision's files do")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes:
        model: what is trained.
        new_stages: parts of its backbone, layer4 for example, that start at random, at least in part.
    """

    model: Network
    new_stages: tuple[str, ...] = ()


def new_start(recipe: Recipe, train: Faces, weights: Mapping[str, Tensor]) -> Start:
    """A new model, by the recipe's seed, with what its architecture begins with.

    Args:
        recipe: what to build.
        train: faces for the statistics of what is pre-trained.
        weights: tensors by name, see `ClassifierArchitecture.weights_url`.

    Raises:
        ValueError: if `weights` do not fit.
    """
    torch.manual_seed(recipe.seed)
    config = recipe.config(train.classes)
    model = new_network(config, recipe.drop_path)
    images = plain(spread(train.pixels, 256), config.image_size)
    return Start(model, classifier_of(config).begin(model, weights, images))


def at_size(start: Network, image_size: int) -> Network:
    """A model for images of another size, to be trained on.

    Args:
        start: the model; not changed.
        image_size: the side of its images in pixels; 0 is its own.

    Raises:
        ValueError: the architecture's weights are for one size, or its rules allow no such size.
    """
    if image_size in (0, start.config.image_size):
        return start
    architecture = classifier_of(start.config)
    config = dataclasses.replace(start.config, image_size=image_size, activation_ranges={}, precision_falls={})
    model, weights = new_network(config), architecture.weights_at(start, config)
    for name, tensor in model.state_dict().items():
        if weights[name].shape != tensor.shape:
            rule = f"image_size must be the model's {start.config.image_size} for architecture {config.architecture!r}"
            raise ValueError(f"{rule}, whose {name} is for that size, not {image_size}")
    model.load_state_dict(weights)
    return model


def tuned_start(recipe: Recipe, train: Faces, start: Network) -> Start:
    """A model that goes on from another one; its head is new if the classes are.

    Args:
        recipe: its seed and stochastic depth are used; of its `model` flip_average and framing alone, where there.
        train: faces; their classes are the model's.
        start: the model to start from; not changed.

    Raises:
        ValueError: if the recipe has what the model's architecture does not.
    """
    if not classifier_of(start.config).trainable:
        raise ValueError(f"start must be of an architecture that is trained, not {start.config.architecture!r}")
    recipe.check_for(start.config)
    torch.manual_seed(recipe.seed)
    config = dataclasses.replace(
        start.config,
        classes=train.classes,
        flip_average=recipe.model.get("flip_average", start.config.flip_average),
        framing=recipe.model.get("framing", start.config.framing),
        temperature=1.0,
        activation_ranges={},
        precision_falls={},
        prior=(),
    )
    model = new_network(config, recipe.drop_path)
    same, (layer, dot, bias) = train.classes == start.config.classes, classifier_of(config).bias.rpartition(".")
    head = f"{layer}{dot}" or bias  # of a bias that is no layer's all names would begin with that layer's
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    state = {
        name: tensor
        for name, tensor in start.state_dict().items()
        if same or (not name.startswith(head) and tensor.shape == shapes[name])
    }
    model.load_state_dict(state, strict=False)
    return Start(model)

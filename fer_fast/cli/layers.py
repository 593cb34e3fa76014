"""The figures of `fer-fast visualize` that show layers: what is asked for comes in, a PNG and words of it go out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fer_fast.cli.visualize import pixels_of
from fer_fast.models.config import ClassifierConfig
from fer_fast.models.loading import load_model
from fer_fast.reports.dream_figure import draw_dream
from fer_fast.reports.layers_figure import MOST_EPOCHS, Epoch, draw_channels, draw_epochs, draw_filters
from fer_fast.reports.layers_figure import MOST_LAYERS as MOST_COLUMNS
from fer_fast.types import counted
from fer_fast.visualize import chosen_layers, deep_dream, feature_maps, first_filters, sparsity

Drawn = tuple[bytes, str]


def filters(model: str) -> Drawn:
    """Of the first convolution."""
    found = first_filters(load_model(model))
    return draw_filters(found, Path(model).stem), f"{len(found.weights)} filters of {found.layer}"


def channels(image: str, model: str, layers: Sequence[str]) -> Drawn:
    """The mean map of each layer, and its first channels.

    Raises:
        ValueError: a layer is unknown, or there are too many.
    """
    network = load_model(model)
    chosen = chosen_layers(network, layers)
    if len(chosen) > MOST_COLUMNS:
        raise ValueError(f"layers must be {MOST_COLUMNS} at most for --figure channels, not {len(chosen)}")
    pixels = pixels_of(image, network.config.image_size)
    return draw_channels(pixels, feature_maps(network, pixels, chosen), Path(model).stem), ", ".join(chosen)


def activations(image: str, checkpoints: str, layers: Sequence[str]) -> Drawn:
    """The first channels of each layer in the models of a training, evenly over all that are kept.

    Raises:
        ValueError: a layer is unknown, there are no checkpoints, or they are of different models.
    """
    files = _spread(checkpoints)
    first = load_model(files[0])
    pixels = pixels_of(image, first.config.image_size)
    chosen = chosen_layers(first, layers)
    epochs = []
    for file in files:
        model = load_model(file)
        _check_same(files[0], first.config, file, model.config)
        epochs.append(Epoch(Path(file).stem, feature_maps(model, pixels, chosen)))
    shares = ", ".join(f"{name} {100 * sparsity(maps):.0f} %" for name, maps in epochs[-1].maps.items())
    return draw_epochs(pixels, epochs), f"{counted(len(epochs), 'model', 'models')}, zero in the last: {shares}"


def dream(image: str, model: str, label: str, prior: str) -> Drawn:
    """A face that becomes a class."""
    network = load_model(model)
    found = deep_dream(network, pixels_of(image, network.config.image_size), label, prior=prior)
    shares = [each.prediction.probabilities[each.prediction.classes.index(label)] for each in found.seen]
    return draw_dream(found, Path(model).stem), f"{label} {100 * shares[0]:.1f} % became {100 * shares[-1]:.1f} %"


def _check_same(first: str, config: ClassifierConfig, file: str, other: ClassifierConfig) -> None:
    """Raises a ValueError that names the first thing in which models differ, but for what is measured."""
    wanted, found = config.built(), other.built()
    for name, value in wanted.items():
        if found.get(name) != value:
            differs = f"{file!r} has {name} {found.get(name)!r}, {first!r} {value!r}"
            raise ValueError(f"checkpoints must be of one model: {differs}")


def _spread(folder: str) -> list[str]:
    """Checkpoints of a folder in the order of their names and numbers: the first, the last, and some between."""
    found = sorted(map(str, Path(folder).glob("*.safetensors")), key=_by_number)
    if not found:
        raise ValueError(f"checkpoints must be a folder with .safetensors files, which {folder!r} is not")
    most = min(len(found), MOST_EPOCHS)
    return [found[round(place * (len(found) - 1) / max(most - 1, 1))] for place in range(most)]


def _by_number(name: str) -> list[tuple[int, str]]:
    """So that epoch_1000 is behind epoch_999."""
    return [(int(part or 0), part) if place % 2 else (0, part) for place, part in enumerate(re.split("([0-9]+)", name))]

"""A configuration comes in, its network goes out, with weights of chance; another distribution's is checked."""

from __future__ import annotations

import torch

from fer_fast.models.classifier import ClassifierArchitecture, classifier_of
from fer_fast.models.config import ClassifierConfig
from fer_fast.models.network import Network


def new_network(config: ClassifierConfig, drop_path: float = 0.0) -> Network:
    """The network of a configuration.

    Args:
        config: the model's.
        drop_path: see `ClassifierArchitecture.network`.

    Raises:
        ValueError: another distribution's architecture fails to build it, or builds what its own words do not say:
            told of before hours of training, not when what they gave is read.
    """
    architecture = classifier_of(config)
    if not architecture.version:
        return architecture.network(config, drop_path)
    whose = f"architecture {config.architecture!r} of version {architecture.version}"
    try:
        network = architecture.network(config, drop_path)
        _check(architecture, config, network)
    except MemoryError:
        raise
    except Exception as error:  # whatever somebody's module does
        raise ValueError(f"{whose} cannot build its network: {type(error).__name__}: {error}") from error
    return network


def _check(architecture: ClassifierArchitecture, config: ClassifierConfig, network: object) -> None:
    """Raises an error unless it is a network, of the tensors that the architecture says."""
    if not isinstance(network, Network):
        raise TypeError(f"it must be a fer_fast.models.network.Network, not {type(network).__name__}")
    said = dict(architecture.shapes(config))
    found = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    for name in sorted({*said, *found}):
        if said.get(name) != found.get(name):
            raise ValueError(
                f"{name!r} is {found.get(name, 'not there')}, and by `shapes` {said.get(name, 'not there')}"
            )
    classes = len(config.classes)
    if said.get(architecture.bias) != (classes,):
        raise ValueError(f"`bias` must name a tensor [{classes}], added to the logits; {architecture.bias!r} is none")
    images = torch.zeros(2, config.image_size, config.image_size, 3, dtype=torch.uint8)
    training = network.training
    with torch.no_grad():
        logits = network.eval()(images)
    network.train(training)
    if tuple(logits.shape) != (2, classes):
        raise ValueError(f"`logits` must give {[2, classes]} of two images, not {list(logits.shape)}")

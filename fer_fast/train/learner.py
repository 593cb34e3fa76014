"""What is trained: the model, and an auxiliary head on its backbone that no checkpoint keeps."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fer_fast.models.network import Network
from fer_fast.train.feature_loss import FeatureLoss

#: What a stage of a recipe trains: the backbone with its auxiliary head, or everything.
Part = Literal["backbone", "all"]


class Learner(nn.Module):
    """The model and, on the deepest map of a backbone that is trained, a linear head, which is not kept.

    The head trains the backbone directly, as a plain ResNet; a backbone that knows faces is where the Vision
    Transformer starts from.

    Args:
        model: what to train.
        frozen: the backbone is not trained and its batch norms keep their statistics; there is no auxiliary head.
        feature_loss: of a layer of the model, if it is to be held near handcrafted features; not kept, either.

    Raises:
        ValueError: if that layer is not trained.
    """

    def __init__(self, model: Network, frozen: bool, feature_loss: FeatureLoss | None = None) -> None:
        super().__init__()
        self.feature_loss = feature_loss
        self.model = model
        self.frozen = frozen or model.backbone is None
        self.auxiliary: nn.Linear | None = None
        if not self.frozen and model.backbone_channels:
            self.auxiliary = nn.Linear(model.backbone_channels, len(model.config.classes))
        if self.frozen and model.backbone is not None:
            model.backbone.requires_grad_(False)
        if feature_loss is not None:
            held = model.layers_with_maps()[feature_loss.layer]
            if not any(parameter.requires_grad for parameter in held.parameters()):
                raise ValueError(f"feature_layer must be one that is trained, not {feature_loss.layer!r}")

    def train(self, mode: bool = True) -> Learner:
        """As `nn.Module.train`; a frozen backbone stays in eval mode."""
        super().train(mode)
        if self.frozen and self.model.backbone is not None:
            self.model.backbone.eval()
        return self

    def forward(self, images: Tensor, part: Part = "all") -> list[Tensor]:
        """Computes what a stage needs.

        Args:
            images: float [batch, 3, size, size], values 0..255.
            part: with "backbone" what is behind it is not run.

        Returns:
            Logits [batch, classes] to train and to judge by first; then the auxiliary ones, if both are there.
        """
        if part == "backbone":
            assert self.auxiliary is not None, "the recipe's rules"
            return [self.auxiliary(self.model.deepest(images).mean(dim=(2, 3)))]
        logits, deepest = self.model.trained(images)
        if self.auxiliary is None or deepest is None:
            return [logits]
        return [logits, self.auxiliary(deepest.mean(dim=(2, 3)))]

    def of_features(self, features: Tensor) -> list[Tensor]:
        """The same as `forward` of a model with a frozen backbone, from what that gives."""
        return [self.model.logits_of(features)]


def check_feature_layer(model: Network, layer: str, frozen: bool) -> None:
    """Raises a ValueError unless a feature loss can hold this layer; for who has not computed the features yet.

    Args:
        model: what is to be trained.
        layer: a name, see `FeatureLoss`.
        frozen: see `Learner`.
    """
    Learner(model, frozen, FeatureLoss(model, layer, {}, adaptive=False))


def balance_weights(targets: Tensor, exponent: float) -> Tensor:
    """Weights of the classes in the loss, float [classes]: (mean count / count)^exponent.

    Args:
        targets: float [images, classes], rows sum to 1.
        exponent: 0 leaves every image equal, 1 every class.
    """
    counts = targets.sum(dim=0).clamp(min=1.0)
    weights = (counts.mean() / counts) ** exponent
    return weights / (targets @ weights).mean()  # so that the mean image weighs 1


def seen_mix(targets: Tensor, weights: Tensor) -> tuple[float, ...]:
    """The mix of classes that a loss with these weights sees: a share a class, which sum to 1.

    Args:
        targets: float [images, classes], rows sum to 1.
        weights: of the classes in the loss, float [classes].

    Returns:
        What `ClassifierConfig.prior` is to be: empty where a class has none, of which nothing can be learnt.
    """
    seen = (targets.double() * weights.double()).sum(dim=0)
    return tuple((seen / seen.sum()).tolist()) if (seen > 0).all() else ()


def weighted_loss(logits: list[Tensor], targets: Tensor, weights: Tensor, auxiliary_weight: float) -> Tensor:
    """Cross entropy with soft targets: of the first logits whole, of the others by `auxiliary_weight`."""
    losses = [-(targets * weights * each.float().log_softmax(dim=1)).sum(dim=1).mean() for each in logits]
    return torch.stack([loss if place == 0 else auxiliary_weight * loss for place, loss in enumerate(losses)]).sum()

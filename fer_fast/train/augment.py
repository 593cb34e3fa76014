"""Random changes of faces, a batch at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fer_fast.datasets.hard_views import hard_views, where_drawn
from fer_fast.datasets.resized import resized
from fer_fast.machine.extras import need
from fer_fast.train.recipe import Augmentation


class Augment(nn.Module):
    """Random views of faces, by kornia; torch's global generator is the only source of randomness.

    Args:
        settings: how far the views may go.

    Raises:
        MissingExtraError: without kornia.
    """

    def __init__(self, settings: Augmentation) -> None:
        super().__init__()
        need("training", "train", modules=("kornia",))
        import kornia.augmentation as K

        low, high = settings.erase_area
        contrast, shift = settings.contrast, settings.shift
        self.hard_chance = settings.hard_chance
        self.views = nn.Sequential(
            K.RandomHorizontalFlip(p=0.5 if settings.flip else 0.0),
            K.RandomAffine(
                settings.rotation_degrees,
                translate=(shift, shift),
                scale=(1 - settings.scale, 1 + settings.scale),
                padding_mode="reflection",
                p=1.0,
            ),
            # Both clamp to 0..1. kornia adds the brightness less one, and multiplies by the contrast.
            K.RandomContrast((1 - contrast, 1 + contrast), p=1.0),
            K.RandomBrightness((1 - contrast / 2, 1 + contrast / 2), p=1.0),
            K.RandomErasing(scale=(low, high), ratio=(0.4, 2.5), p=settings.erase_chance),
        )

    @torch.no_grad()
    def forward(self, faces: Tensor, size: int) -> Tensor:
        """One random view of each face.

        Args:
            faces: uint8 [batch, channels, height, width], grey or RGB.
            size: side of the result in pixels.

        Returns:
            float32 [batch, 3, size, size], values 0..255.
        """
        # Turned at the size that the model sees: an enlarged face loses nothing by being resampled once more.
        views: Tensor = self.views(resized(faces, size) / 255).expand(-1, 3, -1, -1)
        if self.hard_chance:
            views = where_drawn(views, self.hard_chance, hard_views)
        return views * 255


def mixed(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018, Section 2): every image and target blended with another of the batch.

    Args:
        images: float [batch, 3, size, size].
        targets: float [batch, classes].
        alpha: of the Beta distribution that the share is drawn from, one share a batch; 0 mixes nothing.
    """
    if alpha == 0:
        return images, targets
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    order = torch.randperm(len(images)).to(images.device)
    return images.lerp(images[order], share), targets.lerp(targets[order], share)

"""A face and a class come in; the face as the model would like it best for that class goes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from fer_fast.models.network import Network
from fer_fast.models.prior import PriorLike
from fer_fast.types import FerFastError
from fer_fast.visualize.face import Inspection, check_pixels, inspect_face

#: Sides of what is added, as parts of the image's: coarse shapes first.
OCTAVES = (8, 4, 2, 1)
#: Grey levels that a step adds on average.
_RATE = 1.5
_SHIFT = 4  # the most that the image is moved before a step, in pixels


@dataclass(frozen=True)
class Dream:
    """A face on its way to a class.

    Attributes:
        label: the class.
        seen: what the model makes of the face at the start and after each octave.
    """

    label: str
    seen: tuple[Inspection, ...]


def deep_dream(
    model: Network, pixels: npt.NDArray[np.uint8], label: str, steps: int = 12, prior: PriorLike = "train"
) -> Dream:
    """Changes a face so that the logit of a class grows: DeepDream (Mordvintsev et al. 2015).

    A model has one size, so octaves are not of the image but of what is added to it: first an eighth of its side, in
    the end all of it. Each step goes along the gradient, divided by its mean magnitude, of the image moved by a few
    pixels, by the same chance each time.

    Args:
        model: in eval mode; it is left as it is.
        pixels: uint8 [size, size, 3], RGB, of the model's image size.
        label: one of the model's classes.
        steps: of each octave.
        prior: see `inspect_face`.

    Raises:
        TypeError: if `pixels` is not a uint8 array.
        ValueError: if its shape is another, or the model does not have the class or cannot have that prior.
        FerFastError: if the model gives a value that is not finite.
    """
    classes, size = model.config.classes, model.config.image_size
    if label not in classes:
        raise ValueError(f"class must be one of {', '.join(classes)}, not {label!r}")
    check_pixels(model, pixels)
    seen = [inspect_face(model, pixels, prior)]
    image = torch.tensor(pixels, device=model.get_buffer("pixel_mean").device).permute(2, 0, 1)[None].float()
    chance = torch.Generator().manual_seed(0)
    for octave in OCTAVES:
        side = max(size // octave, 1)
        added = image.new_zeros(1, 1 if model.config.colour == "grey" else 3, side, side)
        for _ in range(steps):
            moved = torch.randint(-_SHIFT, _SHIFT + 1, (2,), generator=chance).tolist()
            added = added + _RATE * _direction(model, image, added, classes.index(label), moved)
        image = _with(image, added)
        seen.append(inspect_face(model, _pixels(image), prior))
    return Dream(label, tuple(seen))


def _direction(model: Network, image: Tensor, added: Tensor, place: int, moved: list[int]) -> Tensor:
    """Along which the logit of a class grows, as `added`, of a mean magnitude of 1."""
    added = added.detach().requires_grad_()
    with torch.enable_grad():
        logits = model.trained(_with(image, added).roll(moved, (2, 3)))[0]
        (gradient,) = torch.autograd.grad(logits[0, place], added)
    mean = gradient.abs().mean()
    if not mean.isfinite():
        raise FerFastError("the model gave a gradient that is not a number")
    return gradient / mean.clamp_min(torch.finfo(mean.dtype).tiny)


def _with(image: Tensor, added: Tensor) -> Tensor:
    """The image [1, 3, size, size], 0 to 255, with what is added to it in a size of its own, grey or RGB."""
    return (image + F.interpolate(added, image.shape[2:], mode="bilinear")).clamp(0, 255)


def _pixels(image: Tensor) -> npt.NDArray[np.uint8]:
    """Of [1, 3, size, size], uint8 [size, size, 3]."""
    found: npt.NDArray[np.uint8] = image[0].round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    return found

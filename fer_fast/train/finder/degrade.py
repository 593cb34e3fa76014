"""A scene's pixels come in, the same as a bad camera, bad light or a bad file shows them go out."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from fer_fast.train.finder.material import Pixels
from fer_fast.train.finder.recipe import Degradation

Floats = npt.NDArray[np.float32]


def degraded(pixels: Pixels, recipe: Degradation, seed: int) -> Pixels:
    """Degrades a scene; nothing in it moves.

    Args:
        pixels: uint8 [height, width, 3].
        recipe: how often what happens.
        seed: of what is drawn by chance.
    """
    chance = np.random.default_rng(seed)
    image = pixels.astype(np.float32)
    # In the order in which light, lens, sensor and file do it.
    for name, change in (("light", _light), ("dark", _dark), ("grey", _grey), ("blur", _blur), ("coarse", _coarse)):
        if chance.random() < getattr(recipe, name):
            image = change(image, chance)
    if chance.random() < recipe.noise:
        image = image + _normal(image, chance) * np.float32(chance.uniform(2, 14))
    result = image.round().clip(0, 255).astype(np.uint8)
    return _compressed(result, int(chance.integers(20, 96))) if chance.random() < recipe.jpeg else result


def _light(image: Floats, chance: np.random.Generator) -> Floats:
    gamma, contrast, shift = np.exp(chance.uniform(-0.5, 0.5)), chance.uniform(0.6, 1.3), chance.uniform(-25, 25)
    bright = 255 * (image.clip(0, 255) / 255) ** np.float32(gamma)
    balance = chance.uniform(0.85, 1.15, 3)
    return (((bright - 128) * np.float32(contrast) + np.float32(128 + shift)) * balance).astype(np.float32)


def _dark(image: Floats, chance: np.random.Generator) -> Floats:
    less: Floats = image.clip(0, None) * np.float32(chance.uniform(0.08, 0.4))
    noise: Floats = _normal(image, chance) * np.sqrt(less * np.float32(chance.uniform(0.1, 1.0)) + 1)
    return (less + noise) * np.float32(chance.uniform(1, 2))  # as a camera amplifies what it sees


def _grey(image: Floats, chance: np.random.Generator) -> Floats:
    return np.repeat((image @ np.array([0.299, 0.587, 0.114], np.float32))[..., None], 3, axis=2)


def _blur(image: Floats, chance: np.random.Generator) -> Floats:
    picture = Image.fromarray(image.round().clip(0, 255).astype(np.uint8))
    if chance.random() < 0.7:
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(chance.uniform(0.4, 2.0))), np.float32)
    length = int(chance.integers(2, 6))  # of the way that the camera moved, along one of the axes
    axis = int(chance.integers(2))
    moved = np.cumsum(np.concatenate([image[:1] if axis == 0 else image[:, :1]] * length + [image], axis), axis)
    whole = image.shape[axis]
    ends = np.take(moved, range(length, length + whole), axis) - np.take(moved, range(whole), axis)
    return np.asarray(ends / length, np.float32)


def _coarse(image: Floats, chance: np.random.Generator) -> Floats:
    picture = Image.fromarray(image.round().clip(0, 255).astype(np.uint8))
    factor = chance.uniform(0.4, 0.8)
    small = picture.resize([max(1, round(length * factor)) for length in picture.size], Image.Resampling.BILINEAR)
    return np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC), np.float32)


def _compressed(pixels: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def _normal(image: Floats, chance: np.random.Generator) -> Floats:
    return chance.standard_normal(image.shape, np.float32)

"""What makes two runs the same: what a saved state must have in common with its run, and the source of its chances."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from fer_fast.train.faces import Faces
from fer_fast.train.recipe import Recipe


def identity_of(recipe: Recipe, train: Faces, valid: Faces, start: nn.Module, image_size: int) -> str:
    """What a saved state must have in common with a run: recipe, faces, classes, size and weights at the start.

    Of the weights the matrices alone: norms are measured, and may differ in the last bit with the number of threads.
    """
    digest = hashlib.blake2b(digest_size=16)
    for faces in (train, valid):
        digest.update("\n".join(faces.classes).encode())
        for tensor in (faces.pixels, faces.targets, faces.labels):
            digest.update(tensor.contiguous().numpy().tobytes())
    for name, tensor in start.named_parameters():
        if tensor.ndim > 1:
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"{recipe}{recipe.feature_words()} from {digest.hexdigest()} at {image_size} px"


def generator_of(*seeds: int) -> torch.Generator:
    """A generator of its own for each purpose and step."""
    mixed = 0
    for seed in seeds:
        mixed = (mixed * 1_000_003 + seed + 1) % (2**62)
    return torch.Generator().manual_seed(mixed)

"""What a model makes of one face, what its convolutions are, and what it sees in a face for a class."""

# ruff: noqa: E402 (what is missing is said before it is imported)
from fer_fast.machine.extras import need

need("fer_fast.visualize", "torch", modules=("torch",))

from fer_fast.visualize.dream import Dream, deep_dream
from fer_fast.visualize.face import (
    Inspection,
    attention_rollout,
    attention_weights,
    channel_means,
    check_pixels,
    inspect_face,
)
from fer_fast.visualize.layers import Filters, chosen_layers, feature_maps, first_filters, sparsity

__all__ = [
    "Dream",
    "Filters",
    "Inspection",
    "attention_rollout",
    "attention_weights",
    "channel_means",
    "check_pixels",
    "chosen_layers",
    "deep_dream",
    "feature_maps",
    "first_filters",
    "inspect_face",
    "sparsity",
]

"""Image files come in, uint8 pixels [batch, S, S, 3] and one reason for each file that gives none go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fer_fast.decode.choice import DECODERS, check_decoder, open_decoder
from fer_fast.decode.interface import Decoded, Decoder
from fer_fast.decode.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS

if TYPE_CHECKING:
    from fer_fast.decode.images import pixels_of
    from fer_fast.decode.interface import Pixels as Pixels

__all__ = [
    "DECODERS",
    "DEFAULT_MAX_PIXELS",
    "DEFAULT_MAX_SECONDS",
    "Decoded",
    "Decoder",
    "check_decoder",
    "open_decoder",
    "pixels_of",
]


def __getattr__(name: str) -> Any:
    # Pillow and numpy take 0.1 s to load: only for those who decode.
    if name != "pixels_of":
        raise AttributeError(f"module 'fer_fast.decode' has no attribute {name!r}")
    from fer_fast.decode.images import pixels_of

    return pixels_of

"""The fused op, by the name that users import; see `fer_fast.ops.tokens`."""

# ruff: noqa: E402 (what is missing is said before it is imported)
from __future__ import annotations

from fer_fast.machine.extras import need

need("fer_fast.tokens", "torch", modules=("torch",))

from fer_fast.ops.tokens import fused_tokens, fused_tokens_reference

__all__ = ["fused_tokens", "fused_tokens_reference"]

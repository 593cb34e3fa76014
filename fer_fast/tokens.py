"""The fused op, by the name that users import; see `fer_fast.ops.tokens`."""

from fer_fast.ops.tokens import fused_tokens, fused_tokens_reference

__all__ = ["fused_tokens", "fused_tokens_reference"]

"""Where training computes in bf16: the context of a device in which its layers run."""

from __future__ import annotations

import torch

from fer_fast.machine.processors import has_bf16_instructions


def autocast(device: torch.device) -> torch.autocast:
    """bf16 for the layers that bear it, where the device computes it; fp32 elsewhere, as emulation would be slow."""
    there = torch.cuda.is_bf16_supported(False) if device.type == "cuda" else has_bf16_instructions()
    return torch.autocast(device.type, torch.bfloat16, enabled=there)

"""What this machine has, asked without loading torch where there is nothing to find."""

from __future__ import annotations

from pathlib import Path


def cuda_is_present() -> bool:
    """Whether torch can compute on an NVIDIA card here.

    torch takes more than a second to load; a machine without NVIDIA's device files has no card.
    """
    if not any(path.exists() for path in (Path("/dev/nvidiactl"), Path("/dev/dxg"))):
        return False
    import torch

    return torch.cuda.is_available()

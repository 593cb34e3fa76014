"""What this machine has, asked without loading torch where there is nothing to find."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def cuda_is_present() -> bool:
    """Whether torch can compute on an NVIDIA card here.

    torch takes more than a second to load; a machine without NVIDIA's device files has no card.
    """
    if not any(path.exists() for path in (Path("/dev/nvidiactl"), Path("/dev/dxg"))):
        return False
    import torch

    return torch.cuda.is_available()


def present_devices() -> tuple[str, ...]:
    """The kinds of device that this machine can compute on: cpu, and cuda if there is a card."""
    return ("cpu", "cuda") if cuda_is_present() else ("cpu",)


def has_int8_dot_products() -> bool:
    """Whether the processor multiplies and adds int8 in one instruction (VNNI)."""
    return bool({"avx512_vnni", "avx_vnni"} & _processor_flags())


def has_amx() -> bool:
    """Whether the processor has matrix tiles for bf16 (AMX)."""
    return "amx_bf16" in _processor_flags()


def has_bf16_instructions() -> bool:
    """Whether the processor multiplies bf16 without going through fp32."""
    return bool({"avx512_bf16", "amx_bf16"} & _processor_flags())


@cache
def _processor_flags() -> frozenset[str]:
    """The flags that Linux names; empty where it names none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "")
    return frozenset(flags.split())

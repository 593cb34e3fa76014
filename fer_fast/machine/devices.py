"""What this machine has, asked without loading torch where there is nothing to find."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fer_fast.types import FerFastError


def cuda_is_present() -> bool:
    """Whether torch can compute on an NVIDIA card here.

    torch takes more than a second to load; a machine without NVIDIA's device files has no card.
    """
    if not any(path.exists() for path in (Path("/dev/nvidiactl"), Path("/dev/dxg"))):
        return False
    import torch

    return torch.cuda.is_available()


def torch_device(device: str) -> str:
    """The device of torch that is meant by auto, cpu, cuda or cuda:N: cpu or cuda:N.

    Raises:
        FerFastError: there is no such card.
    """
    import torch

    name = "cuda" if device == "auto" and cuda_is_present() else device.replace("auto", "cpu")
    if name == "cpu":
        return name
    number = torch.device(name).index or 0
    if number >= torch.cuda.device_count():
        seen = f"torch {torch.__version__} sees {torch.cuda.device_count()} CUDA cards"
        raise FerFastError(f"device {device!r} is not there: {seen}")
    return f"cuda:{number}"


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

"""What this machine has, asked without loading torch where there is nothing to find."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cache
from pathlib import Path

from fer_fast.machine.extras import need
from fer_fast.types import FerFastError, MissingExtraError

log = logging.getLogger(__name__)

#: One of them is there where a card can be: on Linux, and in Windows' subsystem for it, whose card may be anybody's.
_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
#: One of them is there where the card is NVIDIA's.
_DRIVERS = (Path("/dev/nvidiactl"), Path("/usr/lib/wsl/lib/libcuda.so.1"))
#: Linux' driver says its version here; in Windows' subsystem there is no such file.
_VERSION = Path("/proc/driver/nvidia/version")


def cuda_is_present() -> bool:
    """Whether torch can compute on an NVIDIA card here; a line of the log says so if torch alone is lacking.

    torch takes more than a second to load; a machine without NVIDIA's device files has no card.
    """
    if not any(path.exists() for path in _DEVICES):
        return False
    try:
        need("an NVIDIA card", "cuda", modules=("torch",))
    except MissingExtraError as error:
        if any(path.exists() for path in _DRIVERS):
            _tell(f"the processor is used: {error}")
        return False
    import torch

    return torch.cuda.is_available()


@cache  # once a process, however many engines are opened
def _tell(sentence: str) -> None:
    log.warning("%s", sentence)


def torch_device(device: str) -> str:
    """The device of torch that is meant by auto, cpu, cuda or cuda:N: cpu or cuda:N.

    Raises:
        FerFastError: there is no such card, or CUDA was in use when this process was forked.
    """
    import torch

    name = "cuda" if device == "auto" and cuda_is_present() else device.replace("auto", "cpu")
    if name == "cpu":
        return name
    if torch.cuda._is_in_bad_fork():
        raise FerFastError(f"device {device!r} cannot be used in a forked process whose parent used it: use spawn")
    number = torch.device(name).index or 0
    if number >= torch.cuda.device_count():
        seen = f"torch {torch.__version__} sees {torch.cuda.device_count()} CUDA cards"
        raise FerFastError(f"device {device!r} is not there: {seen}")
    return f"cuda:{number}"


def present_devices() -> tuple[str, ...]:
    """The kinds of device that this machine can compute on: cpu, and cuda if there is a card."""
    return ("cpu", "cuda") if cuda_is_present() else ("cpu",)


def driver_version() -> str:
    """NVIDIA's driver in its own words; where they cannot be read, the CUDA that it has; empty without a card."""
    with suppress(OSError):
        return _VERSION.read_text().partition("\n")[0].strip()
    import torch

    # torch says nothing of it in public.
    return f"for CUDA {torch._C._cuda_getDriverVersion()}" if torch.version.cuda else ""  # type: ignore[attr-defined]

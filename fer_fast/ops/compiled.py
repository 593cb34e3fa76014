"""The kernels where no nvcc built them: a card comes in, the kernels compiled for it go out, and are kept."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from functools import cache
from typing import Any

from fer_fast.machine.cache import Place
from fer_fast.ops import native
from fer_fast.ops.nvrtc import find_nvrtc
from fer_fast.types import FerFastError

log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


def compiled_kernel(architecture: int) -> bytes:
    """The kernels' cubin, from the cache, or compiled by NVRTC and kept there.

    Each NVRTC's is kept by itself. Where none is found, what was compiled last for that card will do.

    Args:
        architecture: the card's compute capability, times ten.

    Raises:
        FerFastError: there is no NVRTC that compiles for that card, and nothing was compiled for it before.
    """
    core = native.core()
    program, headers = core.cuda_program(), dict(core.cuda_headers())
    text = "\0".join((program, *headers, *headers.values()))
    source = hashlib.sha256(text.encode()).hexdigest()
    key: dict[str, str | int] = {"architecture": architecture, "source": source}
    last = Place("nvrtc", key)  # the version that compiled last
    try:
        nvrtc = find_nvrtc(architecture)
    except FerFastError as error:
        if (version := last.fetch()) is None or (kept := _place(key, bytes(version).decode()).fetch()) is None:
            raise
        log.info("%s; what NVRTC %s compiled before is used", error, bytes(version).decode())
        return bytes(kept)
    place = _place(key, nvrtc.version)
    if (kept := place.fetch()) is not None:
        return bytes(kept)
    begun = time.monotonic()
    cubin = nvrtc.compile(program, headers, architecture)
    seconds = time.monotonic() - begun
    log.info("the kernels: compiled by NVRTC %s in %.1f s, %s", nvrtc.version, seconds, place.store(cubin))
    last.store(nvrtc.version.encode())
    return cubin


def _place(key: dict[str, str | int], version: str) -> Place:
    return Place("kernel", key | {"nvrtc": version})


def code_for(device: int, architecture: int) -> Any:
    """The kernel, loaded on a card: `fer_fast._C.CudaCode`, one a process and card.

    Args:
        device: the card's number.
        architecture: its compute capability, times ten.

    Raises:
        FerFastError: it cannot be compiled, or the driver does not load it.
    """
    with _one_at_a_time:
        return _code_for(device, architecture)


@cache
def _code_for(device: int, architecture: int) -> Any:
    try:
        return native.core().CudaCode(compiled_kernel(architecture), device)
    except RuntimeError as error:
        raise FerFastError(str(error)) from error

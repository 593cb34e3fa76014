"""NVRTC, CUDA's compiler as a library: the kernel's source text comes in, machine code for one card goes out."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fer_fast.types import FerFastError

#: Releases that the kernel was compiled by; the first that knows the card is taken. 13 dropped Pascal.
RELEASES = (13, 12)
#: No contraction, as on the CPU; the kernel's functions are not marked one by one.
_OPTIONS = ("--std=c++17", "--fmad=false", "--device-as-default-execution-space")


class Nvrtc:
    """One NVRTC.

    Args:
        library: as it was loaded.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        major, minor, count = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        self._check("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self._check("nvrtcGetNumSupportedArchs", ctypes.byref(count))
        numbers = (ctypes.c_int * count.value)()
        self._check("nvrtcGetSupportedArchs", numbers)
        #: major.minor
        self.version = f"{major.value}.{minor.value}"
        #: Compute capabilities that it compiles for, times ten: 61, 75, ...
        self.architectures = tuple(numbers)

    def compile(self, program: str, headers: Mapping[str, str], architecture: int) -> bytes:
        """The cubin of a translation unit.

        Args:
            program: its text.
            headers: name to text of all that it includes.
            architecture: a compute capability, times ten.

        Raises:
            FerFastError: NVRTC refused; its words follow.
        """
        handle, size = ctypes.c_void_p(), ctypes.c_size_t()
        texts, names = _strings(headers.values()), _strings(headers)
        name = b"fused_tokens.cu"
        self._check("nvrtcCreateProgram", ctypes.byref(handle), program.encode(), name, len(headers), texts, names)
        try:
            options = _strings((*_OPTIONS, f"--gpu-architecture=sm_{architecture}"))
            if self._library.nvrtcCompileProgram(handle, len(options), options):
                raise FerFastError(f"NVRTC {self.version} does not compile the kernel: {self._log(handle)}")
            self._check("nvrtcGetCUBINSize", handle, ctypes.byref(size))
            cubin = ctypes.create_string_buffer(size.value)
            self._check("nvrtcGetCUBIN", handle, cubin)
            return cubin.raw
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(handle))

    def _log(self, handle: ctypes.c_void_p) -> str:
        size = ctypes.c_size_t()
        self._check("nvrtcGetProgramLogSize", handle, ctypes.byref(size))
        said = ctypes.create_string_buffer(size.value)
        self._check("nvrtcGetProgramLog", handle, said)
        return said.value.decode(errors="replace").strip()

    def _check(self, function: str, *arguments: object) -> None:
        if status := getattr(self._library, function)(*arguments):
            self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise FerFastError(f"{function} failed: {self._library.nvrtcGetErrorString(status).decode()}")


def find_nvrtc(architecture: int) -> Nvrtc:
    """The newest NVRTC here that compiles for a card.

    Args:
        architecture: the card's compute capability, times ten.

    Raises:
        FerFastError: there is none, or none that knows the card.
    """
    known: dict[str, tuple[int, ...]] = {}
    for library in _libraries():
        found = Nvrtc(library)
        if architecture in found.architectures:
            return found
        known[found.version] = found.architectures
    needed = f"the kernel must be compiled for compute capability {architecture / 10}"
    if not known:
        raise FerFastError(f"{needed}, and there is no NVRTC: pip install nvidia-cuda-nvrtc")
    raise FerFastError(f"{needed}, which NVRTC {' and '.join(known)} does not know; NVRTC 12.9 knows 5.0 to 12.1")


def _libraries() -> Iterator[ctypes.CDLL]:
    """Those that the system or torch has loaded or would find, then those of NVIDIA's wheels."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    for release in RELEASES:
        name = f"libnvrtc.so.{release}"
        for file in (name, *(str(path) for folder in folders for path in sorted(folder.glob(f"*/lib/{name}")))):
            try:
                yield ctypes.CDLL(file)
            except OSError:
                continue
            break


def _strings(values: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [value.encode() for value in values]
    return (ctypes.c_char_p * len(encoded))(*encoded)

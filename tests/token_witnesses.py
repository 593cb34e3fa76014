"""Who computes fused tokens in the tests: each instruction set, the CUDA kernel on the host and twice on the device."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fer_fast import _C as core  # noqa: N811
from fer_fast.ops.compiled import code_for
from fer_fast.ops.tokens import fused_tokens

ROOT = Path(__file__).parent.parent
NAMES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}
DTYPE_NUMBERS = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2, torch.uint8: 3}  # DType in fer_fast/tokens.h


def by_level(level: str) -> Callable[..., torch.Tensor]:
    """The module without torch, held to one instruction set."""

    def witness(sources, means, inv_stds, patches, grid, reduce_mean, out_dtype):
        before = core.cpu_level()
        core.set_cpu_level(level)
        try:
            arrays = [_array(source) for source in sources]
            statistics = [[tensor.numpy() for tensor in tensors] for tensors in (means, inv_stds)]
            tokens = core.fused_tokens(arrays, *statistics, patches, grid, reduce_mean, NAMES[out_dtype], threads=2)
        finally:
            core.set_cpu_level(before)
        return _tensor(tokens, out_dtype)

    return witness


def on_device(sources, means, inv_stds, **rest) -> torch.Tensor:
    """The op on the GPU."""
    moved = [[tensor.cuda() for tensor in tensors] for tensors in (sources, means, inv_stds)]
    return fused_tokens(*moved, **rest).cpu()


def by_nvrtc(sources, means, inv_stds, patches, grid, reduce_mean, out_dtype) -> torch.Tensor:
    """The kernel as NVRTC compiles it for the GPU that is here, on torch's tensors by way of DLPack."""
    major, minor = torch.cuda.get_device_capability()
    code = code_for(torch.cuda.current_device(), 10 * major + minor)
    moved = [[tensor.cuda() for tensor in tensors] for tensors in (sources, means, inv_stds)]
    rest = {"means": means, "patches": patches, "grid": grid, "out_dtype": out_dtype}
    out, stream = _tokens(sources, **rest).cuda(), torch.cuda.current_stream().cuda_stream
    core.fused_tokens_cuda(code, *moved, patches, grid, reduce_mean, out, stream=stream)
    return out.cpu()


class Plan(NamedTuple):
    """How the CUDA kernel takes a source. `path`: runs, pixels, planes or single."""

    path: str
    blocks: int
    threads: int
    shared_bytes: int


class Traffic(ctypes.Structure):
    """What a launch asks global memory for, of stores or of loads: ShimTraffic in kernel_shim.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("bytes", "moved", "lanes", "warp_lanes", "thread_slots")]


class Image(NamedTuple):
    """What the image kernel did. `path`: ImagePath in csrc/tokens/cuda_image.h."""

    path: str
    stores: Traffic
    loads: Traffic


def compile_shim(folder: Path) -> None:
    """The real CUDA kernels' bodies, and the CPU twin, for the host with UndefinedBehaviorSanitizer."""
    compiler = shutil.which("c++") or shutil.which("g++")
    assert compiler is not None, "the tests build a C++17 shim; no compiler was found"
    names = ["tokens.cpp", "cpu_level.cpp", "threads.cpp", "tokens_cpu.cpp", "cuda_plan.cpp", "image_plan.cpp"]
    sources = [ROOT / "tests/cpp/tokens_shim.cpp", *(ROOT / "csrc/tokens" / name for name in names)]
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-pthread", "-ffp-contract=off", "-Wno-psabi"]
    sanitizer = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    options = [*flags, *sanitizer, "-DFER_FAST_CPU_LEVEL_NAME=baseline", f"-I{ROOT / 'csrc/include'}"]
    subprocess.run([compiler, *options, *sources, "-o", folder / "libtokens_shim.so"], check=True)


class Shim:
    """What `compile_shim` compiled."""

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(str(folder / "libtokens_shim.so"))

    def cuda(self, **arguments) -> torch.Tensor:
        return self._write(self._library.shim_tokens, _tokens(**arguments), **arguments)

    def cuda_off_grid(self, **arguments) -> torch.Tensor:
        """Into memory that is aligned to its elements alone, which takes the way of single elements."""
        tokens = _tokens(**arguments)
        larger = tokens.new_full((tokens.numel() + 1,), float("nan"))
        return self._write(self._library.shim_tokens, larger[1:].view(tokens.shape), **arguments)

    def cpu(self, **arguments) -> torch.Tensor:
        return self._write(self._library.shim_tokens_cpu, _tokens(**arguments), **arguments)

    def plan(self, index: int, **arguments) -> Plan:
        found = (ctypes.c_int32 * 4)()
        self._library.shim_plan(*_call(_tokens(**arguments), **arguments), ctypes.c_int64(index), found)
        path, *rest = found
        return Plan(("runs", "pixels", "planes", "single")[path], *rest)

    def traffic(self, index: int, **arguments) -> tuple[Traffic, Traffic]:
        """Stores and loads of a source's launch, as each warp makes them."""
        found, tokens = (Traffic * 2)(), _tokens(**arguments)  # which must outlive the call
        self._library.shim_traffic(*_call(tokens, **arguments), ctypes.c_int64(index), found)
        return found[0], found[1]

    def image(self, images, mean, inv_std, out, planes: bool = False, most_blocks: int = 3) -> Image:
        """The image kernel into `out`, its channels last, or as planes."""
        view, found, message = _ImageView(), (Traffic * 2)(), ctypes.create_string_buffer(1000)
        view.pixels, view.mean, view.inv_std = images.data_ptr(), mean.data_ptr(), inv_std.data_ptr()
        view.batch, view.height, view.width, _ = images.shape
        view.out, view.out_dtype = out.data_ptr(), DTYPE_NUMBERS[out.dtype]
        view.channels, view.planes = out.shape[1 if planes else -1], planes
        size, blocks = ctypes.c_int64(1000), ctypes.c_int64(most_blocks)
        path = self._library.shim_image(ctypes.byref(view), blocks, found, message, size)
        if path < 0:
            raise ValueError(message.value.decode())
        return Image(("three", "four", "eight", "planes", "single")[path], *found)

    def refusal(self, address: int, **arguments) -> str:
        """What is said of tokens that are to be written there; empty if nothing is."""
        message = ctypes.create_string_buffer(1000)
        views, count, grid, _, dtype = _call(_tokens(**arguments), **arguments)
        self._library.shim_tokens(views, count, grid, ctypes.c_void_p(address), dtype, message, ctypes.c_int64(1000))
        return message.value.decode()

    def _write(self, function, tokens: torch.Tensor, **arguments) -> torch.Tensor:
        message = ctypes.create_string_buffer(1000)
        if function(*_call(tokens, **arguments), message, ctypes.c_int64(1000)):
            raise ValueError(message.value.decode())
        return tokens


def _tokens(sources, means, patches, grid, out_dtype, **_rest) -> torch.Tensor:
    """What is to be written, not a number yet."""
    k = sum(mean.numel() * patch**2 for mean, patch in zip(means, patches, strict=True))
    return torch.full((sources[0].shape[0], grid * grid, k), float("nan"), dtype=out_dtype)


def _call(tokens: torch.Tensor, **arguments) -> tuple:
    """What each of the shim's functions takes first."""
    views = _views(**arguments)
    grid, address = ctypes.c_int64(arguments["grid"]), ctypes.c_void_p(tokens.data_ptr())
    return views, ctypes.c_int64(len(views)), grid, address, DTYPE_NUMBERS[arguments["out_dtype"]]


class _View(ctypes.Structure):
    _fields_ = [  # SourceView in fer_fast/tokens.h
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        *((name, ctypes.c_int64) for name in ("batch", "channels", "height", "width")),
        *((f"{name}_stride", ctypes.c_int64) for name in ("batch", "channel", "height", "width")),
        ("mean", ctypes.c_void_p),
        ("inv_std", ctypes.c_void_p),
        ("mean_size", ctypes.c_int64),
        ("inv_std_size", ctypes.c_int64),
        ("patch", ctypes.c_int64),
        ("reduce_mean", ctypes.c_bool),
    ]


class _ImageView(ctypes.Structure):
    _fields_ = [  # ImageView in csrc/tokens/cuda_image.h
        ("pixels", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("batch", "height", "width")),
        *((name, ctypes.c_void_p) for name in ("mean", "inv_std", "out")),
        ("out_dtype", ctypes.c_int32),
        ("channels", ctypes.c_int64),
        ("planes", ctypes.c_bool),
    ]


def _views(sources, means, inv_stds, patches, reduce_mean, **_rest) -> ctypes.Array[_View]:
    views = (_View * len(sources))()
    rows = zip(views, sources, means, inv_stds, patches, reduce_mean, strict=True)
    for view, source, mean, inv_std, patch, reduce in rows:
        pixels = source.permute(0, 3, 1, 2) if source.dtype == torch.uint8 else source
        view.data, view.dtype = pixels.data_ptr(), DTYPE_NUMBERS[pixels.dtype]
        view.batch, view.channels, view.height, view.width = pixels.shape
        view.batch_stride, view.channel_stride, view.height_stride, view.width_stride = pixels.stride()
        view.mean, view.inv_std = mean.data_ptr(), inv_std.data_ptr()
        view.mean_size, view.inv_std_size = mean.numel(), inv_std.numel()
        view.patch, view.reduce_mean = patch, reduce
    return views


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


def _tensor(array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if dtype == torch.bfloat16 else tensor

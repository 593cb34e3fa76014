"""Who computes fused tokens in the tests: each instruction set, the CUDA kernel on the host and on the device."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fer_fast import _C as core  # noqa: N811
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


class Shim:
    """The real CUDA kernel body, and the CPU twin, compiled for the host with UndefinedBehaviorSanitizer."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("c++") or shutil.which("g++")
        assert compiler is not None, "the tests build a C++17 shim; no compiler was found"
        library = folder / "libtokens_shim.so"
        names = ["tokens.cpp", "cpu_level.cpp", "threads.cpp", "tokens_cpu.cpp"]
        sources = [ROOT / "tests/cpp/tokens_shim.cpp", *(ROOT / "csrc/tokens" / name for name in names)]
        flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-pthread", "-ffp-contract=off", "-Wno-psabi"]
        sanitizer = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
        options = [*flags, *sanitizer, "-DFER_FAST_CPU_LEVEL_NAME=baseline", f"-I{ROOT / 'csrc/include'}"]
        subprocess.run([compiler, *options, *sources, "-o", library], check=True)
        self._library = ctypes.CDLL(str(library))

    def cuda(self, **arguments) -> torch.Tensor:
        return self._run(self._library.shim_tokens, **arguments)

    def cpu(self, **arguments) -> torch.Tensor:
        return self._run(self._library.shim_tokens_cpu, **arguments)

    def path(self, index: int, **arguments) -> str:
        """How the CUDA kernel reads a source: runs, pixels, planes or single."""
        views = _views(**arguments)
        out_dtype = DTYPE_NUMBERS[arguments["out_dtype"]]
        grid, count = ctypes.c_int64(arguments["grid"]), ctypes.c_int64(len(views))
        return ("runs", "pixels", "planes", "single")[
            self._library.shim_path(views, count, grid, out_dtype, ctypes.c_int64(index))
        ]

    def _run(self, function, **arguments) -> torch.Tensor:
        views = _views(**arguments)
        out_dtype, grid = arguments["out_dtype"], arguments["grid"]
        k = sum(mean.numel() * patch**2 for mean, patch in zip(arguments["means"], arguments["patches"], strict=True))
        out = torch.full((arguments["sources"][0].shape[0], grid * grid, k), float("nan"), dtype=out_dtype)
        message = ctypes.create_string_buffer(1000)
        count, side = ctypes.c_int64(len(views)), ctypes.c_int64(grid)
        number = DTYPE_NUMBERS[out_dtype]
        if function(views, count, side, ctypes.c_void_p(out.data_ptr()), number, message, ctypes.c_int64(1000)):
            raise ValueError(message.value.decode())
        return out


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

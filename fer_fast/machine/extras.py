"""What can be installed beside the package: what somebody wants comes in, a sentence with what to install goes out."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from fer_fast.types import MissingExtraError, one_line


@dataclass(frozen=True)
class Extra:
    """A line of the package's optional dependencies.

    Attributes:
        purpose: what it is for.
        modules: that it brings, by the names that they are imported by.
    """

    purpose: str
    modules: tuple[str, ...]


#: By the name that pip knows, as in pyproject.toml. TensorRT's engines are built from ONNX graphs.
EXTRAS: dict[str, Extra] = {
    "torch": Extra(
        "the torch engine, the fused op in torch, visualize, exports, bench", ("torch", "onnx", "onnxscript")
    ),
    "train": Extra("training", ("torch", "kornia", "matplotlib")),
    "cuda": Extra(
        "NVIDIA cards since Turing", ("torch", "nvidia.dali", "nvidia.nvimgcodec", "tensorrt", "onnx", "onnxscript")
    ),
    "cuda12": Extra("NVIDIA cards before Turing", ("torch", "nvidia.dali", "nvidia.nvimgcodec")),
    "features": Extra("feature losses in training", ("skimage",)),
    "parquet": Extra("tables in parquet", ("pyarrow",)),
    "plots": Extra("figures", ("matplotlib",)),
    "heif": Extra("HEIC files", ("pillow_heif",)),
    "video": Extra("films", ("av",)),
    "ray": Extra("clusters", ("pyarrow", "ray")),
    "remote": Extra("files in object stores and on the web", ("fsspec", "aiohttp")),
}


def is_installed(module: str) -> bool:
    """Whether a module is there, without importing it.

    A folder without code is none: an uninstalled package may leave one behind, which Python would import as empty.
    """
    if module in sys.modules:
        return sys.modules[module] is not None  # None: whoever put it there wants it not to be
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # of the package that it is in
        return False
    return spec is not None and spec.has_location


def missing_modules(extra: str) -> list[str]:
    """The modules of an extra that are not installed."""
    return [module for module in EXTRAS[extra].modules if not is_installed(module)]


def pip_line(*extras: str) -> str:
    """What installs extras."""
    return f"pip install 'fer-fast[{','.join(extras)}]'"


def need(what: str, *extras: str, modules: tuple[str, ...] = ()) -> None:
    """Refuses what cannot be done without an extra, before it begins; what it takes is imported.

    Args:
        what: begins the sentence: engine 'torch', or device 'cuda'.
        extras: that bring what it takes.
        modules: of theirs those that it takes; without them all.

    Raises:
        MissingExtraError: a module of them is not installed, or is and cannot be imported.
    """
    taken = modules or tuple(dict.fromkeys(module for extra in extras for module in EXTRAS[extra].modules))
    lacking = [module for module in taken if not is_installed(module)]
    if lacking:
        verb = "is" if len(lacking) == 1 else "are"
        line = pip_line(*(extra for extra in extras if not {*lacking}.isdisjoint(EXTRAS[extra].modules)))
        raise MissingExtraError(f"{what} needs {', '.join(lacking)}, which {verb} not installed: {line}")
    for module in taken:
        try:
            importlib.import_module(module)
        except Exception as error:  # of a library that does not load, half a file, another release beside it
            again = f"install it again, or what it lacks: {pip_line(*extras)}"
            why = f"which is installed but cannot be imported ({one_line(error)})"
            raise MissingExtraError(f"{what} needs {module}, {why}: {again}") from error

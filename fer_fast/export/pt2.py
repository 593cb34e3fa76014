"""A model comes in, an AOTInductor package goes out: for libtorch in C++, compiled for this machine."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path

import torch

from fer_fast.engines.onnx_graph import example, free_dimensions
from fer_fast.export.graph import Graph
from fer_fast.machine.devices import cuda_is_present
from fer_fast.machine.processors import CPUINFO, processor_flags
from fer_fast.types import FerFastError


def encode(graph: Graph) -> dict[str, bytes]:
    """Suffix to bytes. The package is for the card, if there is one, and else for this processor."""
    device = "cuda" if cuda_is_present() else "cpu"
    module = graph.module(graph.precision).to(device)
    free = free_dimensions(graph.sides, graph.batch_size)
    try:
        with torch.inference_mode(), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of what torch's own parts will lose
            program = torch.export.export(module, (example(graph.sides).to(device),), dynamic_shapes=(free,))
            package = torch._inductor.aoti_compile_and_package(
                program,
                package_path=str(Path(folder) / "model.pt2"),
                inductor_configs={"aot_inductor.metadata": {"fer_fast": graph.description + instructions()}},
            )
            return {".pt2": Path(package).read_bytes()}
    except RuntimeError as error:
        raise FerFastError(f"torch could not compile the model: {error}") from error


#: What a C++ compiler may use of Linux' names for what a processor can: of x86 these, of ARM all.
_COMPILED = re.compile(r"(ss?se|avx|amx|fma|bmi|f16c|gfni|vaes|vpclmul|adx|movbe|popcnt|abm|sha)")


def instructions(cpuinfo: Path = CPUINFO) -> str:
    """What this processor can, a line each: the package holds machine code for it, which ends a program elsewhere.

    Empty where it is not Linux: then C++ cannot compare, either.
    """
    words = sorted(processor_flags(cpuinfo))
    x86 = "fpu" in words
    return "".join(f"instruction {word}\n" for word in words if not x86 or _COMPILED.match(word))

"""Ways of computing a part of a model or all of it, with exact weights; each is a call for any number of threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from fer_fast.bench import cuda_timing
from fer_fast.bench.case import Agreement, Prepared
from fer_fast.bench.compiled import Compiler
from fer_fast.bench.material import Material, compared
from fer_fast.classifier import DEFAULT_BATCH_SIZE
from fer_fast.engines.interface import ENGINES
from fer_fast.models.batch_norm import channels_last
from fer_fast.models.fusion.algebraic import AlgebraicModel
from fer_fast.models.quantised import quantise
from fer_fast.models.registry import architecture_of
from fer_fast.types import FerFastError

if TYPE_CHECKING:
    import openvino

    from fer_fast.engines.openvino_graph import CompiledGraph
    from fer_fast.models.fusion.network import FusionModel

#: What torch computes natively, by device; fp16 is emulated on a CPU.
TORCH_PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16")}


def on_card() -> list[tuple[str, str]]:
    """Engine and precision of all that runs a model on a card, side by side."""
    engines = [name for name in ENGINES if name not in ("auto", "openvino")]
    return [*itertools.product(engines, TORCH_PRECISIONS["cuda"]), ("tensorrt", "int8")]


class Taps(nn.Module):
    """The backbone with its normalisation: uint8 [batch, size, size, 3] in, maps [batch, h, w, channels] out."""

    def __init__(self, model: FusionModel | AlgebraicModel) -> None:
        super().__init__()
        if model.backbone is None:
            raise ValueError("this model has no backbone: its only source is the image")
        self.model = model

    def forward(self, images: Tensor) -> list[Tensor]:
        """Laid out as the fused op likes them."""
        assert self.model.backbone is not None
        return [tap.permute(0, 2, 3, 1) for tap in self.model.backbone(self.model.normalised(images))]


class Encoder(nn.Module):
    """The Vision Transformer after the projection: [batch, tokens, width] in, logits out."""

    def __init__(self, model: AlgebraicModel) -> None:
        super().__init__()
        self.vit = model.vit

    def forward(self, embedded: Tensor) -> Tensor:
        """See `VisionTransformer.encode`."""
        return self.vit.encode(embedded)


class Graphs:
    """What takes long to make and is shared: OpenVINO graphs, traced once for all precisions, and torch.compile's."""

    def __init__(self, material: Material) -> None:
        self.material = material
        self._traced = cache(self._trace)
        self._compilers: dict[str, Compiler] = {}

    def start_compiling(self, device: str) -> None:
        """Begins what `torch_compiled` waits for."""
        self._compilers[device] = Compiler(self.material.model, device, DEFAULT_BATCH_SIZE)

    def torch_compiled(self, device: str) -> Callable[[Tensor], Tensor]:
        """The model as it is written, in fp32; for batches of `DEFAULT_BATCH_SIZE`, others are compiled anew."""
        if device not in self._compilers:
            self.start_compiling(device)
        return self._compilers[device].result()

    def close(self) -> None:
        """Ends what was begun and nobody asked for."""
        for compiler in self._compilers.values():
            compiler.close()

    def compiled(self, part: str, precision: str) -> CompiledGraph:
        """A part for this processor.

        Args:
            part: backbone, vit (tokens to logits), encoder (projected tokens to logits) or written (the whole model
                as it is written, its tokens without the fused op).
            precision: fp32, bf16 or int8.

        Raises:
            ValueError, FerFastError: this model or processor does not have the precision.
        """

        from fer_fast.engines.openvino_graph import CompiledGraph, compile_options, has_bf16, openvino_core

        core = openvino_core()
        if precision == "bf16" and not has_bf16(core):
            raise FerFastError("this processor has no bf16 instructions")
        if precision not in ("fp32", "bf16", "int8"):
            raise ValueError(f"engine 'openvino' has no precision {precision!r} on a CPU")
        graph = self._traced(part, precision == "int8")
        return CompiledGraph(core.compile_model(graph, "CPU", compile_options(core, precision)))

    def _trace(self, part: str, int8: bool) -> openvino.Model:
        from fer_fast.bench.traced import trace

        config = self.material.config
        pixels = torch.zeros(2, config.image_size, config.image_size, 3, dtype=torch.uint8)
        if part == "written" and not int8:
            return trace(self.material.exact_model, pixels)
        model = self.material.fusion
        config = model.config
        algebraic = AlgebraicModel(model) if int8 or part == "encoder" else None
        if int8 and algebraic is not None:
            quantise(algebraic)  # a ValueError if its ranges were not measured
        if part == "backbone":
            return trace(Taps(algebraic or model).eval(), pixels)
        if part == "encoder":
            assert algebraic is not None
            return trace(Encoder(algebraic).eval(), torch.zeros(2, config.grid**2, config.width))
        if int8:
            raise ValueError(f"int8 ranges are measured of the algebraic form, which has no part {part!r}")
        return trace(model.vit, torch.zeros(2, config.grid**2, model.vit.proj.in_features))


def on_device(
    function: Callable[[], Tensor | list[Tensor]], exact: Sequence[Tensor], device: str, precision: str
) -> Prepared:
    """A torch function of nothing, checked, for a CPU or a GPU."""

    def call() -> Tensor | list[Tensor]:
        with torch.inference_mode():
            return function()

    def compare(answer: Tensor | list[Tensor]) -> Agreement:
        return compared([answer] if isinstance(answer, Tensor) else answer, exact, precision)

    return Prepared(call, lambda: compare(call())) if device == "cpu" else cuda_timing.prepared(call, compare)


def in_graph(
    graph: CompiledGraph, inputs: Sequence[npt.NDArray[Any]], exact: Sequence[Tensor], precision: str
) -> Prepared:
    """An OpenVINO graph on one batch, checked."""

    def check() -> Agreement:
        return compared([torch.from_numpy(output) for output in graph(inputs)], exact, precision)

    return Prepared(lambda: graph(inputs), check, threads=graph.streams)


def torch_model(material: Material, device: str, precision: str, ours: bool) -> nn.Module:
    """The model as the engine runs it, or as it is written."""
    if ours:
        return architecture_of(material.checkpoint).eager(material.checkpoint, precision).to(torch.device(device))
    model = material.copy(device, precision)
    channels_last(model)
    return model

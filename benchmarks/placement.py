"""Measures where the tokens are computed fastest on a CPU: benchmarks/results/placement.json goes out.

Three forms of the same model, in turn: one OpenVINO graph with the tokens as convolutions (what the engine does); the
fused op between an OpenVINO backbone and an OpenVINO ViT; eager torch with the fused op, and with the reference.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import torch
from torch import Tensor, nn

from fer_fast.bench.environment import environment
from fer_fast.bench.measure import rates_in_turn, ratio
from fer_fast.engines import open_engine
from fer_fast.models.checkpoint import read_checkpoint
from fer_fast.models.fusion import FusionModel
from fer_fast.models.storage import build_model
from fer_fast.tokens import fused_tokens, fused_tokens_reference

RESULTS = Path(__file__).parent / "results"
BATCH = 32
#: Largest difference of a logit from fp32 torch, as a share of the logits' standard deviation, to be timed at all.
TOLERANCE = 0.2

Infer = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


class Taps(nn.Module):
    """The backbone with its normalisation: uint8 pixels in, taps out, laid out as the fused op likes them."""

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> list[Tensor]:
        """[batch, size, size, 3] to maps [batch, h, w, channels]."""
        assert self.model.backbone is not None
        return [tap.permute(0, 2, 3, 1) for tap in self.model.backbone(self.model.normalised(images))]


def compiled(module: nn.Module, example: Tensor, hint: str) -> openvino.CompiledModel:
    """A module as an OpenVINO model in bf16 where the processor has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = openvino.convert_model(module, example_input=example)
    graph.reshape([-1, *example.shape[1:]])
    core = openvino.Core()
    bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    options = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
    return core.compile_model(graph, "CPU", options)


def split_model(model: FusionModel, streams: int) -> Infer:
    """The fused op between two OpenVINO models; one pair of requests for each thread that calls it."""
    size = model.config.image_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    backbone = compiled(Taps(model), example, "THROUGHPUT")
    vit = compiled(model.vit, torch.zeros(2, model.config.grid**2, model.vit.proj.in_features), "THROUGHPUT")
    pairs = [(backbone.create_infer_request(), vit.create_infer_request()) for _ in range(streams)]
    means, inv_stds = model.statistics()

    def infer(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        taps_request, vit_request = pairs.pop()
        maps = taps_request.infer([images], share_inputs=True, share_outputs=True).to_tuple()
        sources = [torch.from_numpy(images), *(torch.from_numpy(tap).permute(0, 3, 1, 2) for tap in maps)]
        tokens = fused_tokens(sources, means, inv_stds, model.patches, model.config.grid)
        logits = vit_request.infer([tokens.numpy()], share_inputs=True)[0].copy()
        pairs.append((taps_request, vit_request))
        return logits

    return infer


def torch_model(model: FusionModel, op: Callable[..., Tensor]) -> Infer:
    """Eager fp32 torch."""

    def infer(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        model.tokens = op
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    return infer


def main() -> None:
    """Checks each form against fp32 torch, times them in turn and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "placement.json")
    options = parser.parse_args()
    checkpoint = read_checkpoint(options.model)
    model = build_model(checkpoint)
    size = checkpoint.config.image_size
    images = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), dtype=np.uint8)
    engine = open_engine(checkpoint, engine="openvino", precision="bf16", batch_size=BATCH)
    forms: dict[str, tuple[Infer, int]] = {
        "openvino, convolutions": (engine.infer, engine.streams),
        "openvino, fused op between two graphs": (split_model(model, engine.streams), engine.streams),
        "torch fp32, fused op": (torch_model(model, fused_tokens), 1),
        "torch fp32, reference": (torch_model(model, fused_tokens_reference), 1),
    }
    exact = forms["torch fp32, reference"][0](images)
    errors = {name: float(np.abs(infer(images) - exact).max() / exact.std()) for name, (infer, _) in forms.items()}
    for name, error in errors.items():
        if error > TOLERANCE:
            raise SystemExit(f"{name} is off by {error:.3f} standard deviations of a logit: nothing is timed")

    def call(infer: Infer, streams: int) -> Callable[[], int]:
        def run() -> int:
            with ThreadPoolExecutor(streams) as pool:
                return sum(len(result) for result in pool.map(infer, [images] * 8))

        return run

    rates = rates_in_turn({name: call(*form) for name, form in forms.items()}, options.rounds)
    chosen = "openvino, convolutions"
    result = {
        "environment": environment(),
        "batch": BATCH,
        "images_per_second": rates,
        "error_in_logit_deviations": errors,
        "times_as_fast": {name: ratio(rates, chosen, name) for name in forms if name != chosen},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

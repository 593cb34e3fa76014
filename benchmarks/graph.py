"""Measures the graphs of OpenVINO: laid against traced ones, and against reading them from files; graph.json goes out.

python benchmarks/graph.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import torch

from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.traced import trace
from fer_fast.engines.openvino import PRECISIONS
from fer_fast.engines.openvino_graph import compile_options, has_bf16, openvino_core
from fer_fast.engines.openvino_layers import laid
from fer_fast.models.files.checkpoint import Checkpoint, FinderCheckpoint, read_either
from fer_fast.models.files.paths import packaged_finders, packaged_models
from fer_fast.models.registry import architecture_of

RESULTS = Path(__file__).parent / "results"
#: Of a classifier; a finder's images are photos.
BATCH, PHOTOS, PHOTO = 32, 4, (480, 640)
#: The largest difference of what comes out of two graphs of the same model: probabilities, or scores of 0 to 1.
ALLOWED = {"fp32": 1e-5, "bf16": 0.03, "int8": 0.1}

AnyCheckpoint = Checkpoint | FinderCheckpoint
Answer = npt.NDArray[np.float32]


def traced(checkpoint: AnyCheckpoint, int8: bool) -> openvino.Model:
    """What a trace of the torch model gives."""
    architecture = architecture_of(checkpoint)
    sides = architecture.sides(checkpoint)
    module = architecture.exported(checkpoint, "int8" if int8 else "fp32")
    graph = trace(module, torch.zeros(2, *sides.example, 3, dtype=torch.uint8))
    height_and_width = sides.example if sides.fixed else (-1, -1)
    graph.reshape([openvino.Dimension(1, BATCH), *height_and_width, 3])
    return graph


def images_of(checkpoint: AnyCheckpoint) -> npt.NDArray[np.uint8]:
    """Smooth random pictures."""
    sides = architecture_of(checkpoint).sides(checkpoint)
    count, (height, width) = (BATCH, sides.example) if sides.fixed else (PHOTOS, PHOTO)
    coarse = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 255
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 255)
    return smooth.permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()


def compiled(graph: openvino.Model, precision: str) -> Callable[[npt.NDArray[np.uint8]], Answer]:
    """A call, as the engine compiles it."""
    core = openvino_core()
    request = core.compile_model(graph, "CPU", compile_options(core, precision)).create_infer_request()
    return lambda images: np.array(request.infer([images], share_inputs=True, share_outputs=True)[0])


def difference(one: Answer, other: Answer) -> float:
    """The largest of probabilities, or of cells' scores."""
    columns = ... if one.ndim == 2 else (..., 0)
    return float(np.abs(one[columns] - other[columns]).max())


def rates(calls: Mapping[str, Callable[[], object]], images: int, rounds: int) -> dict[str, float]:
    """Images a second, the median over rounds taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in [*calls.items()] * (rounds + 1):
        begun = time.perf_counter()
        call()
        seconds[name].append(time.perf_counter() - begun)
    return {name: round(images / statistics.median(taken[1:]), 1) for name, taken in seconds.items()}


def median_seconds(call: Callable[[], object], rounds: int) -> float:
    """Of a call."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return round(statistics.median(taken), 4)


def speed(checkpoint: AnyCheckpoint, precision: str, rounds: int) -> dict[str, Any]:
    """Laid against traced."""
    images, int8 = images_of(checkpoint), precision == "int8"
    ours = compiled(laid(checkpoint, BATCH, int8=int8, exported=True), precision)
    theirs = compiled(traced(checkpoint, int8), precision)
    apart = difference(ours(images), theirs(images))
    if apart > ALLOWED[precision]:
        raise SystemExit(f"laid and traced differ by {apart} in {precision}")
    found = rates({"laid": lambda: ours(images), "traced": lambda: theirs(images)}, len(images), rounds)
    return {"images_per_second": found, "largest_difference": apart}


def shipped(checkpoint: AnyCheckpoint, precision: str, rounds: int) -> dict[str, Any]:
    """Building a graph from the weights against reading it from files of its own."""
    images, int8 = images_of(checkpoint)[:1], precision == "int8"

    def lay() -> openvino.Model:
        return laid(checkpoint, BATCH, int8=int8, exported=True)

    with tempfile.TemporaryDirectory(prefix="fer-fast-") as folder:
        file = Path(folder) / "model.xml"
        openvino.save_model(lay(), file, compress_to_fp16=False)
        ways = {"laid": lay, "read": lambda: openvino_core().read_model(file)}
        first = {
            name: median_seconds(lambda way=way: compiled(way(), precision)(images), rounds)
            for name, way in ways.items()
        }
        return {
            "megabytes": round(sum(each.stat().st_size for each in Path(folder).iterdir()) / 1e6, 2),
            "seconds": {name: median_seconds(way, rounds) for name, way in ways.items()},
            "seconds_to_first_answer": first,
            "largest_difference": difference(*(compiled(way(), precision)(images) for way in ways.values())),
        }


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of each call; what is compiled takes a quarter of them")
    parser.add_argument("--models", nargs="+", default=[*packaged_models(), *packaged_finders()])
    parser.add_argument("--out", type=Path, default=RESULTS / "graph.json")
    options = parser.parse_args()
    found: dict[str, Any] = {"environment": environment(), "batch_size": BATCH, "rows": []}
    there = [each for each in PRECISIONS if each != "bf16" or has_bf16(openvino_core())]
    for name, precision in product(options.models, there):
        checkpoint = read_either(name)
        if precision == "int8" and architecture_of(checkpoint).int8_obstacle(checkpoint):
            continue
        row = {"model": name, "precision": precision, **speed(checkpoint, precision, options.rounds)}
        row["shipped"] = shipped(checkpoint, precision, max(1, options.rounds // 4))
        found["rows"].append(row)
        found["environment"]["load_average_after"] = load_average()
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

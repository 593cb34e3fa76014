"""All that needs a GPU, in one call: a checkout on a machine with a card comes in, one JSON and a short table go out.

    python benchmarks/gpu.py [--out FILE] [--logs FOLDER] [--data FERPLUS] [--steps build,test,...]

A step that fails does not stop the next; the exit status is 1 if one did. All steps together take less than eight
minutes, and the JSON is written after each. Nothing is fetched: torch for CUDA, nvcc, CMake, ninja, setuptools,
pybind11, numpy, pillow, safetensors, tqdm, pytest and hypothesis must be there. DALI, TensorRT, compute-sanitizer and
FERPlus are used where they are; what was left out is told.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
#: Compute-sanitizer's, and the seconds that each may take.
TOOLS = {"memcheck": 40, "racecheck": 25, "initcheck": 25}
#: By which somebody chooses for which cards is compiled.
CHOSEN = {"CMAKE_CUDA_ARCHITECTURES", "CUDAARCHS", "TORCH_CUDA_ARCH_LIST", "CMAKE_ARGS"}
#: The tests of our kernels.
KERNELS = ("tests/test_tokens.py", "tests/test_image.py")
#: The bench's stages but for photos, which have a step, and so its time, of their own, and for starting: with an empty
#: cache auto would measure for a minute.
WITHOUT_FACES = "decode,backbone,tokens,vit,model,folder,latency"
#: What runs only where it is installed, and what is left out without it.
OPTIONAL = {
    "nvidia.dali": "NVIDIA DALI is not installed: nvImageCodec or Pillow decodes",
    "nvidia.nvimgcodec": "nvImageCodec is not installed: DALI or Pillow decodes",
    "tensorrt": "TensorRT is not installed: torch runs the model",
    "openvino": "OpenVINO is not installed: nothing on the CPU is compared",
}


@dataclass(frozen=True)
class Step:
    """One thing that is run.

    Attributes:
        command: what is run; its output goes into a log.
        seconds: that it may take: what comes after it shall have its turn.
        lacks: why it cannot be run here; empty if it can.
        report: a JSON file that it writes, which becomes part of the whole.
    """

    command: list[str]
    seconds: int
    lacks: str = ""
    report: Path | None = None


def steps(logs: Path, data: Path | None) -> dict[str, Step]:
    """Name to step, in order."""
    pytest = [PYTHON, "-m", "pytest", "-q", "-m", "needs_cuda"]
    # Other files need packages that only a CPU needs.
    files = [str(path) for path in sorted((ROOT / "tests").glob("test_*.py")) if "needs_cuda" in path.read_text()]
    no_sanitizer = "" if shutil.which("compute-sanitizer") else "there is no compute-sanitizer"
    engines, tokens, faces, whole, accuracy = (
        logs / f"{name}.json" for name in ("engines", "tokens", "faces", "bench", "accuracy")
    )
    page = ["--card", "h200", "--html", str(logs / "bench.html")]
    evaluate = [PYTHON, "-m", "fer_fast", "evaluate", "fast", str(data), "--json", str(accuracy)]
    return {
        "build": Step([PYTHON, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "-e", "."], 60),
        "engines": Step([PYTHON, "benchmarks/engines.py", str(engines)], 110, report=engines),
        "test": Step([*pytest, *files], 80),
        **{
            tool: Step(
                ["compute-sanitizer", "--tool", tool, "--error-exitcode", "1", *pytest, *KERNELS], limit, no_sanitizer
            )
            for tool, limit in TOOLS.items()
        },
        "tokens": _bench("tokens", 10, 30, tokens, "--batch-sizes", "256"),
        "faces": _bench("faces", 10, 30, faces),
        "bench": _bench(WITHOUT_FACES, 35, 55, whole, *page),
        "accuracy": Step(evaluate, 20, "" if data else "--data was not given", accuracy),
    }


def _bench(stages: str, seconds: int, limit: int, report: Path, *more: str) -> Step:
    """Some of the bench's stages on the card; `limit` leaves room for what comes before and after."""
    command = [PYTHON, "-m", "fer_fast.bench", "--devices", "cuda", "--stages", stages, "--seconds", str(seconds)]
    return Step([*command, "--json", str(report), *more], limit, report=report)


@cache
def this_card() -> dict[str, str]:
    """What makes the build compile for the cards that are here alone; nothing where somebody chose."""
    program = shutil.which("nvidia-smi")
    if program is None or CHOSEN & os.environ.keys():
        return {}
    asked = [program, "--query-gpu=compute_cap", "--format=csv,noheader"]
    found = subprocess.run(asked, capture_output=True, text=True).stdout.split()
    architectures = sorted({capability.replace(".", "") for capability in found})
    return {"CMAKE_CUDA_ARCHITECTURES": ";".join(f"{each}-real" for each in architectures)} if architectures else {}


def run(name: str, step: Step, logs: Path) -> dict[str, Any]:
    """Runs a step with its output in a log; what became of it."""
    if step.lacks:
        return {"step": name, "state": "left out", "seconds": 0.0, "said": step.lacks}
    environment = os.environ | {"FER_FAST_CUDA": "1", "FER_FAST_REQUIRE_CUDA": "1"} | this_card()
    begun, file = time.monotonic(), logs / f"{name}.log"
    with file.open("w") as log:
        try:
            done = subprocess.run(
                step.command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, timeout=step.seconds
            )
            status = done.returncode
        except OSError as error:
            log.write(f"{step.command[0]} does not start: {error}\n")
            status = 127
        except subprocess.TimeoutExpired:
            log.write(f"ended after {step.seconds} seconds\n")
            status = 124
    seconds = time.monotonic() - begun
    lines = file.read_text(errors="replace").strip().splitlines()
    if status or step.report:
        print("\n".join(lines[-80:]), flush=True)
    state = "FAILED" if status else "ok"
    return {"step": name, "state": state, "seconds": round(seconds, 1), "said": lines[-1] if lines else ""}


def main() -> int:
    """Runs the steps, writes the JSON and prints the table last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json", help="default: benchmarks/results")
    add("--logs", type=Path, default=ROOT / "build" / "gpu", help="where each step's log goes (default: build/gpu)")
    add("--data", type=Path, help="FERPlus, for the accuracy of each engine and precision against fp32")
    known = list(steps(Path(), None))
    add("--steps", default=",".join(known), help=f"of {', '.join(known)} (default: all)")
    options = parser.parse_args()
    chosen = options.steps.split(",")
    if unknown := set(chosen) - set(known):
        parser.error(f"each of steps must be one of {', '.join(known)}, not {min(unknown)!r}")
    for folder in (options.logs, options.out.resolve().parent):
        folder.mkdir(parents=True, exist_ok=True)
    logs = options.logs.resolve()
    data = options.data.resolve() if options.data else None
    wanted = {name: step for name, step in steps(logs, data).items() if name in chosen}
    for step in wanted.values():
        if step.report:
            step.report.unlink(missing_ok=True)  # an older one would be taken for this run's
    left_out = [why for module, why in OPTIONAL.items() if not _is_installed(module)]
    found: dict[str, Any] = {"steps": [], "left_out": left_out}
    for name, step in wanted.items():
        found["steps"].append(run(name, step, logs))
        if step.report and step.report.exists():
            found[name] = json.loads(step.report.read_text())
        options.out.write_text(json.dumps(found, indent=1) + "\n")  # whatever comes next
    table = found["steps"]
    for row in table:
        print(f"{row['step']:10} {row['state']:9} {row['seconds']:6.0f} s  {row['said'][:120]}")
    for why in left_out:
        print(why)
    return int(any(row["state"] == "FAILED" for row in table))


def _is_installed(module: str) -> bool:
    package = module.partition(".")[0]
    return importlib.util.find_spec(package) is not None and importlib.util.find_spec(module) is not None


if __name__ == "__main__":
    sys.exit(main())

"""The C++ library against Python's `predict` and against bare OpenVINO: benchmarks/results/embedding.json goes out.

python benchmarks/embedding.py [--model fast] [--rounds 5] [--seconds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

import fer_fast
from fer_fast import Classifier
from fer_fast.bench.environment import environment
from fer_fast.export import export_model
from fer_fast.machine.disk import check_place, write_whole

HERE = Path(__file__).parent
#: Name to images, width and height: what a camera's face detector cuts out, small and large.
SIZES = {"faces": (512, 48, 48), "crops": (256, 240, 240)}
PRECISIONS = ("fp32", "int8")
#: What a program on a CPU needs of OpenVINO's wheel.
OPENVINO_FILES = (
    "libopenvino_c.so.*",
    "libopenvino.so.*",
    "libopenvino_intel_cpu_plugin.so",
    "libopenvino_ir_frontend.so.*",
    "libtbb.so.*",
)


def built(folder: Path) -> Path:
    """Builds the C++ side against the installed package."""
    prefix = f"-DCMAKE_PREFIX_PATH={fer_fast.cmake_prefix_path};{Path(openvino.__file__).parent / 'cmake'}"
    for command in (["-S", str(HERE / "cpp"), "-B", str(folder), "-G", "Ninja", prefix], ["--build", str(folder)]):
        subprocess.run(["cmake", *command], check=True, stdout=subprocess.DEVNULL)
    return folder


def shipped(binary: Path, graph: Path, folder: Path) -> dict[str, int]:
    """Name to bytes of the files that a program needs: it is run with nothing else of OpenVINO's.

    Raises:
        CalledProcessError: if they do not do.
    """
    (library,) = Path(fer_fast.cmake_prefix_path).glob("lib*/libfer_fast.so.?")
    files = [graph, graph.with_suffix(".bin"), library]
    files += [file for name in OPENVINO_FILES for file in (Path(openvino.__file__).parent / "libs").glob(name)]
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder / file.name)
    images = folder / "images.raw"
    images.write_bytes(bytes(48 * 48 * 3))
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "FER_FAST_OPENVINO_DIR": str(folder)}
    command = [str(binary), str(folder / graph.name), "int8", str(images), "48", "48", "0.1"]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    found = subprocess.run(["ldd", str(binary)], check=True, env=environment, capture_output=True, text=True).stdout
    elsewhere = [line for line in found.splitlines() if "site-packages" in line or "not found" in line]
    if elsewhere:
        raise SystemExit(f"a program with the shipped files alone takes others: {elsewhere[0].strip()}")
    return {file.name: file.stat().st_size for file in files}


def python_rate(classifier: Classifier, images: list[npt.NDArray[np.uint8]], seconds: float) -> float:
    """Images a second of `predict`, call after call."""
    classifier.predict(images)
    begun, calls = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        classifier.predict(images)
        calls += 1
    return calls * len(images) / (time.perf_counter() - begun)


def cpp_run(command: list[str]) -> dict[str, float]:
    """What the program says, by name."""
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: float(value) for name, value in (line.split("=") for line in said.splitlines())}


def compare(model: str, rounds: int, seconds: float) -> dict[str, Any]:
    """A row a precision and kind of image; each round runs C++ and Python in turn. And what is to be shipped."""
    rows: list[dict[str, Any]] = []
    files: dict[str, int] = {}
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        binary = built(folder / "build") / "embedding"
        for precision in PRECISIONS:
            (folder / precision).mkdir()
            (graph, _) = export_model(model, "openvino", folder / precision / f"{model}.xml", precision=precision)
            if precision == "int8":
                files = shipped(binary, graph, folder / "shipped")
            with Classifier(model, engine="openvino", precision=precision) as classifier:
                for name, (count, width, height) in SIZES.items():
                    images = random.integers(0, 256, (count, height, width, 3)).astype(np.uint8)
                    images.tofile(folder / "images.bin")
                    sizes = [str(folder / "images.bin"), str(width), str(height), str(seconds)]
                    command = [str(binary), str(graph), precision, *sizes]
                    found: list[dict[str, float]] = []
                    for _ in range(rounds):
                        round_found = cpp_run(command)
                        round_found["python_images_per_second"] = python_rate(classifier, list(images), seconds)
                        found.append(round_found)
                    medians = {key: statistics.median(each[key] for each in found) for key in found[0]}
                    throughput = statistics.median(
                        each["images_per_second"] / each["python_images_per_second"] for each in found
                    )
                    latency = statistics.median(each["latency_ms"] / each["bare_latency_ms"] for each in found)
                    row = {"precision": precision, "images": name, "width": width, "height": height, **medians}
                    rows.append(row | {"over_python": throughput, "latency_over_bare": latency})
                    print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows, "shipped": files}


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="fast")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=3.0, help="of each measurement (default: %(default)s)")
    add("--out", type=Path, default=HERE / "results" / "embedding.json")
    options = parser.parse_args()
    target = check_place(str(options.out))
    found = {"environment": environment(), "model": options.model}
    found |= compare(options.model, options.rounds, options.seconds)
    write_whole(target, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()

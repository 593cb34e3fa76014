"""The C++ library against Python's `predict` and against bare OpenVINO: benchmarks/results/embedding.json goes out.

python benchmarks/embedding.py [--model fast] [--rounds 5] [--seconds 3]
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from programs import commands, record, said

import fer_fast
from fer_fast import Classifier

#: Name to images, width and height: what a camera's face detector cuts out, small and large.
SIZES = {"faces": (512, 48, 48), "crops": (256, 240, 240)}
#: What a program on a CPU needs of OpenVINO's wheel.
OPENVINO_FILES = (
    "libopenvino_c.so.*",
    "libopenvino.so.*",
    "libopenvino_intel_cpu_plugin.so",
    "libopenvino_ir_frontend.so.*",
    "libtbb.so.*",
)


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
    return {name: float(value) for name, value in (line.split("=") for line in said(command).splitlines())}


def compare(model: str, rounds: int, seconds: float) -> dict[str, Any]:
    """A row a precision and kind of image; each round runs C++ and Python in turn. And what is to be shipped."""
    rows: list[dict[str, Any]] = []
    files: dict[str, int] = {}
    for precision, command in commands("embedding", model):
        binary, graph = Path(command[0]), Path(command[1])
        if precision == "int8":
            files = shipped(binary, graph, graph.parent / "shipped")
        with Classifier(model, engine="openvino", precision=precision) as classifier:
            for name in SIZES:
                rows.append({"precision": precision, **row(name, command, classifier, rounds, seconds)})
                print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows, "shipped": files}


def row(name: str, command: list[str], classifier: Classifier, rounds: int, seconds: float) -> dict[str, Any]:
    """Of one kind of image the medians over rounds, and those of the rounds' ratios."""
    count, width, height = SIZES[name]
    images = np.random.default_rng(0).integers(0, 256, (count, height, width, 3)).astype(np.uint8)
    file = Path(command[1]).with_name("images.bin")
    images.tofile(file)
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        one = cpp_run([*command, str(file), str(width), str(height), str(seconds)])
        found.append(one | {"python_images_per_second": python_rate(classifier, list(images), seconds)})
    return {
        **{"images": name, "width": width, "height": height},
        **{key: statistics.median(one[key] for one in found) for key in found[0]},
        "over_python": median_ratio(found, "images_per_second", "python_images_per_second"),
        "latency_over_bare": median_ratio(found, "latency_ms", "bare_latency_ms"),
    }


def median_ratio(rounds: list[dict[str, float]], name: str, base: str) -> float:
    """Of what one round found, over another thing that it found."""
    return statistics.median(one[name] / one[base] for one in rounds)


if __name__ == "__main__":
    record(__doc__, "embedding", compare, rounds=5, seconds=3.0)

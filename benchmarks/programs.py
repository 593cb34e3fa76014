"""What benchmarks of C++ share: a model and a program of cpp/ come in, medians over rounds go out, as JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import openvino

import fer_fast
from fer_fast.bench.environment import environment, load_average
from fer_fast.export import export_model
from fer_fast.machine.disk import check_place, write_whole

HERE = Path(__file__).parent
PRECISIONS = ("fp32", "int8")

#: What a round found of each way to ask, by name.
Ways = dict[str, dict[str, float]]


def built(folder: Path) -> Path:
    """Builds the C++ side against the installed package."""
    prefix = f"-DCMAKE_PREFIX_PATH={fer_fast.cmake_prefix_path};{Path(openvino.__file__).parent / 'cmake'}"
    for command in (["-S", str(HERE / "cpp"), "-B", str(folder), "-G", "Ninja", prefix], ["--build", str(folder)]):
        subprocess.run(["cmake", *command], check=True, stdout=subprocess.DEVNULL)
    return folder


def commands(program: str, model: str) -> Iterator[tuple[str, list[str]]]:
    """What a command begins with, of each precision: program, graph of the model (alone in a folder), precision."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        binary = built(work / "build") / program
        for precision in PRECISIONS:
            file = work / precision / f"{Path(model).stem}.xml"
            file.parent.mkdir()
            (graph, _) = export_model(model, "openvino", file, precision=precision)
            yield precision, [str(binary), str(graph), precision]


def said(command: Sequence[str]) -> str:
    """What a program prints, which must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def medians(rounds: Sequence[Ways], base: str) -> Ways:
    """Of each way the medians over rounds, and that of its rate over the rate of `base` in the same round."""
    return {
        way: {name: statistics.median(one[way][name] for one in rounds) for name in values}
        | {f"over_{base}": statistics.median(one[way]["rate"] / one[base]["rate"] for one in rounds)}
        for way, values in rounds[0].items()
    }


def record(
    about: str | None, name: str, compare: Callable[[str, int, float], dict[str, Any]], rounds: int, seconds: float
) -> None:
    """A benchmark's command: what `compare` finds of a model in so many rounds goes to results/NAME.json.

    Args:
        about: what it says of itself.
        name: of the results.
        compare: is given the model, rounds, and the seconds of each measurement.
        rounds, seconds: where the command line has no others.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="fast")
    add("--rounds", type=int, default=rounds)
    add("--seconds", type=float, default=seconds, help="of each measurement (default: %(default)s)")
    add("--out", type=Path, default=HERE / "results" / f"{name}.json")
    options = parser.parse_args()
    target, before = check_place(str(options.out)), environment()
    found = compare(options.model, options.rounds, options.seconds)
    machine = before | {"load_average_after": load_average()}
    written = {"environment": machine, "model": options.model, **found}
    write_whole(target, (json.dumps(written, indent=1) + "\n").encode())

"""One face a call, from several threads: fer_fast in C++ and in Python, bare OpenVINO, and a plain loop of replicas.

python benchmarks/threads.py [--model fast] [--rounds 11] [--seconds 2]

Writes benchmarks/results/threads.json: of each precision, number of threads and way calls a second and what a call
took.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from embedding import PRECISIONS, built

from fer_fast import Classifier
from fer_fast.bench.environment import environment, load_average
from fer_fast.export import export_model
from fer_fast.machine.disk import check_place, write_whole

HERE = Path(__file__).parent
#: Of Python, whose threads share one interpreter.
PYTHON_THREADS = 3

#: Of a number of threads and a way, what was found by name.
Found = dict[str, dict[str, dict[str, float]]]


def python_calls(classifier: Classifier, side: int, seconds: float) -> dict[str, float]:
    """`predict` with one face a call, from PYTHON_THREADS threads."""
    face = (np.arange(side * side * 3) * 31 % 251).astype(np.uint8).reshape(side, side, 3)
    took: list[list[float]] = [[] for _ in range(PYTHON_THREADS)]
    classifier.predict([face])
    begun = time.perf_counter()

    def ask(mine: list[float]) -> None:
        now = time.perf_counter()
        while now < begun + seconds:
            classifier.predict([face])
            mine.append(1e3 * ((done := time.perf_counter()) - now))
            now = done

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in took]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = np.concatenate([np.array(mine) for mine in took])
    percentiles = {f"p{rank}_ms": float(np.percentile(calls, rank)) for rank in (50, 95, 99)}
    return {"rate": len(calls) / (time.perf_counter() - begun), **percentiles}


def medians(rounds: list[Found]) -> Found:
    """Over rounds; with the rate over bare OpenVINO's of the same round."""
    found: Found = {}
    for threads, ways in rounds[0].items():
        found[threads] = {}
        for way, values in ways.items():
            each = {name: statistics.median(one[threads][way][name] for one in rounds) for name in values}
            over = statistics.median(one[threads][way]["rate"] / one[threads]["bare"]["rate"] for one in rounds)
            found[threads][way] = each | {"over_bare": over}
    return found


def compare(model: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """A row a precision: each round runs the program, and then Python."""
    rows = []
    with tempfile.TemporaryDirectory() as work:
        binary = built(Path(work) / "build") / "threads"
        for precision in PRECISIONS:
            (Path(work) / precision).mkdir()
            (graph, _) = export_model(model, "openvino", Path(work) / precision / "m.xml", precision=precision)
            command = [str(binary), str(graph), precision, str(seconds)]
            found: list[Found] = []
            with Classifier(model, engine="openvino", precision=precision) as classifier:
                for _ in range(rounds):
                    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    found.append(json.loads(said))
                    python = python_calls(classifier, classifier.image_size, seconds)
                    found[-1][str(PYTHON_THREADS)]["python"] = python
            rows.append({"precision": precision, "threads": medians(found)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="fast")
    add("--rounds", type=int, default=11)
    add("--seconds", type=float, default=2.0, help="of each measurement (default: %(default)s)")
    add("--out", type=Path, default=HERE / "results" / "threads.json")
    options = parser.parse_args()
    target, before = check_place(str(options.out)), environment()
    rows = compare(options.model, options.rounds, options.seconds)
    about = before | {"load_average_after": load_average()}
    found = {"environment": about, "model": options.model, "rows": rows}
    write_whole(target, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()

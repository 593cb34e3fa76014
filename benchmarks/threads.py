"""One face a call, from several threads: fer_fast in C++ and in Python, bare OpenVINO, and a plain loop of replicas.

python benchmarks/threads.py [--model fast] [--rounds 11] [--seconds 2]

Writes benchmarks/results/threads.json: of each precision, number of threads and way calls a second and what a call
took.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
from programs import Ways, commands, medians, record, said

from fer_fast import Classifier

#: Of Python, whose threads share one interpreter.
PYTHON_THREADS = 3


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


def compare(model: str, rounds: int, seconds: float) -> dict[str, Any]:
    """A row a precision: each round runs the program, and then Python."""
    rows = []
    for precision, command in commands("threads", model):
        found: list[dict[str, Ways]] = []
        with Classifier(model, engine="openvino", precision=precision) as classifier:
            for _ in range(rounds):
                found.append(json.loads(said([*command, str(seconds)])))
                python = python_calls(classifier, classifier.image_size, seconds)
                found[-1][str(PYTHON_THREADS)]["python"] = python
        threads = {number: medians([one[number] for one in found], "bare") for number in found[0]}
        rows.append({"precision": precision, "threads": threads})
        print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows}


if __name__ == "__main__":
    record(__doc__, "threads", compare, rounds=11, seconds=2.0)

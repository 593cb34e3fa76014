"""Threads that ask C++ for one face each, against batches of their faces: benchmarks/results/callers.json goes out.

python benchmarks/callers.py [--model fast] [--rounds 41] [--seconds 0.5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from embedding import PRECISIONS, built

from fer_fast.bench.environment import environment
from fer_fast.export import export_model
from fer_fast.machine.disk import check_place, write_whole

HERE = Path(__file__).parent


def compare(model: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """A row a precision: of each way the medians over rounds."""
    rows = []
    with tempfile.TemporaryDirectory() as work:
        binary = built(Path(work) / "build") / "callers"
        for precision in PRECISIONS:
            (Path(work) / precision).mkdir()
            (graph, _) = export_model(model, "openvino", Path(work) / precision / "m.xml", precision=precision)
            command = [str(binary), str(graph), precision, str(seconds), str(rounds)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found = [json.loads(line) for line in said.splitlines()]
            medians = {
                name: {
                    "rate": statistics.median(each[name]["rate"] for each in found),
                    "over_one_each": statistics.median(each[name]["rate"] / each["one_each"]["rate"] for each in found),
                    "processor_ms": statistics.median(each[name]["processor_ms"] for each in found),
                }
                for name in found[0]
            }
            rows.append({"precision": precision, "ways": medians})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="fast")
    add("--rounds", type=int, default=41)
    add("--seconds", type=float, default=0.5, help="of each measurement (default: %(default)s)")
    add("--out", type=Path, default=HERE / "results" / "callers.json")
    options = parser.parse_args()
    target = check_place(str(options.out))
    found = {"environment": environment(), "model": options.model}
    found |= {"rows": compare(options.model, options.rounds, options.seconds)}
    write_whole(target, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()

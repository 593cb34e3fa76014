"""Threads that ask C++ for one face each, against batches of their faces: benchmarks/results/callers.json goes out.

python benchmarks/callers.py [--model fast] [--rounds 41] [--seconds 0.5]
"""

from __future__ import annotations

import json
from typing import Any

from programs import commands, medians, record, said


def compare(model: str, rounds: int, seconds: float) -> dict[str, Any]:
    """A row a precision: of each way the medians over rounds."""
    rows = []
    for precision, command in commands("callers", model):
        found = [json.loads(line) for line in said([*command, str(seconds), str(rounds)]).splitlines()]
        rows.append({"precision": precision, "ways": medians(found, "one_each")})
        print(json.dumps(rows[-1]), flush=True)
    return {"rows": rows}


if __name__ == "__main__":
    record(__doc__, "callers", compare, rounds=41, seconds=0.5)

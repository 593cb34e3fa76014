"""The engines that other steps of gpu.py open, auto's measured, TensorRT's built, into the cache; their rows go out.

    python benchmarks/engines.py FILE

What is wanted most comes first, and the JSON is whole after each: whoever ends it loses the rest alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

from fer_fast.bench.stages.faces import FIND_SIZE
from fer_fast.bench.suite import TENSORRT
from fer_fast.classifier import DEFAULT_BATCH_SIZE
from fer_fast.engines import open_engine
from fer_fast.engines.interface import Engine
from fer_fast.models.files.checkpoint import read_checkpoint, read_finder
from fer_fast.types import one_line

#: Each in turn, for the classifier and the finder: what a card of today takes comes first.
PRECISIONS = ("fp16", "bf16", "fp32", "int8")


def wanted() -> Iterator[tuple[dict[str, str], Callable[[], Engine]]]:
    """What is opened, and how."""
    models = ("fast", "finder")
    # Each measures for a minute at most, and leaves in the cache most of what comes after it.
    measured = product(("auto",), models, ("auto",))
    for precision, model, engine in (*measured, *product(PRECISIONS, models, TENSORRT)):
        said = {"model": model, "engine": engine, "precision": precision}
        yield said, partial(_opened, **said)


def _opened(model: str, engine: str, precision: str) -> Engine:
    choice = {"engine": engine, "device": "cuda", "precision": precision}
    if model == "finder":  # as `FaceFinder` opens it
        return open_engine(read_finder(model), **choice, batch_size=1, side=FIND_SIZE)
    return open_engine(read_checkpoint(model), **choice, batch_size=DEFAULT_BATCH_SIZE)


def main() -> int:
    """Builds; 1 if none could be opened."""
    file, rows = Path(sys.argv[1]), []
    for said, opened in wanted():
        begun = time.monotonic()
        try:
            engine = opened()
            told = engine.describe()
            row = {**said, "state": "ok", **{name: told[name] for name in ("cache", "chosen") if name in told}}
            engine.close()
        except Exception as error:  # whatever one lacks, the others are worth having
            row = {**said, "state": "absent", "reason": one_line(error)}
        rows.append({**row, "seconds": round(time.monotonic() - begun, 1)})
        print(*rows[-1].values(), flush=True)
        file.write_text(json.dumps(rows, indent=1) + "\n")
    return int(all(row["state"] != "ok" for row in rows))


if __name__ == "__main__":
    sys.exit(main())

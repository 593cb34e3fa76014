"""How decoding scales with its workers, on threads and in processes: made images come in, decoding.json goes out.

    python benchmarks/decoding.py [--seconds 0.3] [--rounds 20] [--out benchmarks/results/decoding.json]

Both ways take turns in one run, and must agree on every pixel before they are timed. Of each the best round counts:
what else the machine does can only slow one down.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast.bench.environment import environment, load_average
from fer_fast.bench.images import make_faces, make_photos
from fer_fast.classifier import DEFAULT_BATCH_SIZE
from fer_fast.decode.interface import Decoder
from fer_fast.decode.pillow import PillowDecoder
from fer_fast.models.fusion.config import FusionConfig

RESULTS = Path(__file__).parent / "results" / "decoding.json"
WORKERS = (1, 2, 4)
#: When processes begin: never, or with the first file.
WAYS = {"threads": math.inf, "processes": 0}
#: Batches under way at a time, as in a run over a folder.
AHEAD = 6
SIDE = FusionConfig().image_size


def opened(way: str, workers: int) -> PillowDecoder:
    """A decoder that has begun to work as it will."""
    decoder = PillowDecoder(SIDE, workers, processes_after=WAYS[way])
    decoder.decode(["/nowhere"])
    while way == "processes" and len(decoder.process_ids) < workers:
        time.sleep(0.01)
    return decoder


def rate(decoder: Decoder, paths: Sequence[str], seconds: float) -> float:
    """Images a second, batch after batch."""
    again, flight, done = cycle(paths), deque(), 0
    begun = time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds or flight:
        if now < begun + seconds and len(flight) < AHEAD:
            flight.append(decoder.submit(list(islice(again, DEFAULT_BATCH_SIZE))))
        else:
            done += len(flight.popleft().result().indices)
    return done / (time.perf_counter() - begun)


def check(paths: Sequence[str]) -> None:
    """Refuses to time ways that differ."""
    found = []
    for way in WAYS:
        with opened(way, 2) as decoder:
            found.append(decoder.decode(paths).on_host())
    if not np.array_equal(*found):
        raise SystemExit("threads and processes give other pixels")


def memory(paths: Sequence[str]) -> dict[str, float]:
    """MiB of one decoding process at most: what it holds itself, and with what it shares with others."""
    with opened("processes", 1) as decoder:
        rate(decoder, paths, 0.5)
        (pid,) = decoder.process_ids
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        own = re.findall(r"Private_\w+:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    assert peak is not None
    return {"peak_mib": round(int(peak[1]) / 1024, 1), "own_mib": round(sum(map(int, own)) / 1024, 1)}


def measured(name: str, paths: Sequence[str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """A row for each way and number of workers, best of some rounds that take turns."""
    best = dict.fromkeys(product(WORKERS, WAYS), 0.0)
    with ExitStack() as stack:
        decoders = {(workers, way): stack.enter_context(opened(way, workers)) for workers, way in best}
        for _ in range(rounds):
            for key, decoder in decoders.items():
                best[key] = max(best[key], rate(decoder, paths, seconds))
    return [
        {"images": name, "workers": workers, "way": way, "images_per_second": round(found, 1)}
        for (workers, way), found in best.items()
    ]


def main() -> None:
    """Checks, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.3, help="that one measurement takes")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "faces, 48 px PNG": make_faces(Path(folder, "faces"), 1024),
            "photos, 1280 x 960 JPEG": make_photos(Path(folder, "photos"), 64),
        }
        before, rows, held = load_average(), [], {}
        for name, files in sets.items():
            paths = [str(path) for path in files]
            check(paths)
            held[name] = memory(paths)
            rows += measured(name, paths, options.rounds, options.seconds)
    record = {
        "image_size": SIDE,
        "batch": DEFAULT_BATCH_SIZE,
        "rows": rows,
        "process_memory": held,
        "load_average_before": before,
        "environment": environment(),
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    for row in rows:
        print(f"{row['images']}: {row['workers']} {row['way']}: {row['images_per_second']:.0f} images/s")
    print(*(f"{name}: a process takes {found['peak_mib']} MiB at most" for name, found in held.items()), sep="\n")


if __name__ == "__main__":
    main()

"""docs/watch.md: how long after a frame its row can be read comes in, its table goes out."""

from __future__ import annotations

from pages.shared import RESULTS, load, machine, table, unmeasured


def watch() -> str:
    """Every scene."""
    if not (RESULTS / "watch.json").exists():
        return unmeasured("benchmarks/watch.py")
    found = load("watch")
    rows = [
        [
            f"{run['size'][0]} x {run['size'][1]}",
            str(run["rate"]),
            str(run["faces"]),
            f"{run['looked_a_second']:.1f}",
            f"{run['p50_ms']:.0f} ms",
            f"{run['p95_ms']:.0f} ms",
        ]
        for run in found["runs"]
    ]
    header = ["frames of", "a second", "faces", "looked at a second", "frame to row, median", "95 of 100"]
    return f"{table(header, rows)}\n\nOn {machine(found['environment'])}"


TABLES = {"watch": watch}

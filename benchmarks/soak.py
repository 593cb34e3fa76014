"""Threads open, use and close models in C++ for an hour: benchmarks/results/soak.json says what the process held.

python benchmarks/soak.py [--minutes 60] [--threads 8]

Ends with 1 if something grew: if in the last quarter of the rounds the process held more open files or threads than
ever in the second, or if the median of its memory was above the most of the second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fer_fast
from fer_fast.bench.environment import environment, load_average
from fer_fast.export import export_model
from fer_fast.machine.disk import check_place, write_whole

ROOT = Path(__file__).parent.parent
MODEL = "tiny"
LEAST_ROUNDS, CALLS = 8, 5

#: Behind a round: seconds since the begin, resident KiB, open files, threads.
Round = tuple[float, int, int, int]


def built(folder: Path) -> Path:
    """The stranger's program that soaks, built against the installed package."""
    source, prefix = ROOT / "tests/cpp/consumer", f"-DCMAKE_PREFIX_PATH={fer_fast.cmake_prefix_path}"
    for command in (
        ["-S", str(source), "-B", str(folder), "-G", "Ninja", prefix],
        ["--build", str(folder), "-t", "soak"],
    ):
        subprocess.run(["cmake", *command], check=True, stdout=subprocess.DEVNULL)
    return folder / "soak"


def soaked(threads: int, seconds: int) -> list[Round]:
    """The rounds, each printed as it ends."""
    rounds = []
    with tempfile.TemporaryDirectory() as work:
        program = built(Path(work) / "build")
        (finder, _) = export_model("finder", "openvino", Path(work) / "finder.xml")
        (graph, _) = export_model(MODEL, "openvino", Path(work) / "model.xml")
        command = [str(each) for each in (program, finder, graph, threads, LEAST_ROUNDS, CALLS, seconds)]
        begun = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            for line in running.stdout or ():
                kib, files, tasks = map(int, line.split())
                rounds.append((time.monotonic() - begun, kib, files, tasks))
                print(f"{rounds[-1][0]:.0f} s: {kib / 1024:.0f} MiB, {files} files, {tasks} threads", flush=True)
        if running.returncode != 0:
            raise SystemExit(f"the program ended with {running.returncode} after {len(rounds)} rounds")
    return rounds


def quarters(rounds: list[Round]) -> list[dict[str, Any]]:
    """What was held in each quarter of the rounds."""
    found, begin = [], 0.0
    for quarter in range(4):
        part = rounds[len(rounds) * quarter // 4 : len(rounds) * (quarter + 1) // 4]
        mib = [kib / 1024 for _, kib, _, _ in part]
        found.append(
            {
                "begin_minutes": begin / 60,
                "end_minutes": part[-1][0] / 60,
                "mib": {"least": min(mib), "median": statistics.median(mib), "most": max(mib)},
                "files": [min(files for _, _, files, _ in part), max(files for _, _, files, _ in part)],
                "threads": [min(tasks for *_, tasks in part), max(tasks for *_, tasks in part)],
            }
        )
        begin = part[-1][0]
    return found


def grew(found: list[dict[str, Any]], callers: int) -> list[str]:
    """What is held more at the end than in the second quarter, when all is warm."""
    warm, last = found[1], found[-1]
    more = ["files"] if last["files"][1] > warm["files"][1] else []
    if last["threads"][1] > warm["threads"][1] + callers:  # one that was joined may still be listed
        more.append("threads")
    if last["mib"]["median"] > warm["mib"]["most"]:
        more.append("memory")
    return more


def main() -> int:
    """Soaks, and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--minutes", type=float, default=60)
    add("--threads", type=int, default=8)
    add("--out", type=Path, default=Path(__file__).parent / "results" / "soak.json")
    options = parser.parse_args()
    target, before = check_place(str(options.out)), environment()
    rounds = soaked(options.threads, round(60 * options.minutes))
    found = quarters(rounds)
    record = {
        "environment": before | {"load_average_after": load_average()},
        "model": MODEL,
        "callers": options.threads,
        "rounds": len(rounds),
        "minutes": rounds[-1][0] / 60,
        "models": 2 * options.threads * len(rounds) + 1,
        "quarters": found,
        "each": rounds,
    }
    write_whole(target, (json.dumps(record, indent=1) + "\n").encode())
    more = grew(found, options.threads)
    if more:
        print(f"held more in the last quarter than in the second: {', '.join(more)}", file=sys.stderr)
    return int(bool(more))


if __name__ == "__main__":
    sys.exit(main())

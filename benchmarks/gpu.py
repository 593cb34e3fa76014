"""All that needs a GPU, in one call: a checkout on a machine with a card comes in, logs, JSON and a short table go out.

    python benchmarks/gpu.py --out FOLDER [--steps build,test,sanitize,bench]

A step that fails does not stop the next; the exit status is 1 if one did. Nothing is fetched: torch for CUDA, nvcc,
CMake, ninja, pybind11 and pytest must be there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
TESTS = [PYTHON, "-m", "pytest", "-q", "-m", "needs_cuda"]


def steps(out: Path) -> dict[str, Sequence[str]]:
    """Name to command, in order."""
    bench = [PYTHON, "-m", "fer_fast.bench", "--devices", "cuda", "--card", "h200"]
    return {
        "build": [PYTHON, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "-e", "."],
        "test": TESTS,
        "sanitize": ["compute-sanitizer", "--error-exitcode", "1", *TESTS, "tests/test_tokens.py"],
        "bench": [*bench, "--json", str(out / "bench_gpu.json"), "--html", str(out / "bench_gpu.html")],
    }


def run(name: str, command: Sequence[str], out: Path) -> tuple[bool, float]:
    """Runs a step with its output in a log; whether it succeeded, and its seconds."""
    environment = os.environ | {"FER_FAST_CUDA": "1", "FER_FAST_REQUIRE_CUDA": "1"}
    begun = time.monotonic()
    with (out / f"{name}.log").open("w") as log:
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
            status = done.returncode
        except OSError as error:
            log.write(f"{command[0]} does not start: {error}\n")
            status = 127
    return status == 0, time.monotonic() - begun


def main() -> int:
    """Runs the steps and prints the table last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where logs and JSON go")
    known = list(steps(Path()))
    parser.add_argument("--steps", default=",".join(known), help=f"of {', '.join(known)} (default: all)")
    options = parser.parse_args()
    chosen = options.steps.split(",")
    if unknown := set(chosen) - set(known):
        parser.error(f"each of steps must be one of {', '.join(known)}, not {min(unknown)!r}")
    options.out.mkdir(parents=True, exist_ok=True)
    table = []
    for name, command in steps(options.out.resolve()).items():
        if name in chosen:
            ok, seconds = run(name, command, options.out)
            lines = (options.out / f"{name}.log").read_text(errors="replace").strip().splitlines()
            table.append((name, ok, seconds, lines[-1] if lines else ""))
            if name == "bench" or not ok:
                print("\n".join(lines[-80:]))
    for name, ok, seconds, last in table:
        print(f"{name:10} {'ok' if ok else 'FAILED':7} {seconds:6.0f} s  {last[:120]}")
    return int(not all(ok for _, ok, _, _ in table))


if __name__ == "__main__":
    sys.exit(main())

"""Starts the real command many times, each with a time limit; one that does not end says where its threads are.

Not part of the suite, which forces what this waits for (test_first_calls.py): a hang of 1 start in 300 needs many.

    python tests/start_often.py [STARTS] [SECONDS] [MODEL]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fer_fast.bench.images import make_faces

#: The command, after a clock that writes all stacks and ends the process.
COMMAND = (
    "import faulthandler, sys; faulthandler.dump_traceback_later(float(sys.argv.pop(1)), exit=True); "
    "from fer_fast.cli import main; main()"
)


def start(folder: Path, table: Path, seconds: float, model: str) -> str:
    """Classifies a folder in a process of its own; what it says if it does not end well."""
    command = [sys.executable, "-c", COMMAND, str(seconds), "classify", str(folder), "-o", str(table), "--quiet"]
    done = subprocess.run(
        [*command, "--model", model], capture_output=True, text=True, timeout=2 * seconds, check=False
    )
    lines = len(table.read_text().splitlines()) if table.exists() else 0
    table.unlink(missing_ok=True)
    return "" if done.returncode == 0 and lines > 1 else f"status {done.returncode}, {lines} lines\n{done.stderr}"


def main(starts: int = 100, seconds: float = 30, model: str = "tiny") -> int:
    """Two starts at a time; the status is 1 if one of them did not end well."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "faces"
        make_faces(folder, 70)  # three batches, so that both streams have one at once
        start(folder, Path(name) / "first.csv", 120, model)  # compiles
        begun = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(lambda each: start(folder, Path(name) / f"{each}.csv", seconds, model), range(starts)))
    failed = [each for each in said if each]
    print(*failed[:3], f"{starts} starts, {len(failed)} failed, {time.monotonic() - begun:.0f} s", sep="\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(*(kind(value) for kind, value in zip((int, float, str), sys.argv[1:], strict=False))))

"""What a change cost or gained: two checkouts classify the same folders, and decode, in turn; JSON goes out.

    python benchmarks/versions.py --before DIR [--out benchmarks/results/versions.json]

DIR is an older checkout with its native libraries built. Both run in this interpreter, each in processes of its own, so
that a machine whose speed drifts is as unfair to one as to the other.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_fast.bench.environment import environment
from fer_fast.bench.images import make_faces, make_photos

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results" / "versions.json"
FACES, PHOTOS = 6000, 240
#: Seconds for one run: older checkouts may hang.
PATIENCE = 60
#: Folder, precision and table of each comparison of whole runs.
RUNS = (("faces", "bf16", ".csv"), ("faces", "int8", ".csv"), ("faces", "int8", ".parquet"), ("photos", "int8", ".csv"))


def rate(checkout: Path, folder: Path, precision: str, suffix: str, work: Path) -> float:
    """Images a second that a checkout's command tells of a run."""
    out = work / f"table{suffix}"
    for left in work.glob(f"{out.name}*"):
        left.unlink()
    command = [sys.executable, "-m", "fer_fast", "classify", str(folder), "-o", str(out), "--precision", precision]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    try:
        found = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        print(f"{checkout}: a run did not end within {PATIENCE} seconds, and is begun again", flush=True)
        return rate(checkout, folder, precision, suffix, work)
    told = re.search(r"([\d.]+) images/s", found.stderr)
    if told is None:
        raise SystemExit(f"{checkout} tells no rate: {found.stderr}")
    return float(told[1])


def decode_rates(checkout: Path, work: Path) -> dict[str, float]:
    """Images a second of a checkout's decoder, by the kind of image."""
    out = work / "decode.json"
    command = [sys.executable, "-m", "fer_fast.bench", "--stages", "decode", "--quick", "--quiet", "--json", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run(command, cwd=work, env=environment, capture_output=True, check=True, timeout=10 * PATIENCE)
    rows = [row for row in json.loads(out.read_text())["rows"] if row["form"] == "fer_fast's decoder"]
    return {row["images"]: row["images_per_second"]["max"] for row in rows}


def in_turn(before: Path, rounds: int, measure: Callable[[Path], dict[str, float]]) -> dict[str, dict[str, Any]]:
    """What both checkouts reach, in turn, by name; a ratio above 1 is a gain."""
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds):
        pair = [("before", before), ("after", ROOT)]
        for when, checkout in pair if number % 2 else reversed(pair):
            for name, reached in measure(checkout).items():
                found.setdefault(name, {"before": [], "after": []})[when].append(reached)
    return {name: {"images_per_second": rates, "ratio": ratio_of(rates)} for name, rates in found.items()}


def ratio_of(rates: dict[str, list[float]]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(after / earlier for earlier, after in zip(rates["before"], rates["after"], strict=True))


def commit_of(checkout: Path) -> str:
    """What is checked out there."""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def told(record: dict[str, Any], name: str, found: dict[str, Any]) -> None:
    """Keeps a comparison and prints it."""
    record["found"][name] = found
    print(f"{name}: {found['ratio']:.3f}", flush=True)


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, metavar="DIR")
    parser.add_argument("--before-commit", help="of DIR, where it is no git checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    record: dict[str, Any] = {
        "environment": environment(),
        "before": options.before_commit or commit_of(options.before),
        "found": {},
    }
    before, rounds = options.before.resolve(), options.rounds
    with tempfile.TemporaryDirectory(prefix="fer-fast-") as name:
        work = Path(name)
        for kind, found in in_turn(before, rounds, lambda checkout: decode_rates(checkout, work)).items():
            told(record, f"decoding {kind}", found)
        make_faces(work / "faces", FACES)
        make_photos(work / "photos", PHOTOS)
        for kind, precision, suffix in RUNS:
            run = f"{kind}, {precision}, {suffix[1:]}"

            def measure(checkout: Path, kind: str = kind, precision: str = precision, suffix: str = suffix) -> Any:
                return {"": rate(checkout, work / kind, precision, suffix, work)}

            for checkout in (before, ROOT):  # the first run compiles the model
                measure(checkout)
            told(record, run, in_turn(before, rounds, measure)[""])
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

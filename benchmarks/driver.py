"""What one machine does for all: looking through names, merging shards' tables; rates go out as JSON.

    python benchmarks/driver.py [--names 200000] [--rows 1000000] [--rounds 3] [--out benchmarks/results/driver.json]

Names are those of empty files in folders of a thousand. The tables that are merged are four shards', of made rows with
eight probabilities each, on the disk of the temporary folder. Of rounds the best counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_fast import merge_tables
from fer_fast.bench.environment import environment, load_average
from fer_fast.inputs.files import ImageFiles
from fer_fast.inputs.keys import key_of
from fer_fast.table.file_table import FileTable
from fer_fast.table.manifest import run_of
from fer_fast.table.schema import Schema
from fer_fast.types import EMOTIONS, Item, ItemRows, Prediction, Row, Status

RESULTS = Path(__file__).parent / "results" / "driver.json"
FOLDER = 1000
SHARDS = 4
#: Rows that are written at once.
BATCH = 256


def main() -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    load = load_average()
    with tempfile.TemporaryDirectory() as scratch:
        found: dict[str, Any] = {"names": listed(Path(scratch) / "faces", options.names, options.rounds)}
        for suffix in (".csv", ".parquet"):
            folder = Path(scratch) / suffix.removeprefix(".")
            found[f"merge {folder.name}"] = merged(folder, suffix, options.rows, options.rounds)
    about = {"environment": environment(), "load": load, "count": {"names": options.names, "rows": options.rows}}
    options.out.write_text(json.dumps({**about, "per_second": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def listed(folder: Path, count: int, rounds: int) -> list[float]:
    """Names a second that looking through a folder gives."""
    for number in range(count):
        if number % FOLDER == 0:
            (folder / f"{number // FOLDER:05}").mkdir(parents=True)
        (folder / f"{number // FOLDER:05}" / f"{number:08}.jpg").touch()
    rates: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        seen = sum(1 for _ in ImageFiles([str(folder)]))
        rates.append(round(seen / (time.perf_counter() - begun)))
        assert seen == count
    return rates


def merged(folder: Path, suffix: str, count: int, rounds: int) -> list[float]:
    """Rows a second of a merge of finished tables."""
    folder.mkdir()
    tables: list[Any] = [shard_of(folder, suffix, number, count) for number in range(1, SHARDS + 1)]
    rates: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        rows = merge_tables(tables, folder / f"all{suffix}").rows
        rates.append(round(rows / (time.perf_counter() - begun)))
        assert rows == count
    return rates


def shard_of(folder: Path, suffix: str, number: int, count: int) -> Path:
    """The table of one shard."""
    out, schema = folder / f"{number}{suffix}", Schema(EMOTIONS)
    run = run_of(out, schema, ("faces",), {"model": "made", "shard": f"{number}/{SHARDS}"})
    table = FileTable(out, schema, run, False, False)
    batch: list[ItemRows] = []
    for result in made(range(number, count, SHARDS) if number < SHARDS else range(0, count, SHARDS)):
        table.place(result.item)
        batch.append(result)
        if len(batch) == BATCH:
            table.write(batch)
            batch = []
    table.write(batch)
    table.finish()
    table.close()
    return out


def made(numbers: range) -> Iterator[ItemRows]:
    """Rows as a model of eight classes answers."""
    random = np.random.default_rng(0)
    for number in numbers:
        path = f"{number // FOLDER:05}/{number:08}.jpg"
        votes = random.random(len(EMOTIONS), np.float32)
        row = Row(path, Status.OK, "", Prediction(EMOTIONS, votes / votes.sum()))
        yield ItemRows(Item(path, path, key_of(path)), (row,), (2000, number))


if __name__ == "__main__":
    main()

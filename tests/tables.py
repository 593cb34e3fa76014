"""What tests of tables share: rows of two classes, and how a table of any format is read back."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from fer_fast.table.file_table import FileTable
from fer_fast.table.manifest import run_of
from fer_fast.table.records import path_cell
from fer_fast.table.schema import Schema
from fer_fast.types import Column, Item, ItemRows, Prediction, Row, Status

CLASSES = ("calm", "not, calm")
SUFFIXES = [".csv", ".jsonl", ".parquet"]
SCHEMA = Schema(CLASSES)
FACES = Schema(CLASSES, (Column("face", "integer"), Column("score", "number"), Column("note", "text")))
NAMES = [
    'a "b", c\n.jpg',
    '"',
    "\n",
    '"\n",ok,\n"',
    "caf\u00e9.jpg",
    "caf\udce9.jpg",
    "\\xe9",
    "\r\n",
    "plain.jpg",
    "\u2028",
]


def row(path, value=0.25, cells=()):
    probabilities = np.array([value, 1 - value], np.float32)
    return Row(path, Status.OK, "", Prediction(CLASSES, probabilities), cells)


def item(name, path=None):
    key = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return Item(path or name, name, int.from_bytes(key, "little"))


def results_of(rows, stamp=None):
    """Each row is an item's."""
    return [ItemRows(item(each.path), (each,), stamp) for each in rows]


ROWS = [row(name, number / 16) for number, name in enumerate(NAMES)]
ROWS.insert(3, Row("bad\n.jpg", Status.CORRUPT, 'says "no", twice'))
ROWS.insert(2, row("unsure.jpg", 0.5).abstaining(0.75))


def open_table(out, resume=False, failed_alone=False, schema=SCHEMA, inputs=("faces",), **settings):
    run = run_of(Path(out), schema, inputs, {"model": "m", **settings})
    return FileTable(out, schema, run, resume, failed_alone)


def fill(table, results, several=1):
    """Places all items, then writes those that are wanted, some at a time; gives them."""
    wanted = [result for result in results if table.place(result.item)]
    for start in range(0, len(wanted), several):
        table.write(wanted[start : start + several])
    return wanted


def read(path):
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        return [{key: _value(key, value) for key, value in line.items()} for line in table]
    if path.suffix == ".jsonl":
        lines = path.read_bytes().decode("utf-8").split("\n")
        assert lines.pop() == ""
        return [json.loads(line) for line in lines]
    return pq.read_table(path).to_pylist()


def _value(key, value):
    if key in ("confidence", "score") or key.startswith("p_"):
        return float(value) if value else None
    if key == "face":
        return int(value) if value else None
    return value or (None if key in ("error", "label", "note") else value)


def expected(rows, schema=SCHEMA):
    table = []
    for entry in rows:
        line = dict.fromkeys(schema.names)
        line |= {"path": path_cell(entry.path), "status": entry.status.value, "error": entry.error or None}
        line |= dict(zip((column.name for column in schema.own), entry.cells, strict=False))
        if entry.prediction:
            low, high = entry.prediction.probabilities.tolist()
            label = entry.prediction.label if entry.status is Status.OK else None
            line |= {"label": label, "confidence": max(low, high), "p_calm": low, "p_not, calm": high}
        table.append(line)
    return table


def finished(out, results, **options):
    table = open_table(out, **options)
    wanted = fill(table, results)
    table.finish()
    table.close()
    return table, wanted


def files(folder, *names):
    for name in names:
        (folder / name).write_text(name)
    return [item(f"{folder}/{name}") for name in names]


def stamped(each, value=0.25, status=Status.OK):
    about = Path(each.path).stat()
    made = row(each.name, value) if status is Status.OK else Row(each.name, status, "why")
    return ItemRows(each, (made,), (about.st_size, about.st_mtime_ns), status is Status.FAILED)

"""Rows come in; tables must come out whole, also when the journal was cut at any byte."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_fast.table.records import CsvRecords, JsonRecords, columns_of, printable
from fer_fast.table.sinks import FileSink, StreamSink, check_out
from fer_fast.types import OutputError, OutputRefusedError, Prediction, Row, Status

CLASSES = ("calm", "not, calm")
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


def row(path, value=0.25):
    probabilities = np.array([value, 1 - value], np.float32)
    return Row(path, Status.OK, prediction=Prediction(CLASSES, probabilities))


ROWS = [row(name, number / 16) for number, name in enumerate(NAMES)]
ROWS.insert(3, Row("bad\n.jpg", Status.CORRUPT, 'says "no", twice'))
ROWS.insert(2, row("unsure.jpg", 0.5).abstaining(0.75))


def read(path):
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        return [{key: _number(key, value) for key, value in line.items()} for line in table]
    if path.suffix == ".jsonl":
        lines = path.read_bytes().decode("utf-8").split("\n")
        assert lines.pop() == ""
        return [json.loads(line) for line in lines]
    return pq.read_table(path).to_pylist()


def _number(key, value):
    if key == "confidence" or key.startswith("p_"):
        return float(value) if value else None
    return value or (None if key in ("error", "label") else value)


def expected(rows):
    table = []
    for entry in rows:
        line = dict.fromkeys(columns_of(CLASSES))
        line |= {"path": printable(entry.path), "status": entry.status.value, "error": entry.error or None}
        if entry.prediction:
            low, high = entry.prediction.probabilities.tolist()
            label = entry.prediction.label if entry.status is Status.OK else None
            line |= {"label": label, "confidence": max(low, high), "p_calm": low, "p_not, calm": high}
        table.append(line)
    return table


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_holds_the_same_table(tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    sink = FileSink(out, CLASSES, "model")
    sink.write(ROWS[:2])
    assert not out.exists()
    sink.write(ROWS[2:])
    sink.finish()
    assert read(out) == expected(ROWS)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_undecodable_bytes_become_escapes():
    assert printable("caf\udce9\udcff.jpg") == "caf\\xe9\\xff.jpg"
    assert printable("caf\u00e9 \U0001f600") == "caf\u00e9 \U0001f600"
    assert printable("\ud800").encode() == b"\\ud800"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_journal_cut_at_any_byte_resumes_to_the_same_table(tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    sink = FileSink(out, CLASSES, "model")
    sink.write(ROWS)
    sink.close()
    journal = sink.partial.read_bytes()
    step = 1 if suffix == ".csv" else 5  # only csv has quotes, where a newline need not end a row
    for length in [*range(0, len(journal), step), len(journal)]:
        sink.partial.write_bytes(journal[:length])
        again = FileSink(out, CLASSES, "model", resume=True)
        kept = again.holds()
        remaining = [entry for entry in ROWS if not kept(entry.path)]
        assert len(remaining) == len(ROWS) - again.rows
        again.write(remaining)
        again.close()
        assert sink.partial.read_bytes() == journal, f"cut at {length}"


names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=8)
nasty = st.text(st.sampled_from('",\n\r\\x\udce9a '), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(), paths=st.lists(names | nasty, min_size=1, max_size=6), suffix=st.sampled_from([".csv", ".jsonl"])
)
def test_any_names_and_any_cut_resume_to_the_same_table(tmp_path_factory, data, paths, suffix):
    rows = [row(path, number / 8) for number, path in enumerate(paths)]
    folder = tmp_path_factory.mktemp("cut")
    sink = FileSink(folder / f"out{suffix}", CLASSES, "model")
    sink.write(rows)
    sink.close()
    journal = sink.partial.read_bytes()
    assert journal.decode("utf-8")
    sink.partial.write_bytes(journal[: data.draw(st.integers(0, len(journal)), "cut")])
    again = FileSink(folder / f"out{suffix}", CLASSES, "model", resume=True)
    kept = again.holds()
    again.write([entry for entry in rows if not kept(entry.path)])
    again.finish()
    assert [line["path"] for line in read(folder / f"out{suffix}")] == [printable(path) for path in paths]
    assert (folder / f"out{suffix}").read_bytes() == journal


@pytest.mark.parametrize("damage", [b"\0" * 40, b"garbage\n" * 3, b'{"path": "x"}\n', b'"open quote\n'])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_what_a_fallen_machine_left_behind_the_rows_is_cut(tmp_path, suffix, damage):
    sink = FileSink(tmp_path / f"out{suffix}", CLASSES, "model")
    sink.write(ROWS[:5])
    sink.close()
    whole = sink.partial.read_bytes()
    sink.partial.write_bytes(whole + damage)
    again = FileSink(tmp_path / f"out{suffix}", CLASSES, "model", resume=True)
    assert (again.rows, again.partial.read_bytes()) == (5, whole)
    assert again.kept == {"ok": 3, "abstained": 1, "corrupt": 1} and again.kept_labels.total() == 3


def test_two_names_that_print_alike_are_both_classified(tmp_path):
    raw, literal = row("caf\udce9"), row("caf\\xe9")
    sink = FileSink(tmp_path / "out.csv", CLASSES, "model")
    sink.write([raw])
    sink.close()
    kept = FileSink(tmp_path / "out.csv", CLASSES, "model", resume=True).holds()
    assert [kept(raw.path), kept(literal.path)] == [True, False]


def test_a_killed_conversion_to_parquet_is_done_again(tmp_path):
    out = tmp_path / "out.parquet"
    sink = FileSink(out, CLASSES, "model")
    sink.write(ROWS)
    sink.close()
    (tmp_path / "out.parquet.partial.parquet").write_bytes(b"half")
    again = FileSink(out, CLASSES, "model", resume=True)
    assert again.rows == len(ROWS)
    again.finish()
    assert read(out) == expected(ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def unfinished(tmp_path, name="out.csv"):
    sink = FileSink(tmp_path / name, CLASSES, "model")
    sink.write(ROWS[:2])
    sink.close()
    return sink


def test_an_unfinished_run_is_neither_overwritten_nor_mixed(tmp_path):
    sink = unfinished(tmp_path)
    before = sink.partial.read_bytes()
    with pytest.raises(OutputRefusedError, match=r"unfinished run.*--resume"):
        FileSink(sink.out, CLASSES, "model")
    with pytest.raises(OutputRefusedError, match="identity is that of another run"):
        FileSink(sink.out, CLASSES, "other model", resume=True)
    with pytest.raises(OutputRefusedError, match="columns is that of another run"):
        FileSink(sink.out, ("calm",), "model", resume=True)
    sink.partial.with_name("out.csv.partial.meta").unlink()
    with pytest.raises(OutputRefusedError, match="cannot be resumed without"):
        FileSink(sink.out, CLASSES, "model", resume=True)
    assert sink.partial.read_bytes() == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_on_the_same_table_is_refused(tmp_path, resume):
    first = FileSink(tmp_path / "out.csv", CLASSES, "model")
    with pytest.raises(OutputRefusedError, match="another run is writing"):
        FileSink(tmp_path / "out.csv", CLASSES, "model", resume=resume)
    first.write(ROWS)
    first.finish()
    assert len(read(tmp_path / "out.csv")) == len(ROWS)


def test_a_finished_table_stays_until_the_next_is_complete(tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to("out.csv")
    assert check_out(out, resume=True)
    sink = FileSink(link, CLASSES, "model")
    sink.write(ROWS)
    assert out.read_text() == "old" and not check_out(out, resume=True)
    sink.finish()
    assert len(read(out)) == len(ROWS) and link.is_symlink()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.xlsx", "must end in .csv, .jsonl or .parquet"),
        ("out", "must end in"),
        ("folder.csv", "is a folder"),
        ("nowhere/out.csv", "does not exist"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_run(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputRefusedError, match=message):
        check_out(tmp_path / name)


def test_an_output_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write everywhere
    with pytest.raises(OutputRefusedError, match="cannot be written"):
        check_out(tmp_path / "out.csv")


def test_parquet_without_pyarrow_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OutputRefusedError, match="needs pyarrow"):
        check_out(tmp_path / "out.parquet")


def test_a_full_disk_keeps_whole_rows_and_says_so(tmp_path):
    # A limit on file size fails in the middle of a write, like a full disk; it needs a process of its own.
    code = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from test_sinks import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
sink = FileSink(sys.argv[1], CLASSES, "model")
written = 0
try:
    while True:
        sink.write([row(f"{written}.jpg")])
        written += 1
except OutputError as error:
    print(written, error)
"""
    out = tmp_path / "out.csv"
    run = subprocess.run(
        [sys.executable, "-c", code, str(out), str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    written, message = run.stdout.split(" ", 1)
    assert "File too large" in message and f"{written} rows are kept" in message and "--resume" in message
    sink = FileSink(out, CLASSES, "model", resume=True)
    assert sink.rows == int(written) > 10
    assert sink.partial.read_bytes().endswith(b"\n"), "the half row is cut at once"


def test_a_full_device_is_an_output_error():
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OutputError, match="No space left"):
        StreamSink(full, CLASSES)


def test_a_stream_gets_the_same_bytes_as_a_file(tmp_path):
    stream = io.BytesIO()
    sink = StreamSink(stream, CLASSES)
    sink.write(ROWS)
    sink.finish()
    unfinished(tmp_path)
    assert stream.getvalue().startswith((tmp_path / "out.csv.partial").read_bytes())
    assert stream.getvalue().count(b"\n") > len(ROWS)


@pytest.mark.parametrize("records", [CsvRecords, JsonRecords])
def test_records_read_what_they_wrote(records):
    codec = records(columns_of(CLASSES))
    stream = io.BytesIO(b"".join(codec.encode(entry) for entry in ROWS))
    written = [codec.decode(record) for record in codec.split(stream)]
    assert [entry.path for entry in written] == [printable(entry.path) for entry in ROWS]
    assert [(entry.status, entry.label) for entry in written] == [(entry.status, entry.label) for entry in ROWS]
    assert {entry.status: entry.label for entry in written}[Status.ABSTAINED] == ""

"""Rows become a table in each format, with any number of rows an item and columns of stages' own."""

import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import (
    FACES,
    NAMES,
    ROWS,
    SCHEMA,
    SUFFIXES,
    expected,
    fill,
    finished,
    item,
    open_table,
    read,
    results_of,
    row,
)

from fer_fast.table import parts
from fer_fast.table.file_table import rows_on_disk
from fer_fast.table.records import path_cell, path_of, printable
from fer_fast.table.workplace import check_out
from fer_fast.types import ItemRows, MissingExtraError, OutputRefusedError, Row, Status


@pytest.fixture(autouse=True)
def a_part_for_each_write(monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_holds_the_same_table(tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    table = open_table(out)
    fill(table, results_of(ROWS), several=5)
    assert not out.exists()
    table.finish()
    assert read(out) == expected(ROWS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.manifest"]
    assert table.statuses == {"ok": 10, "abstained": 1, "corrupt": 1} and table.labels.total() == 10


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_item_has_any_number_of_rows_and_stages_have_columns(tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    results = [
        ItemRows(
            item("two.jpg"), (row("two.jpg", 0.5, (0, 0.875, "é\n")), row("two.jpg", 0.25, (1, 0.5, None))), (1, 2)
        ),
        ItemRows(item("none.mp4"), (), (3, 4)),
        ItemRows(item("bad.jpg"), (Row("bad.jpg", Status.CORRUPT, "cut"),), (5, 6)),
        ItemRows(item("many.jpg"), tuple(row("many.jpg", 0.5, (n, float(n), "")) for n in range(300)), (7, 8)),
    ]
    rows = [each for result in results for each in result.rows]
    table = open_table(out, schema=FACES)
    fill(table, results[:2])
    table.close()
    _, wanted = finished(out, results, schema=FACES, resume=True)
    # A file that is not there has no stamp, and these had one.
    assert [result.item.name for result in wanted] == ["two.jpg", "none.mp4", "bad.jpg", "many.jpg"]
    want = expected(rows, FACES)
    for line in want:
        line["note"] = line["note"] or (None if suffix == ".csv" else line["note"])
    assert read(out) == want
    assert list(read(out)[0]) == [
        "path",
        "status",
        "error",
        "face",
        "score",
        "note",
        "label",
        "confidence",
        *FACES.names[-2:],
    ]


def test_undecodable_bytes_become_escapes():
    assert printable("caf\udce9\udcff.jpg") == "caf\\xe9\\xff.jpg"
    assert printable("caf\u00e9 \U0001f600") == "caf\u00e9 \U0001f600"
    assert printable("\ud800").encode() == b"\\ud800"


#: Names with a byte that is not UTF-8, and names with the characters of its escape; all of them differ.
ALIKE = [
    *(b"\xff", b"\\xff", b"\\\xff", b"\\\\xff", b"\\\\\xff"),
    *(b"\\xfe\xff", b"\xfe\\xff", b"\xfe\xff", b"\\udcff", b"\xc3\\xa9"),
]


def test_names_that_would_print_alike_have_cells_of_their_own():
    names = list(map(os.fsdecode, ALIKE))
    cells = list(map(path_cell, names))
    assert cells[:5] == ["\\xff", "\\\\xff", "\\\\\\xff", "\\\\\\\\xff", "\\\\\\\\\\xff"]
    assert len(set(cells)) == len(cells) and list(map(path_of, cells)) == names


@pytest.mark.parametrize("plain", ["a\\b.jpg", "train\\happy\\x12.jpg", "\\xFF", "\\u00e9", "\\", "caf\u00e9\\"])
def test_other_backslashes_stay(plain):
    assert path_cell(plain) == path_of(plain) == plain


@given(st.text(st.sampled_from("\\xuf0d8a\udcff\udc80\ud800\u00e9"), max_size=12))
def test_a_cell_tells_which_path_it_is_of(path):
    assert path_cell(path).encode().decode() == path_cell(path)
    assert path_of(path_cell(path)) == path


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_would_print_alike_are_resumed_each_with_its_row(tmp_path, suffix, finish):
    names = list(map(os.fsdecode, ALIKE))
    rows = [row(name, number / 16) for number, name in enumerate(names)]
    out = tmp_path / f"out{suffix}"
    table = open_table(out)
    fill(table, results_of(rows[::2]))
    if finish:
        table.finish()
    table.close()
    again, wanted = finished(out, results_of(rows), resume=True)
    assert [result.item.name for result in wanted] == names[1::2] and again.kept_rows == len(rows[::2])
    assert [(path_of(line["path"]), line["p_calm"]) for line in read(out)] == [
        (name, number / 16) for number, name in enumerate(names)
    ]


def test_the_manifest_says_what_made_the_table(tmp_path):
    import zipfile

    finished(tmp_path / "out.csv", results_of(ROWS), decoder="pillow")
    with zipfile.ZipFile(tmp_path / "out.csv.manifest") as file:
        facts = json.loads(file.read("manifest.json"))
    assert facts["settings"] == {"model": "m", "decoder": "pillow"} and facts["columns"] == SCHEMA.names
    assert (facts["rows"], facts["bytes"]) == (len(ROWS), (tmp_path / "out.csv").stat().st_size)
    assert facts["inputs"] == [os.path.realpath("faces")] and facts["called"] == ["faces"]


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
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"parquet needs pyarrow, which .*: pip install 'fer-fast\[parquet\]'"):
        check_out(tmp_path / "out.parquet")


def test_parquet_has_row_groups_of_one_size_and_types_that_fit(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr("fer_fast.table.formats._ROWS_A_GROUP", 4)
    finished(
        tmp_path / "out.parquet",
        results_of(row(f"{n}.jpg", 0.5, (n, 12345.678901, "x")) for n in range(10)),
        schema=FACES,
    )
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 2]
    types = {field.name: field.type for field in file.schema_arrow}
    assert (types["face"], types["score"], types["note"]) == (pa.int64(), pa.float64(), pa.string())
    assert types["p_calm"] == types["confidence"] == pa.float32()
    assert {line["score"] for line in read(tmp_path / "out.parquet")} == {12345.678901}


def test_a_cell_that_is_no_number_is_empty(tmp_path):
    rows = [row("a.jpg", 0.5, (1, float("nan"), "caf\udce9")), row("b.jpg", 0.5, (2, float("inf"), None))]
    for suffix in SUFFIXES:
        finished(tmp_path / f"out{suffix}", results_of(rows), schema=FACES)
        assert [(line["score"], line["note"]) for line in read(tmp_path / f"out{suffix}")] == [
            (None, "caf\\xe9"),
            (None, None),
        ]


def test_rows_wait_until_a_part_is_worth_its_sync(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", (60.0, 60.0))
    table = open_table(tmp_path / "out.csv")
    fill(table, results_of(ROWS))
    assert rows_on_disk(tmp_path / "out.csv") == 0
    monkeypatch.setattr(parts, "LARGEST", 500)
    table.place(item("big"))
    table.write(results_of([row("big" * 400)]))
    assert rows_on_disk(tmp_path / "out.csv") == len(ROWS) + 1
    fill(table, results_of([row("last")]))
    table.close()
    assert rows_on_disk(tmp_path / "out.csv") == len(ROWS) + 2, "an interrupt keeps what has come"


def test_names_are_all_different():
    assert len({each.path for each in ROWS}) == len(ROWS) == len(NAMES) + 2


def test_a_name_that_leaves_no_room_is_refused_at_once(tmp_path):
    for length, fits in ((246, True), (247, False)):
        out = tmp_path / ("n" * (length - 4) + ".csv")
        if fits:
            finished(out, results_of(ROWS[:1]))
        else:
            with pytest.raises(OutputRefusedError, match="cannot be written: File name too long"):
                check_out(out)

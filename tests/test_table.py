"""Rows become tables that are whole, or resumable, or not there: whatever was killed, damaged, changed or mistaken."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import FACES, NAMES, ROWS, SCHEMA, expected, fill, item, open_table, read, results_of, row

from fer_fast.table import parts
from fer_fast.table.file_table import rows_on_disk
from fer_fast.table.records import printable
from fer_fast.table.workplace import check_out
from fer_fast.types import Item, ItemRows, OutputError, OutputRefusedError, Row, Status

SUFFIXES = [".csv", ".jsonl", ".parquet"]


@pytest.fixture(autouse=True)
def a_part_for_each_write(monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))


def finished(out, results, **options):
    table = open_table(out, **options)
    wanted = fill(table, results)
    table.finish()
    table.close()
    return table, wanted


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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_kill_after_any_part_loses_doubles_and_tears_nothing(tmp_path, suffix):
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    finished(whole, results_of(ROWS))
    table = open_table(out)
    for result in results_of(ROWS):
        assert table.place(result.item)
    for count, result in enumerate(results_of(ROWS), 1):
        table.write([result])
        died = tmp_path / f"died{count}{suffix}"
        shutil.copytree(table.folder, f"{died}.partial")
        (tmp_path / f"{died.name}.partial" / "writing").write_bytes(b"half a part")
        again, wanted = finished(died, results_of(ROWS), resume=True)
        assert len(wanted) == len(ROWS) - count and again.kept_rows == count
        assert died.read_bytes() == whole.read_bytes()
    table.close()


names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=8)
nasty = st.text(st.sampled_from('",\n\r\\x\udce9a '), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    paths=st.lists(names | nasty, min_size=1, max_size=8, unique=True),
    suffix=st.sampled_from([".csv", ".jsonl"]),
)
def test_any_names_orders_and_damage_resume_to_the_same_table(tmp_path_factory, data, paths, suffix):
    folder = tmp_path_factory.mktemp("cut")
    rows = {path: row(path, number / 8) for number, path in enumerate(paths)}
    table = open_table(folder / f"out{suffix}")
    fill(table, results_of(rows.values()), several=data.draw(st.integers(1, 3), "together"))
    table.close()
    for part in sorted(table.folder.glob("part-*")):
        length = part.stat().st_size
        os.truncate(part, data.draw(st.integers(0, length) | st.just(length), "length"))
    order = data.draw(st.permutations(paths), "order")
    finished(folder / f"out{suffix}", results_of(rows[path] for path in order), resume=True)
    finished(folder / f"whole{suffix}", results_of(rows[path] for path in order))
    assert (folder / f"out{suffix}").read_bytes() == (folder / f"whole{suffix}").read_bytes()
    assert [line["path"] for line in read(folder / f"out{suffix}")] == [printable(path) for path in order]


def test_a_part_whose_bytes_have_changed_is_told_and_made_again(tmp_path, caplog):
    table = open_table(tmp_path / "out.csv")
    fill(table, results_of(ROWS[:4]))
    table.close()
    part = sorted(table.folder.glob("part-*"))[1]
    content = bytearray(part.read_bytes())
    content[content.index(b"unsure" if b"unsure" in content else ROWS[1].path.encode())] ^= 1
    part.write_bytes(content)
    again, wanted = finished(tmp_path / "out.csv", results_of(ROWS[:4]), resume=True)
    assert len(wanted) == 1 and f"{part} is damaged" in caplog.text
    assert read(tmp_path / "out.csv") == expected(ROWS[:4]) and again.kept_rows == 3


def files(folder, *names):
    for name in names:
        (folder / name).write_text(name)
    return [item(f"{folder}/{name}") for name in names]


def stamped(each, value=0.25, status=Status.OK):
    about = Path(each.path).stat()
    made = row(each.name, value) if status is Status.OK else Row(each.name, status, "why")
    return ItemRows(each, (made,), (about.st_size, about.st_mtime_ns), status is Status.FAILED)


@pytest.mark.parametrize("finish", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_of_changed_failed_and_new_files_are_made_again(tmp_path, suffix, finish):
    out = tmp_path / f"out{suffix}"
    same, changed, failed, gone = files(tmp_path, "same.jpg", "changed.jpg", "failed.jpg", "gone.jpg")
    table = open_table(out)
    fill(table, [stamped(same), stamped(changed), stamped(failed, status=Status.FAILED), stamped(gone)])
    if finish:
        table.finish()
    table.close()
    os.utime(changed.path, ns=(1, 1))
    Path(gone.path).unlink()
    (new,) = files(tmp_path, "new.jpg")
    now = [stamped(new, 0.75), *(stamped(each, 0.5) for each in (failed, same, changed))]
    again, wanted = finished(out, now, resume=True)
    assert [result.item for result in wanted] == [new, failed, changed]
    assert (again.kept_rows, again.changed, again.unlisted) == (2 - 1, 1, 1)
    lines = read(out)
    assert [line["path"] for line in lines] == [each.path for each in (new, failed, same, changed, gone)]
    assert [line["p_calm"] for line in lines] == [0.75, 0.5, 0.25, 0.5, 0.25]
    assert again.statuses == {"ok": 5}
    # All of it is true now but for the file that is gone, whose row stays.
    third, wanted = finished(out, now, resume=True)
    assert not wanted and third.kept_rows == 4 and read(out) == lines


def test_a_changed_size_is_a_change(tmp_path):
    (face,) = files(tmp_path, "face.jpg")
    before = Path(face.path).stat()
    finished(tmp_path / "out.csv", [stamped(face)])
    Path(face.path).write_text("another face")
    os.utime(face.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again, wanted = finished(tmp_path / "out.csv", [stamped(face, 0.5)], resume=True)
    assert len(wanted) == again.changed == 1


def test_retrying_what_failed_leaves_all_else(tmp_path):
    out = tmp_path / "out.jsonl"
    same, changed, failed = files(tmp_path, "same.jpg", "changed.jpg", "failed.jpg")
    with pytest.raises(OutputRefusedError, match="does not exist"):
        open_table(out, failed_alone=True)
    table = open_table(out)
    fill(table, [stamped(same), stamped(changed), stamped(failed, status=Status.FAILED)])
    table.close()
    with pytest.raises(OutputRefusedError, match="is not finished"):
        open_table(out, failed_alone=True)
    finished(out, [stamped(same), stamped(changed), stamped(failed, status=Status.FAILED)], resume=True)
    os.utime(changed.path, ns=(1, 1))
    (new,) = files(tmp_path, "new.jpg")
    now = [stamped(each, 0.5) for each in (same, changed, failed, new)]
    again, wanted = finished(out, now, failed_alone=True)
    assert [result.item for result in wanted] == [failed] and again.statuses == {"ok": 3}
    assert [(line["path"], line["p_calm"]) for line in read(out)] == [
        (same.path, 0.25),
        (changed.path, 0.25),
        (failed.path, 0.5),
    ]


def test_a_broken_off_update_of_a_finished_table_keeps_both_runs_rows(tmp_path):
    out = tmp_path / "out.parquet"
    old, new, newer = files(tmp_path, "old.jpg", "new.jpg", "newer.jpg")
    finished(out, [stamped(old)])
    table = open_table(out, resume=True)
    for each in (old, new, newer):
        table.place(each)
    table.write([stamped(new, 0.5)])
    table.close()
    assert rows_on_disk(out) == 1 and len(read(out)) == 1
    again, wanted = finished(out, [stamped(old), stamped(new), stamped(newer, 0.75)], resume=True)
    assert [result.item for result in wanted] == [newer] and again.kept_rows == 2
    assert [line["p_calm"] for line in read(out)] == [0.25, 0.5, 0.75]


def unfinished(tmp_path, name="out.csv"):
    table = open_table(tmp_path / name)
    fill(table, results_of(ROWS[:2]))
    table.close()
    return table


@pytest.mark.parametrize("finish", [False, True])
def test_another_runs_rows_are_refused_with_what_differs(tmp_path, monkeypatch, finish):
    out = tmp_path / "out.csv"
    table = open_table(out, decoder="pillow")
    fill(table, results_of(ROWS[:2]))
    if finish:
        table.finish()
    table.close()
    before = sorted((path, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file())
    cases = [
        ({"decoder": "pillow", "model": "other"}, "it is of a run with model 'm', not 'other'"),
        ({"decoder": "dali"}, "with decoder 'pillow', not 'dali'"),
        ({"decoder": "pillow", "abstain": 0.5}, "with abstain None, not 0.5"),
        ({"decoder": "pillow", "schema": FACES}, "with columns "),
        ({"decoder": "pillow", "inputs": ["elsewhere"]}, "with inputs "),
        ({"decoder": "pillow", "inputs": ["faces", "more"]}, "with inputs "),
    ]
    for options, message in cases:
        with pytest.raises(OutputRefusedError, match=message):
            open_table(out, resume=True, **options)
    monkeypatch.setattr("fer_fast.table.manifest.__version__", "9.9")
    with pytest.raises(OutputRefusedError, match=r"with version '.*', not '9\.9'"):
        open_table(out, resume=True, decoder="pillow")
    left = [each for each in tmp_path.rglob("*") if each.is_file() and each.name != "lock"]
    assert sorted((path, path.read_bytes()) for path in left) == [each for each in before if each[0].name != "lock"]


def test_another_working_directory_is_another_input(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name / "faces").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    unfinished(tmp_path)
    monkeypatch.chdir(tmp_path / "b")
    with pytest.raises(OutputRefusedError, match="with inputs "):
        open_table(tmp_path / "out.csv", resume=True)
    open_table(tmp_path / "out.csv", resume=True, inputs=["../a/./faces/"]).close()
    monkeypatch.chdir(tmp_path / "a")
    for name, mine in (("list.csv", "-"), ("file.csv", f"@{tmp_path}/list")):
        table = open_table(tmp_path / name, inputs=[mine])
        fill(table, results_of(ROWS[:1]))
        table.close()
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir(tmp_path / "b")
            with pytest.raises(OutputRefusedError, match="with folder "):
                open_table(tmp_path / name, inputs=[mine], resume=True)


def test_an_unfinished_run_is_not_overwritten(tmp_path):
    table = unfinished(tmp_path)
    with pytest.raises(OutputRefusedError, match=r"an unfinished run is in .*--resume"):
        open_table(table.out)
    (table.folder / "manifest.json").write_text("{}")
    for resume in (False, True):
        with pytest.raises(OutputRefusedError, match=r"manifest.json' cannot be read .* remove 'out.csv.partial'"):
            open_table(table.out, resume=resume)
    (table.folder / "manifest.json").unlink()  # the end of a run, or its beginning: nobody's
    assert finished(table.out, results_of(ROWS))[0].statuses.total() == len(ROWS)


def test_a_file_where_the_folder_would_be_is_told(tmp_path):
    (tmp_path / "out.csv.partial").write_text("path,status\n")
    with pytest.raises(OutputRefusedError, match=r"out.csv.partial' is no folder of an unfinished run: remove it"):
        open_table(tmp_path / "out.csv", resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_on_the_same_table_is_refused(tmp_path, resume):
    first = open_table(tmp_path / "out.csv")
    fill(first, results_of(ROWS[:3]))
    before = {path: path.read_bytes() for path in first.folder.iterdir()}
    with pytest.raises(OutputRefusedError, match="another run is writing"):
        open_table(tmp_path / "out.csv", resume=resume)
    assert {path: path.read_bytes() for path in first.folder.iterdir()} == before
    first.finish()
    assert len(read(tmp_path / "out.csv")) == 3


def test_nothing_is_written_before_the_folder_is_ours(tmp_path, monkeypatch):
    first = open_table(tmp_path / "out.csv", model="first")
    for path in (first.folder / "manifest.json",):
        path.rename(tmp_path / "hidden")  # as the second run sees it that looks a moment earlier
    with pytest.raises(OutputRefusedError, match="another run is writing"):
        open_table(tmp_path / "out.csv", model="second")
    assert not (first.folder / "manifest.json").exists()


def test_a_run_without_rows_leaves_nothing(tmp_path):
    open_table(tmp_path / "out.csv").close()
    assert not list(tmp_path.iterdir())


def test_a_finished_table_stays_until_the_next_is_complete(tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to("out.csv")
    table = open_table(link)
    fill(table, results_of(ROWS))
    assert out.read_text() == "old"
    table.finish()
    assert len(read(out)) == len(ROWS) and link.is_symlink()


@pytest.mark.parametrize("junk", [b"junk", b"", None])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_not_the_table_that_was_written_is_not_finished(tmp_path, suffix, junk):
    out = tmp_path / f"out{suffix}"
    finished(out, results_of(ROWS))
    whole = out.read_bytes()
    out.write_bytes(whole[:-1] + b"!" if junk is None else junk)
    with pytest.raises(OutputRefusedError, match="it was changed since it was written"):
        open_table(out, resume=True)
    out.write_bytes(whole)
    assert finished(out, results_of(ROWS), resume=True)[0].kept_rows == len(ROWS)
    manifest = tmp_path / f"{out.name}.manifest"
    for damaged in (manifest.read_bytes()[:-30], b"", None):
        manifest.unlink()
        if damaged is not None:
            manifest.write_bytes(damaged)
        with pytest.raises(OutputRefusedError, match=f"there is no whole '{out.name}.manifest' beside it"):
            open_table(out, resume=True)
        manifest.touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, manifest.name]
    assert out.read_bytes() == whole
    assert finished(out, results_of(ROWS[:2]))[0].statuses.total() == 2


@pytest.mark.parametrize("moment", ["replace", "sync_folder"])
def test_a_kill_while_the_table_moves_to_its_place_is_made_good(tmp_path, monkeypatch, moment):
    out = tmp_path / "out.jsonl"
    finished(out, results_of(ROWS[:2]))

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    table = open_table(out)
    fill(table, results_of(ROWS))
    with monkeypatch.context() as patch:
        if moment == "replace":  # after the table and before its manifest
            calls = itertools.count()
            real = Path.replace
            patch.setattr(Path, "replace", lambda *each: killed() if next(calls) == 1 else real(*each))
        else:
            patch.setattr("fer_fast.table.file_table.sync_folder", killed)
        with pytest.raises(Killed):
            table.finish()
    table._workplace.leave()
    again, wanted = finished(out, results_of(ROWS), resume=True)
    assert not wanted and again.kept_rows == len(ROWS) and read(out) == expected(ROWS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.manifest"]


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
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OutputRefusedError, match="needs pyarrow"):
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


def test_a_full_disk_keeps_whole_rows_and_says_so(tmp_path):
    # A limit on file size fails in the middle of a write, like a full disk; it needs a process of its own.
    code = """
import resource, signal, sys
from test_table import *
parts.SECONDS = (0.0, 0.0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))
table = open_table(sys.argv[1])
fill(table, results_of(row(f"{number}.jpg") for number in range(5)))
try:
    fill(table, results_of(row(f"{number}.jpg") for number in range(5, 200)), several=100)
except OutputError as error:
    print(error)
table.close()
"""
    out = tmp_path / "out.csv"
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent.parent}:{Path(__file__).parent}"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(out)], capture_output=True, text=True, env=environment, check=True
    )
    assert "File too large; 5 rows are kept in 'out.csv.partial': go on with --resume" in run.stdout
    assert rows_on_disk(out) == 5
    again, wanted = finished(out, results_of(row(f"{number}.jpg") for number in range(200)), resume=True)
    assert again.kept_rows == 5 and len(wanted) == 195 and again.statuses == {"ok": 200}


def test_a_disk_that_is_full_at_the_end_keeps_all_rows(tmp_path, monkeypatch):
    out = tmp_path / "out.csv"
    table = open_table(out)
    fill(table, results_of(ROWS))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fer_fast.table.file_table.new_table", full)
        with pytest.raises(OutputError, match=f"No space left on device; {len(ROWS)} rows are kept"):
            table.finish()
    table.close()
    assert not finished(out, results_of(ROWS), resume=True)[1] and read(out) == expected(ROWS)


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


def test_many_rows_are_taken_from_a_finished_table_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_fast.table.finished.ROWS_AT_ONCE", 7)
    out, (face, *more) = tmp_path / "out.csv", files(tmp_path, *(f"{n}.jpg" for n in range(9)))
    crowd = ItemRows(face, tuple(row(face.name, n / 64) for n in range(20)), stamped(face).stamp)
    finished(out, [crowd, *map(stamped, more)])
    before = read(out)
    os.utime(more[3].path, ns=(1, 1))
    again, wanted = finished(out, [crowd, *map(stamped, more)], resume=True)
    assert [result.item for result in wanted] == [more[3]] and read(out) == before and again.kept_rows == 27


def test_keys_and_stamps_of_any_size_are_kept(tmp_path):
    (face,) = files(tmp_path, "face.jpg")
    items = [Item(face.path, f"n{key}", key) for key in (0, 2**64 - 1)]
    huge = [ItemRows(each, (row(each.name),), (2**40, 2**62)) for each in items]
    finished(tmp_path / "out.csv", huge)
    again, wanted = finished(tmp_path / "out.csv", huge, resume=True)
    assert len(wanted) == 2 and again.changed == 2  # the file's own stamp is another
    assert np.dtype(parts.ITEM)["key"] == np.uint64


def test_names_are_all_different():
    assert len({each.path for each in ROWS}) == len(ROWS) == len(NAMES) + 2


def test_retrying_what_failed_needs_the_whole_table(tmp_path):
    out = tmp_path / "out.csv"
    items = files(tmp_path, *(f"{number}.jpg" for number in range(6)))
    finished(out, [stamped(each) for each in items])
    for each in items[:3]:
        os.utime(each.path, ns=(1, 1))
    table = open_table(out, resume=True)
    fill(table, [stamped(each) for each in items[:1]])
    table.close()
    whole = out.read_bytes()
    for gone in (b"another table", None):
        out.unlink()
        if gone:
            out.write_bytes(gone)
        with pytest.raises(OutputRefusedError, match="is not finished: go on with --resume"):
            open_table(out, failed_alone=True)
    again, wanted = finished(out, [stamped(each) for each in items], resume=True)
    assert len(wanted) == 5 and again.statuses == {"ok": 6} and out.read_bytes() == whole


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_kill_between_a_table_and_its_manifest_can_be_resumed(tmp_path, monkeypatch, suffix):
    out = tmp_path / f"out{suffix}"
    old, new = files(tmp_path, "old.jpg", "new.jpg")
    finished(out, [stamped(old)])

    class Killed(BaseException):
        pass

    def replaced(path, target, calls=itertools.count()):  # noqa: B008 (one count)
        if next(calls) == 1:
            raise Killed
        return real(path, target)

    real = Path.replace
    table = open_table(out, resume=True)
    for each in (old, new):
        table.place(each)
    table._parts.add([stamped(new, 0.5)])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replaced)
        patch.setattr("fer_fast.table.parts.write_whole", lambda *_: None)
        with pytest.raises(Killed):
            table.finish()
    table._workplace.leave()
    assert len(read(out)) == 2
    again, wanted = finished(out, [stamped(old), stamped(new, 0.5)], resume=True)
    assert not wanted and again.kept_rows == 2 and [line["p_calm"] for line in read(out)] == [0.25, 0.5]
    assert sorted(path.name for path in tmp_path.glob("out*")) == [out.name, f"{out.name}.manifest"]


def test_a_manifest_that_was_removed_meanwhile_costs_rows_and_no_more(tmp_path, caplog):
    out = tmp_path / "out.csv"
    old, new = files(tmp_path, "old.jpg", "new.jpg")
    finished(out, [stamped(old)])
    table = open_table(out, resume=True)
    fill(table, [stamped(old), stamped(new)])
    table.close()
    (tmp_path / "out.csv.manifest").unlink()
    _, wanted = finished(out, [stamped(old), stamped(new)], resume=True)
    assert [result.item for result in wanted] == [old] and "is not the table that the run went on from" in caplog.text
    assert len(read(out)) == 2


def test_an_order_that_goes_to_and_fro_is_no_burden(tmp_path):
    out = tmp_path / "out.csv"
    results = results_of(row(f"{number}.jpg", number / 512) for number in range(512))
    table = open_table(out)
    fill(table, results, several=64)
    table.close()
    loads = []
    real = parts.PartFile.records
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts.PartFile, "records", lambda part: loads.append(part) or real(part))
        finished(out, results[::2] + results[::-2], resume=True)
    assert len(loads) == 8, "each part is read once"
    assert [line["path"] for line in read(out)] == [result.item.name for result in results[::2] + results[::-2]]


def test_a_manifest_with_any_bit_flipped_is_damaged_and_no_more(tmp_path):
    out = tmp_path / "out.csv"
    finished(out, results_of(ROWS))
    manifest = tmp_path / "out.csv.manifest"
    whole = manifest.read_bytes()
    flipped = {"refused": 0, "taken": 0}
    for place in range(0, 8 * len(whole), 97):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        manifest.write_bytes(damaged)
        try:
            open_table(out, resume=True).close()
            flipped["taken"] += 1  # a time stamp, say
        except OutputRefusedError:
            flipped["refused"] += 1
    assert flipped["refused"] > 50


def test_all_that_is_renamed_was_synced_before(tmp_path, monkeypatch):
    synced, done = set(), []
    sync, rename = os.fsync, os.replace

    def fsync(descriptor):
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        return sync(descriptor)

    def replace(path, target):
        done.append(Path(target).name)
        assert str(path) in synced, path
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", lambda path, target: replace(path, target))
    table = open_table(tmp_path / "out.csv")
    fill(table, results_of(ROWS[:2]))
    assert str(table.folder) in synced
    table.finish()
    assert done == ["manifest.json", "part-00000000", "part-00000001", "out.csv", "out.csv.manifest"]
    assert str(tmp_path) in synced


def test_a_name_that_leaves_no_room_is_refused_at_once(tmp_path):
    for length, fits in ((246, True), (247, False)):
        out = tmp_path / ("n" * (length - 4) + ".csv")
        if fits:
            finished(out, results_of(ROWS[:1]))
        else:
            with pytest.raises(OutputRefusedError, match="too long a name"):
                check_out(out)


def test_what_is_not_ours_in_the_folder_stays(tmp_path):
    table = open_table(tmp_path / "out.csv")
    (table.folder / "mine").mkdir()
    fill(table, results_of(ROWS))
    table.finish()
    assert (table.folder / "mine").is_dir() and len(read(tmp_path / "out.csv")) == len(ROWS)
    assert finished(tmp_path / "out.csv", results_of(ROWS[:1]))[0].statuses.total() == 1


def test_many_runs_that_begin_and_end_at_once_refuse_each_other_or_succeed(tmp_path):
    code = """
import sys, time
from test_table import *
until = time.monotonic() + 3
ends = {"written": 0, "refused": 0}
while time.monotonic() < until:
    try:
        finished(sys.argv[1], results_of(ROWS), resume=len(sys.argv) > 2)
        ends["written"] += 1
    except OutputRefusedError as error:
        assert "another run" in str(error) or "other runs" in str(error) or "an unfinished" in str(error), error
        ends["refused"] += 1
print(ends["written"], ends["refused"])
"""
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent.parent}:{Path(__file__).parent}"}
    out = tmp_path / "out.csv"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(out), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for more in ([], [], ["resume"])
    ]
    told = [process.communicate() for process in running]
    assert [error for _, error in told] == [""] * 3
    assert sum(int(line.split()[0]) for line, _ in told) > 3
    assert read(out) == expected(ROWS)

"""What a resumed run keeps, makes again and refuses, of unfinished tables and of finished ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import (
    FACES,
    ROWS,
    SUFFIXES,
    files,
    fill,
    finished,
    open_table,
    read,
    results_of,
    row,
    stamped,
)

from fer_fast.table import parts
from fer_fast.table.file_table import rows_on_disk
from fer_fast.table.records import path_cell
from fer_fast.types import Item, ItemRows, OutputRefusedError, Status


@pytest.fixture(autouse=True)
def a_part_for_each_write(monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))


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
    assert [line["path"] for line in read(folder / f"out{suffix}")] == [path_cell(path) for path in order]


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

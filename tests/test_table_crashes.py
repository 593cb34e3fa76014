"""Kills, damage, full disks and runs at the same time: a table is whole, or can be resumed, or is not there."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import ENVIRONMENT
from tables import (
    ROWS,
    SUFFIXES,
    expected,
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
from fer_fast.types import OutputError, OutputRefusedError


@pytest.fixture(autouse=True)
def a_part_for_each_write(monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))


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
            patch.setattr("fer_fast.table.assembling.sync_folder", killed)
        with pytest.raises(Killed):
            table.finish()
    table._workplace.leave()
    again, wanted = finished(out, results_of(ROWS), resume=True)
    assert not wanted and again.kept_rows == len(ROWS) and read(out) == expected(ROWS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.manifest"]


def test_a_full_disk_keeps_whole_rows_and_says_so(tmp_path):
    # A limit on file size fails in the middle of a write, like a full disk; it needs a process of its own.
    code = """
import resource, signal, sys
from test_table_crashes import *
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
    run = subprocess.run(
        [sys.executable, "-c", code, str(out)], capture_output=True, text=True, env=ENVIRONMENT, check=True
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
        patch.setattr("fer_fast.table.assembling.new_table", full)
        with pytest.raises(OutputError, match=f"No space left on device; {len(ROWS)} rows are kept"):
            table.finish()
    table.close()
    assert not finished(out, results_of(ROWS), resume=True)[1] and read(out) == expected(ROWS)


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
from test_table_crashes import *
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
    out = tmp_path / "out.csv"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(out), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
        )
        for more in ([], [], ["resume"])
    ]
    told = [process.communicate() for process in running]
    assert [error for _, error in told] == [""] * 3
    assert sum(int(line.split()[0]) for line, _ in told) > 3
    assert read(out) == expected(ROWS)

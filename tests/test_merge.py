"""Tables of shares become one: nothing is lost or doubled in silence, and half a table is never there."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from shades import save_shade
from tables import FACES, ROWS, SUFFIXES, expected, files, fill, finished, open_table, read, results_of, row, stamped

from fer_fast import OutputError, OutputRefusedError, merge_tables
from fer_fast.cli import run
from fer_fast.merge import doubled
from fer_fast.table import parts


@pytest.fixture(autouse=True)
def a_part_for_each_write(monkeypatch):
    monkeypatch.setattr(parts, "SECONDS", (0.0, 0.0))


def shards(folder, suffix, rows=ROWS, count=3, **options):
    """A table for each share; which row is in which does not matter here."""
    outs = [folder / f"part.{number}{suffix}" for number in range(1, count + 1)]
    for number, out in enumerate(outs, 1):
        finished(out, results_of(rows[number - 1 :: count]), shard=f"{number}/{count}", **options)
    return outs


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_shards_become_the_table_of_all_in_the_order_of_their_numbers(tmp_path, suffix):
    outs, out = shards(tmp_path, suffix), tmp_path / f"all{suffix}"
    before, seen = names(tmp_path), []
    merged = merge_tables(outs[::-1], out, progress=lambda done, new: seen.append((done, new)))
    assert read(out) == expected([row for number in range(3) for row in ROWS[number::3]])
    assert merged.rows == len(ROWS) and merged.tables == 3 and merged.lacking == ()
    assert merged.statuses == {"ok": len(ROWS) - 2, "abstained": 1, "corrupt": 1} and merged.out == str(out)
    assert seen[-1][0] == sum(new for _, new in seen) == len(ROWS)
    assert names(tmp_path) == sorted([*before, out.name, f"{out.name}.manifest"])
    again = tmp_path / f"again{suffix}"
    merge_tables(outs, again)
    assert again.read_bytes() == out.read_bytes()
    table, wanted = finished(out, results_of(ROWS), resume=True)
    assert wanted == [] and table.kept_rows == len(ROWS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_of_stages_keep_their_kinds(tmp_path, suffix):
    rows = [row(f"{number}.jpg", cells=(number, number / 3, "a, b")) for number in range(7)]
    outs = shards(tmp_path, suffix, rows, 2, schema=FACES)
    merge_tables(outs, tmp_path / f"all{suffix}")
    finished(tmp_path / f"whole{suffix}", results_of([*rows[::2], *rows[1::2]]), schema=FACES)
    assert (tmp_path / f"all{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unfinished_tables_are_merged_where_that_is_asked_for(tmp_path, suffix):
    outs, out = shards(tmp_path, suffix, ROWS[:8], 2), tmp_path / f"all{suffix}"
    going = tmp_path / f"part.3{suffix}"
    for number, each in enumerate(outs, 1):  # they were of three all along
        finished(each, results_of(ROWS[number - 1 : 8 : 2]), shard=f"{number}/3")
    table = open_table(going, shard="3/3")
    fill(table, results_of(ROWS[8:10]))
    with pytest.raises(ValueError, match="a run is writing it"):
        merge_tables([*outs, going], out)
    table.close()
    with pytest.raises(ValueError, match=rf"'{going}' is not finished \(--incomplete"):
        merge_tables([*outs, going], out)
    with pytest.raises(ValueError, match="shard 3 of 3 is missing"):
        merge_tables(outs, out)
    assert not out.exists()
    for name in (going, f"{going}.partial", f"{going}.partial/"):
        merged = merge_tables([*outs, name], out, incomplete=True)
        assert read(out) == expected([*ROWS[0:8:2], *ROWS[1:8:2], *ROWS[8:10]]) and len(merged.lacking) == 1
    assert [result.item.name for result in finished(out, results_of(ROWS), resume=True)[1]] == [
        each.path for each in ROWS[10:]
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_table_that_is_being_resumed_the_newest_rows_count(tmp_path, suffix):
    one, out = tmp_path / f"one{suffix}", tmp_path / f"all{suffix}"
    old, new, changed = files(tmp_path, "old.jpg", "new.jpg", "changed.jpg")
    finished(one, [stamped(old), stamped(changed)])
    Path(changed.path).write_text("another")
    table = open_table(one, resume=True)
    fill(table, [stamped(old), stamped(changed, 0.5), stamped(new, 0.75)])
    table.close()
    merge_tables([one], out, incomplete=True)
    assert {Path(line["path"]).name: line["p_calm"] for line in read(out)} == {
        "old.jpg": 0.25,
        "changed.jpg": 0.5,
        "new.jpg": 0.75,
    }


def test_what_is_missing_or_twice_or_of_another_whole_is_named(tmp_path):
    outs, out = shards(tmp_path, ".csv", count=14), tmp_path / "all.csv"
    with pytest.raises(ValueError, match="shards 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more of 14 are missing"):
        merge_tables([outs[0], outs[-1]], out)
    shutil.copy(outs[0], tmp_path / "copy.csv")
    shutil.copy(f"{outs[0]}.manifest", tmp_path / "copy.csv.manifest")
    with pytest.raises(ValueError, match=r"shard 1/14 is there twice: .*part.1.csv' and .*copy.csv'"):
        merge_tables([*outs, tmp_path / "copy.csv"], out)
    (tmp_path / "link.csv").symlink_to(outs[0])
    with pytest.raises(ValueError, match=r"is named twice"):
        merge_tables([*outs, tmp_path / "link.csv"], out)
    finished(tmp_path / "other.csv", results_of(ROWS), shard="2/5")
    with pytest.raises(ValueError, match=r"is shard 1/14, and .*other.csv' shard 2/5: of other wholes"):
        merge_tables([outs[0], tmp_path / "other.csv"], out)
    finished(tmp_path / "none.csv", results_of(ROWS))
    with pytest.raises(ValueError, match=r"is shard 1/14, and .*none.csv' is none"):
        merge_tables([*outs, tmp_path / "none.csv"], out, incomplete=True)
    assert not out.exists() and not [*tmp_path.glob("all*")]


def test_another_model_option_package_format_or_class_is_named(tmp_path):
    out = tmp_path / "all.csv"
    finished(tmp_path / "a.csv", results_of(ROWS[:3]), shard="1/2", abstain=0.5)
    finished(tmp_path / "b.csv", results_of(ROWS[3:]), shard="2/2", abstain=0.9)
    with pytest.raises(ValueError, match=r"b.csv' is of a run with abstain 0.9, not 0.5 as .*a.csv'"):
        merge_tables([tmp_path / "b.csv", tmp_path / "a.csv"], out, incomplete=True)
    finished(tmp_path / "c.csv", results_of(ROWS[3:]), shard="2/2", abstain=0.5, model="n")
    with pytest.raises(ValueError, match=r"c.csv' is of a run with model 'n', not 'm' as"):
        merge_tables([tmp_path / "a.csv", tmp_path / "c.csv"], out)
    finished(tmp_path / "d.jsonl", results_of(ROWS[3:]), shard="2/2", abstain=0.5)
    with pytest.raises(ValueError, match=r"d.jsonl' is of a run with format 'jsonl', not 'csv'"):
        merge_tables([tmp_path / "a.csv", tmp_path / "d.jsonl"], out)
    with pytest.raises(OutputRefusedError, match=r"must end in .csv, as the tables do"):
        merge_tables([tmp_path / "a.csv"], tmp_path / "all.jsonl", incomplete=True)


def test_files_that_two_tables_have_are_named(tmp_path, monkeypatch):
    finished(tmp_path / "a.csv", results_of(ROWS[:6]))
    finished(tmp_path / "b.csv", results_of(ROWS[5:]))
    with pytest.raises(ValueError, match=r"1 file is there twice: .* in '.*a.csv' and '.*b.csv'$"):
        merge_tables([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "all.csv")
    finished(tmp_path / "c.jsonl", results_of(ROWS))
    finished(tmp_path / "d.jsonl", results_of(ROWS[:8]))
    with pytest.raises(ValueError, match=r"8 files are there twice: .*; \.\.\.$"):
        merge_tables([tmp_path / "c.jsonl", tmp_path / "d.jsonl"], tmp_path / "all.jsonl")
    assert not [*tmp_path.glob("all*")]
    merge_tables([tmp_path / "b.csv"], tmp_path / "all.csv")


def test_keys_that_are_the_same_by_chance_are_no_file_twice(tmp_path):
    out = tmp_path / "all.csv"
    for name, path in (("a", "x/one.jpg"), ("b", "y/two.jpg")):
        table = open_table(tmp_path / f"{name}.csv")
        [result] = results_of([row("same")])
        fill(table, [type(result)(result.item, (row(path),), None)])
        table.finish()
    merge_tables([tmp_path / "a.csv", tmp_path / "b.csv"], out)
    assert [line["path"] for line in read(out)] == ["x/one.jpg", "y/two.jpg"]


def test_tables_of_hand_made_lists_are_merged_as_they_are_named(tmp_path):
    for name, some in (("b", ROWS[:5]), ("a", ROWS[5:])):
        finished(tmp_path / f"{name}.csv", results_of(some), inputs=(name,))
    merge_tables([tmp_path / "b.csv", tmp_path / "a.csv"], tmp_path / "all.csv")
    assert read(tmp_path / "all.csv") == expected(ROWS)
    _, wanted = finished(tmp_path / "all.csv", results_of(ROWS), resume=True, inputs=("b", "a"))
    assert wanted == []
    with pytest.raises(OutputRefusedError, match="it is of a run with inputs"):
        open_table(tmp_path / "all.csv", resume=True, inputs=("a",))


def test_inputs_of_one_name_in_several_folders_are_several(tmp_path, ended, monkeypatch):
    for place, shade in (("one", 10), ("two", 20)):
        (tmp_path / place / "faces").mkdir(parents=True)
        save_shade(tmp_path / place / "faces" / f"{shade}.png", shade)
        monkeypatch.chdir(tmp_path / place)
        assert ended("faces", "-o", tmp_path / f"{place}.csv")[0] == 0
    merge_tables([tmp_path / "one.csv", tmp_path / "two.csv"], tmp_path / "all.csv")
    status, _, error = ended("../one/faces", "../two/faces", "-o", tmp_path / "all.csv", "--resume")
    assert status == 0 and "nothing was classified" in error
    assert ended("../one/faces", "-o", tmp_path / "all.csv", "--resume")[0] == 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.unlink(), "there is no table '.*part.2.csv', finished or not"),
        (lambda table: Path(f"{table}.manifest").unlink(), "no whole 'part.2.csv.manifest' beside it"),
        (lambda table: Path(f"{table}.manifest").write_bytes(b"PK"), "no whole 'part.2.csv.manifest' beside it"),
        (lambda table: table.write_bytes(table.read_bytes() + b"x"), "was changed since it was written"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, spoil, message):
    outs = shards(tmp_path, ".csv")
    spoil(outs[1])
    for incomplete in (False, True):
        with pytest.raises(ValueError, match=message):
            merge_tables(outs, tmp_path / "all.csv", incomplete=incomplete)
    assert not [*tmp_path.glob("all*")]


def test_the_output_is_none_of_the_tables_and_somebody_else_s_run_stays(tmp_path):
    outs = shards(tmp_path, ".csv")
    before = outs[1].read_bytes()
    with pytest.raises(OutputRefusedError, match="is a table that is to be merged: choose another"):
        merge_tables(outs, outs[1])
    assert outs[1].read_bytes() == before
    going = open_table(tmp_path / "all.csv")
    fill(going, results_of(ROWS[:2]))
    with pytest.raises(OutputRefusedError, match="another run is writing"):
        merge_tables(outs, tmp_path / "all.csv")
    going.close()
    with pytest.raises(OutputRefusedError, match="an unfinished run is in"):
        merge_tables(outs, tmp_path / "all.csv")
    with pytest.raises(ValueError, match="no table"):
        merge_tables([], tmp_path / "none.csv")
    with pytest.raises(ValueError, match="must end in"):
        merge_tables([tmp_path / "all.txt"], tmp_path / "none.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_fails_on_the_way_leaves_nothing_and_the_next_merge_is_whole(tmp_path, monkeypatch, suffix):
    outs, out = shards(tmp_path, suffix), tmp_path / f"all{suffix}"
    before = names(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    for place in ("merging.assemble", "doubled._sort_apart"):
        with monkeypatch.context() as patch:
            patch.setattr(f"fer_fast.merge.{place}", full)
            with pytest.raises(OutputError, match="cannot be put together: No space left on device"):
                merge_tables(outs, out)
        assert names(tmp_path) == before
    merge_tables(outs, out)
    assert len(read(out)) == len(ROWS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_merge_that_is_broken_off_when_its_table_stands_is_gone_on_with(tmp_path, monkeypatch, suffix):
    outs, out = shards(tmp_path, suffix), tmp_path / f"all{suffix}"

    def broken_off(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("fer_fast.table.assembling.manifest_of", broken_off)
        merge_tables(outs, out)
    assert out.exists() and not (tmp_path / f"{out.name}.manifest").exists()
    table, wanted = finished(out, results_of(ROWS), resume=True)
    assert wanted == [] and table.kept_rows == len(ROWS)
    assert {f"{out.name}.manifest", f"{out.name}.partial"} & {*names(tmp_path)} == {f"{out.name}.manifest"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_that_is_written_again_meanwhile_is_told(tmp_path, suffix):
    """What was compared was the table before: rows of the new one may be in another, too."""
    outs, out = shards(tmp_path, suffix), tmp_path / f"all{suffix}"
    more = [*ROWS[2::3], ROWS[0]]
    with pytest.raises(OutputError, match=r"cannot be put together: it was written again meanwhile \(.*part.3"):
        merge_tables(outs, out, progress=lambda done, _: finished(outs[2], results_of(more), shard="3/3"))
    assert not [*tmp_path.glob("all*")]


def test_memory_does_not_grow_with_the_tables(tmp_path, monkeypatch):
    """Ten times the rows take the memory of one time: parts of a manifest are read one by one."""
    monkeypatch.setattr("fer_fast.table.finished.ROWS_AT_ONCE", 1000)
    monkeypatch.setattr("fer_fast.table.parts.ROWS_AT_ONCE", 1000)
    peaks = []
    for count in (3000, 30000):
        folder = tmp_path / str(count)
        folder.mkdir()
        outs = [folder / f"{n}.csv" for n in (1, 2)]
        for n, out in enumerate(outs):
            table = open_table(out, shard=f"{n + 1}/2")
            fill(table, results_of(row(f"{n}/{number}.jpg") for number in range(count)), several=500)
            table.finish()
        merge_tables(outs, folder / "warm.csv")
        # The less of two: the interpreter's own table of names grows now and then, by megabytes at once.
        peaks.append(min(_peak(outs, folder / f"all{n}.csv") for n in (1, 2)))
    assert peaks[1] < 2 * peaks[0]


def _peak(tables, out):
    tracemalloc.start()
    try:
        merge_tables(tables, out)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_keys_that_come_twice_are_found_wherever_they_are(tmp_path):
    rng = np.random.default_rng(3)
    keys = np.unique(rng.integers(0, 2**64, 5000, np.uint64))
    twice = rng.choice(keys, 40, replace=False)
    for some in np.array_split(rng.permutation(np.concatenate([keys, twice])), 7):
        doubled._sort_apart(some, tmp_path)
    found = [key for n in range(256) for key in doubled._twice(doubled._bucket(tmp_path, n)).tolist()]
    assert found == sorted(twice.tolist())


def test_the_command_merges_what_it_classified(tmp_path, ended, capsys, monkeypatch):
    (tmp_path / "faces").mkdir()
    for number in range(30):
        save_shade(tmp_path / "faces" / f"{number}.png", number)
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 3):
        assert ended("faces", "-o", f"{number}.csv", "--shard", f"{number}/3", fail_at=1 if number == 2 else None)[
            0
        ] == (number == 2)
    assert run(["merge", "1.csv", "2.csv", "3.csv", "-o", "all.csv"]) == 2
    assert capsys.readouterr().err == (
        f"fer-fast: '{tmp_path}/2.csv' is not finished (--incomplete merges what is there)\n"
    )
    assert run(["merge", "1.csv", "2.csv.partial", "3.csv", "-o", "all.csv", "--incomplete"]) == 0
    said = capsys.readouterr().err
    assert "2.csv' is not finished" in said and "rows in all.csv of 3 tables: ok" in said
    assert len(read(tmp_path / "all.csv")) < 30
    status, _, error = ended("faces", "-o", "all.csv", "--resume")
    assert status == 0 and "30 rows in all.csv" in error
    assert ended("faces", "-o", "2.csv", "--shard", "2/3", "--resume")[0] == 0
    assert run(["merge", "1.csv", "2.csv", "3.csv", "-o", "whole.csv", "-q"]) == 0
    assert capsys.readouterr().err == "" and len(read(tmp_path / "whole.csv")) == 30
    assert ended("faces", "-o", "whole.csv", "--resume", "-v")[2].count("nothing was classified") == 1


def test_shards_that_saw_other_files_are_told(tmp_path, ended, capsys, monkeypatch):
    """A list of full paths names other files on a machine that has them elsewhere: rows would be lost in silence."""
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        for number in range(20):
            save_shade(tmp_path / place / f"{number}.png", number)
        lines = [f"{tmp_path}/{place}/{number}.png\n" for number in range(20)]
        (tmp_path / f"{place}.txt").write_text("".join(lines))
    monkeypatch.chdir(tmp_path)
    for number, place in ((1, "one"), (2, "two")):
        assert ended(f"@{place}.txt", "-o", f"{number}.csv", "--shard", f"{number}/2")[0] == 0
        assert ended(place, "-o", f"folder{number}.csv", "--shard", f"{number}/2")[0] == 0
    assert run(["merge", "1.csv", "2.csv", "-o", "all.csv"]) == 2
    assert "shard 1/2 is of 20 files, and shard 2/2 of 20 others" in capsys.readouterr().err
    assert run(["merge", "folder1.csv", "folder2.csv", "-o", "all.csv"]) == 0
    assert {Path(line["path"]).name for line in read(tmp_path / "all.csv")} == {f"{number}.png" for number in range(20)}
    status, _, error = ended("one", "-o", "all.csv", "--resume")
    assert status == 2 and "it is of a run with inputs" in error


def test_a_manifest_that_does_not_tell_its_columns_kinds_is_refused(tmp_path):
    from fer_fast.table.schema import schema_of

    out = tmp_path / "a.parquet"
    finished(out, results_of([row("a.jpg", cells=(1, 0.5, "x"))]), schema=FACES)
    assert schema_of(FACES.names, ["integer", "number", "text"]) == FACES
    with pytest.raises(ValueError, match="tells of 0 of 3 columns what they hold"):
        schema_of(FACES.names, [])
    with pytest.raises(ValueError, match="as no table's"):
        schema_of(["path", "label"], [])
    assert json.loads(open_table(tmp_path / "b.csv", schema=FACES)._run.as_json())["kinds"] == [
        "integer",
        "number",
        "text",
    ]

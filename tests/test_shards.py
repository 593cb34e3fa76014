"""Shares of what inputs name: each file is in one of them, on whichever machine, whatever else there is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shades import ShadeClassifier, save_shade
from tables import SUFFIXES, read

from fer_fast import classify_folder, classify_rows
from fer_fast.inputs import ImageFiles, Shard
from fer_fast.table.finished import read_manifest


def shares(inputs, count):
    """The files of each share, and what each says of all of them."""
    shards = [Shard(f"{number}/{count}") for number in range(1, count + 1)]
    return [[*ImageFiles(inputs, shard=shard)] for shard in shards], [shard.found for shard in shards]


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "faces"
    (folder / "deeper" / "still").mkdir(parents=True)
    for number in range(60):
        place = ("", "deeper", "deeper/still")[number % 3]
        save_shade(folder / place / f"{number:02}.png", number)
    (folder / os.fsdecode(b"caf\xe9.png")).touch()
    return folder


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "1/0", "-1/4", "1/4/2", "a/b", "", "1.5/2", "\u0661/4", "1 /4"])
def test_what_is_no_share_is_refused(text, tmp_path, ended):
    with pytest.raises(ValueError, match="shard must be K/N, K from 1 to N, such as 3/16, not "):
        Shard(text)
    status, _, error = ended("no such folder", "-o", tmp_path / "out.csv", f"--shard={text}")
    assert status == 2 and error == f"fer-fast: --shard must be K/N, K from 1 to N, such as 3/16, not {text!r}\n"


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_each_file_is_in_one_share_in_the_order_of_all(tree, count):
    found, seen = shares([tree], count)
    everything = [*ImageFiles([tree])]
    assert sorted(path for files in found for path in files) == sorted(everything)
    assert all(files == [path for path in everything if path in set(files)] for files in found)
    assert all(each == seen[0] for each in seen) and seen[0]["files"] == 61


def test_what_is_added_moves_nothing(tree):
    before, seen = shares([tree], 4)
    save_shade(tree / "0-first.png", 1)
    after, seen_now = shares([tree], 4)
    assert all(set(earlier) <= set(now) for earlier, now in zip(before, after, strict=True))
    assert seen_now[0]["files"] == 62 and seen_now[0] != seen[0]


@pytest.mark.parametrize("named", ["faces", "faces/", "./faces", "faces/*", "faces/**/*.png", "faces/../faces"])
def test_where_a_folder_is_mounted_and_how_it_is_spelled_is_nothing(tree, tmp_path, monkeypatch, named):
    other = tmp_path / "mnt" / "other" / "faces"
    shutil.copytree(tree, other)
    here, seen_here = shares([tree], 3)
    monkeypatch.chdir(other.parent)
    there, seen_there = shares([named], 3)
    names = [[{os.path.relpath(path, top) for path in files} for files in found] for found, top in
             ((here, tree), (there, other))]  # fmt: skip
    assert names[0] == names[1] and seen_here == seen_there


def test_a_list_has_the_names_of_its_lines(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tree)
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*.png"))
    (tmp_path / "list").write_bytes(b"\n".join(map(os.fsencode, names)))
    (tmp_path / "dots").write_bytes(b"\n".join(b"./" + os.fsencode(name) for name in names))
    plain, seen = shares([f"@{tmp_path}/list"], 5)
    assert shares([f"@{tmp_path}/dots"], 5)[1] == seen == shares(["."], 5)[1]
    assert [{*files} for files in plain] == [{path[2:] for path in files} for files in shares(["."], 5)[0]]


def test_a_file_that_is_named_twice_is_in_one_share(tree):
    file = str(tree / "deeper" / "01.png")
    for inputs in ([tree, tree / "deeper", file], [file, tree]):
        found, _ = shares(inputs, 4)
        assert len([path for files in found for path in files]) == 61


def test_a_shell_finds_the_same_share(tree):
    if shutil.which("b2sum") is None:
        pytest.skip("there is no b2sum")
    found, _ = shares([tree], 16)
    for name in ("00.png", "deeper/still/02.png", os.fsdecode(b"caf\xe9.png")):
        line = 'echo $((0x$(printf %s "$1" | b2sum -l 56 | cut -d" " -f1) % 16 + 1))'
        number = int(subprocess.check_output(["sh", "-c", line, "sh", name]))
        assert str(tree / name) in found[number - 1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tables_of_shares_have_the_rows_of_the_whole(tree, tmp_path, ended, suffix):
    assert ended(tree, "-o", tmp_path / f"whole{suffix}")[0] == 0
    rows = []
    for number in (1, 2, 3):
        out = tmp_path / f"{number}{suffix}"
        assert ended(tree, "-o", out, "--shard", f"{number}/3")[0] == 0
        rows += read(out)
        assert read_manifest(out).facts["found"]["files"] == 61
    by_path = sorted(rows, key=lambda row: row["path"])
    assert by_path == sorted(read(tmp_path / f"whole{suffix}"), key=lambda row: row["path"]) and len(rows) == 61


def test_a_share_without_a_file_is_an_empty_table_but_no_file_at_all_is_an_error(tmp_path, ended):
    (tmp_path / "faces").mkdir()
    status, _, error = ended(tmp_path / "faces", "-o", tmp_path / "out.csv", "--shard", "1/2")
    assert status == 2 and "no image in" in error
    save_shade(tmp_path / "faces" / "a.png", 7)
    outs = [tmp_path / f"{number}.csv" for number in (1, 2)]
    for number, out in enumerate(outs, 1):
        assert ended(tmp_path / "faces", "-o", out, "--shard", f"{number}/2")[0] == 0
    assert sorted(len(read(out)) for out in outs) == [0, 1]


def test_another_share_is_another_run(tree, tmp_path, ended):
    out = tmp_path / "out.csv"
    assert ended(tree, "-o", out, "--shard", "1/2", fail_at=2)[0] == 1
    for other, named in (([], "1/1"), (["--shard", "2/2"], "2/2"), (["--shard", "1/3"], "1/3")):
        status, _, error = ended(tree, "-o", out, "--resume", *other)
        assert status == 2 and f"it is of a run with shard '1/2', not '{named}'" in error
    status, _, error = ended(tree, "-o", out, "--resume", "--shard", "1/2")
    assert status == 0 and "kept from an earlier run" in error


def test_the_only_share_is_no_share(tree, tmp_path, ended):
    out = tmp_path / "out.csv"
    assert ended(tree, "-o", out, "--shard", "1/1")[0] == 0
    status, _, error = ended(tree, "-o", out, "--resume")
    assert status == 0 and "nothing was classified" in error


def test_a_resumed_share_knows_what_was_added_to_others(tree, tmp_path, ended):
    out, number = tmp_path / "out.csv", 0
    assert ended(tree, "-o", out, "--shard", "1/2")[0] == 0
    rows = read(out)
    while Shard("1/2").takes(f"new{number}.png"):
        number += 1
    save_shade(tree / f"new{number}.png", 9)
    assert ended(tree, "-o", out, "--shard", "1/2", "--resume")[0] == 0
    assert read(out) == rows and read_manifest(out).facts["found"]["files"] == 62


def test_a_share_is_the_same_from_whichever_folder_it_goes_on(tree, tmp_path, ended, monkeypatch):
    places = {place: [f"{place}{number:02}.png" for number in range(0, 60, 3)] for place in ("", "faces/", "../faces/")}
    named = {"named": places, "glob": {place: [f"{place}*.png"] for place in places}}
    for kind, inputs in named.items():
        monkeypatch.chdir(tmp_path)
        out = tmp_path / f"{kind}.csv"
        assert ended(*inputs["faces/"], "-o", out, "--shard", "1/2")[0] == 0
        rows, saw = read(out), read_manifest(out).facts["found"]
        assert 0 < len(rows) < 20
        for place in ("", "../faces/"):
            monkeypatch.chdir(tree)
            status, _, error = ended(*inputs[place], "-o", out, "--shard", "1/2", "--resume")
            assert status == 0 and "nothing was classified" in error and "not among the inputs" not in error
        assert read(out) == rows and read_manifest(out).facts["found"] == saw


def test_who_tries_failed_rows_again_has_not_seen_what_was_added(tree, tmp_path, ended):
    """The new files are in no table: merge would call shares whole that have not looked for them."""
    out = tmp_path / "out.csv"
    assert ended(tree, "-o", out, "--shard", "1/2")[0] == 0
    saw = read_manifest(out).facts["found"]
    for number in range(9):
        save_shade(tree / f"new{number}.png", number)
    assert ended(tree, "-o", out, "--shard", "1/2", "--retry-failed")[0] == 0
    assert read_manifest(out).facts["found"] == saw
    assert ended(tree, "-o", out, "--shard", "1/2", "--resume")[0] == 0
    assert read_manifest(out).facts["found"]["files"] == saw["files"] + 9


def test_python_has_shares_too(tree, tmp_path):
    with pytest.raises(ValueError, match="shard must be K/N"):
        classify_folder(tree, tmp_path / "out.csv", classifier=ShadeClassifier(), shard="3/2")
    paths = [row.path for n in (1, 2) for row in classify_rows(tree, ShadeClassifier(), shard=f"{n}/2")]
    assert sorted(paths) == sorted(ImageFiles([tree]))


def test_standard_output_takes_a_share(tree):
    command = [sys.executable, str(Path(__file__).parent / "shades.py"), "classify", str(tree), "-q", "--shard"]
    lines = [subprocess.check_output([*command, f"{number}/2"]).splitlines()[1:] for number in (1, 2)]
    assert len(lines[0]) + len(lines[1]) == 61 and not {*lines[0]} & {*lines[1]}

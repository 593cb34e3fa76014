"""`--resume` and `--retry-failed` as the command has them: what is kept, what is done again, what is refused."""

import csv
import os
import shutil

from command_runs import wait_for_rows
from shades import save_shade
from tables import read


def test_resume_with_another_threshold_is_refused(shades, tmp_path, ended):
    out = tmp_path / "out.csv"
    assert ended(shades, "-o", out, "--abstain", "0.9", fail_at=5)[0] == 1
    for other in ([], ["--abstain", "0.8"]):
        status, _, error = ended(shades, "-o", out, "--resume", *other)
        assert status == 2 and "with abstain 0.9, not " in error
    assert ended(shades, "-o", out, "--resume", "--abstain", ".90")[0] == 0
    assert out.read_text().count(",ok,") == 26 and out.read_text().count(",abstained,") == 74


def test_rows_are_called_as_the_first_were_however_often_a_run_goes_on(tmp_path, ended, monkeypatch):
    (tmp_path / "faces").mkdir()
    for number, (place, named) in enumerate([("", "faces"), ("faces", "."), ("", "./faces"), ("faces", "../faces")]):
        save_shade(tmp_path / "faces" / f"{number}.png", number)
        monkeypatch.chdir(tmp_path / place)
        assert ended(named, "-o", tmp_path / "out.csv", *(["--resume"] if number else []))[0] == 0
    assert [row["path"] for row in read(tmp_path / "out.csv")] == [f"faces/{number}.png" for number in range(4)]


def test_resume_from_another_folder_takes_no_rows_of_this_one(tmp_path, ended, monkeypatch):
    for name, shade in (("a", 10), ("b", 20)):
        (tmp_path / name / "faces").mkdir(parents=True)
        for number in range(40):
            save_shade(tmp_path / name / "faces" / f"{number}.png", shade)
    out = tmp_path / "out.csv"
    monkeypatch.chdir(tmp_path / "a")
    assert ended("faces", "-o", out, fail_at=5)[0] == 1
    monkeypatch.chdir(tmp_path / "b")
    status, _, error = ended("faces", "-o", out, "--resume")
    assert status == 2 and f"with inputs ['{tmp_path}/a/faces'], not ['{tmp_path}/b/faces']" in error
    status, _, error = ended("../a/./faces/", "-o", out, "--resume")
    assert status == 0 and "kept from an earlier run" in error
    lines = list(csv.DictReader(out.open()))
    assert sorted(line["path"] for line in lines) == sorted(f"faces/{number}.png" for number in range(40))
    assert {line["p_neutral"] for line in lines} == {f"{10 / 255:.6f}"}


def test_resume_of_a_finished_table_looks_at_model_inputs_files_and_rows(shades, tmp_path, ended):
    folder = tmp_path / "faces"
    shutil.copytree(shades, folder)
    out = tmp_path / "out.csv"
    assert ended(folder, "-o", out)[0] == 0
    status, _, error = ended(folder, "-o", out, "--resume")
    assert status == 0 and "101 of them kept from an earlier run: ok 100, unsupported 1" in error
    assert "nothing was classified" in error
    assert ended(folder, "-o", out, "--resume", "--strict")[0] == 1
    assert ended(folder, "-o", out, "--resume", "--model", "other")[0] == 2
    assert ended(tmp_path / "nowhere", "-o", out, "--resume")[0] == 2
    assert ended(shades, "-o", out, "--resume")[0] == 2
    save_shade(folder / "050-bad,\n.png", 50)
    save_shade(folder / "100.png", 100)
    status, _, error = ended(folder, "-o", out, "--resume", "--strict")
    assert status == 0 and "102 rows" in error and "1 file has changed since" in error
    out.write_text("junk")
    status, _, error = ended(folder, "-o", out, "--resume")
    assert status == 2 and "it was changed since it was written" in error


def test_what_failed_is_tried_again(shades, tmp_path, ended, monkeypatch):
    out, real = tmp_path / "out.csv", os.open

    def starved(path, *arguments, **options):
        if str(path).endswith("/007.png"):
            raise OSError(24, "Too many open files")
        return real(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", starved)
        status, _, error = ended(shades, "-o", out, "--strict")
    assert status == 1 and "failed 1" in error and "2 of 101 files have no prediction" in error
    status, _, error = ended(shades, "-o", out, "--retry-failed")
    assert status == 0 and "101 rows" in error and "100 of them kept" in error and "ok 100" in error
    assert ended(shades, "-o", tmp_path / "none.csv", "--retry-failed")[0] == 2


def test_a_failing_model_exits_with_one_and_keeps_the_rows(shades, tmp_path, ended):
    status, _, error = ended(shades, "-o", tmp_path / "out.csv", fail_at=5)
    assert status == 1 and error == "fer-fast: the model failed on a batch of 4 images: out of memory\n"
    assert (tmp_path / "out.csv.partial").exists() and not (tmp_path / "out.csv").exists()
    status, _, error = ended(shades, "-o", tmp_path / "out.csv")
    assert status == 2 and "unfinished run" in error and "--resume" in error
    status, _, error = ended(shades, "-o", tmp_path / "out.csv", "--resume", "--model", "other")
    assert status == 2 and "with model 'fast fp32', not 'other fp32'" in error
    assert ended(shades, "-o", tmp_path / "out.csv", "--resume")[0] == 0


def test_two_runs_on_one_table(shades, tmp_path, ended, start):
    first = start(shades, "-o", tmp_path / "out.csv", SHADE_DELAY=300)
    wait_for_rows(tmp_path / "out.csv", first, 0)
    for options in ([], ["--resume"]):
        status, _, error = ended(shades, "-o", tmp_path / "out.csv", *options)
        assert status == 2 and "another run is writing" in error
    first.kill()
    first.communicate()
    assert ended(shades, "-o", tmp_path / "out.csv", "--resume")[0] == 0

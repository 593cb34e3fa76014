"""`fer-fast classify`: what it says, its exit statuses, and what it refuses before there is work."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import ENVIRONMENT
from shades import save_shade

from fer_fast import __version__
from fer_fast.cli import run


def test_a_table_on_standard_output_and_a_summary_on_standard_error(shades, ended):
    status, out, error = ended(shades)
    lines = list(csv.DictReader(io.StringIO(out, newline="")))
    assert status == 0 and len(lines) == 101
    assert [round(float(line["p_neutral"]) * 255) for line in lines if line["status"] == "ok"] == list(range(100))
    assert "101 rows: ok 100, unsupported 1" in error and "labels: happiness 100" in error
    assert "images/s; model fast fp32, engine shade" in error and "busy: decode" in error


def test_quiet_says_nothing_and_strict_exits_with_one(shades, tmp_path, ended):
    assert ended(shades, "--quiet", "-o", tmp_path / "out.csv") == (0, "", "")
    assert ended(shades / "000.png", "--strict", "--quiet")[0] == 0
    status, _, error = ended(shades, "--strict", "--quiet", "-o", tmp_path / "out.csv")
    assert (status, error) == (1, "fer-fast: --strict: 1 of 101 files has no prediction\n")


def test_abstained_files_have_no_label_and_no_fault(shades, ended):
    inputs = [shades / f"{number:03}.png" for number in (0, 50, 51, 52)]  # p_happiness 1, 0.803922, 0.8, 0.796078
    status, out, error = ended(*inputs, "--abstain", "0.8", "--strict")
    lines = list(csv.DictReader(io.StringIO(out, newline="")))
    assert status == 0 and [line["status"] for line in lines] == ["ok"] * 3 + ["abstained"]
    assert [line["label"] for line in lines] == ["happiness"] * 3 + [""] and lines[3]["p_happiness"] == "0.796078"
    assert "4 rows: ok 3, abstained 1\n" in error and "labels: happiness 3\n" in error
    status, _, error = ended(shades, "--abstain", "1", "--strict", "--quiet")
    assert (status, error) == (1, "fer-fast: --strict: 1 of 101 files has no prediction\n")


def test_a_list_is_not_replaced_by_the_table(shades, tmp_path, ended):
    names = tmp_path / "names.csv"
    names.write_text(f"{shades}/000.png\n")
    status, _, error = ended(f"@{names}", "-o", names)
    assert status == 2 and "is the input" in error and names.read_text() == f"{shades}/000.png\n"


def test_files_that_are_left_out_are_counted(shades, tmp_path, ended):
    for name in ("one.txt", "two.txt", "README", "a.cr2"):
        (tmp_path / name).touch()
    save_shade(tmp_path / "face.png", 3)
    _, _, error = ended(tmp_path)
    assert "4 files in the folders are not called as images are: .txt 2, " in error and "no suffix 1" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "'nowhere' does not exist"),
        (["{}", "nowhere"], "'nowhere' does not exist"),
        (["@nowhere"], "the list 'nowhere' is not a file"),
        (["{}/*.tiff"], "nothing matches"),
        (["{}", "-o", "out.xls"], "must end in .csv, .jsonl or .parquet"),
        (["{}", "-o", "nowhere/out.csv"], "does not exist"),
        (["{}", "--resume"], "--resume needs the table's file"),
        (["{}", "--retry-failed"], "--retry-failed needs the table's file"),
    ],
)
def test_the_callers_fault_is_one_sentence_and_two(shades, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "fer_fast.classifier", None)  # refused before anything heavy is imported
    assert run(["classify", *(argument.format(shades) for argument in arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("fer-fast: ") and message in shown.err
    assert shown.err.count("\n") == 1 and not list(tmp_path.iterdir())


def test_a_folder_without_images_is_one_sentence_and_two(tmp_path, capsys):
    assert run(["classify", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"fer-fast: no image in '{tmp_path}'\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["classify"],
        ["--nonsense"],
        ["paint"],
        ["classify", ".", "--workers", "0"],
        ["classify", ".", "--batch-size", "many"],
        ["classify", ".", "--decoder", "magic"],
        ["classify", ".", "--abstain", "x"],
        ["classify", ".", "--abstain", "2"],
        ["classify", ".", "--abstain", "-0.1"],
        ["classify", ".", "--abstain", "nan"],
        ["classify", ".", "--abstain"],
        ["classify", ".", "--stall-timeout", "-1"],
        ["classify", ".", "--stall-timeout", "nan"],
    ],
)
def test_wrong_arguments_are_two(arguments, capsys):
    with pytest.raises(SystemExit) as ended_with:
        run(arguments)
    assert ended_with.value.code == 2 and "usage: fer-fast" in capsys.readouterr().err


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended_with:
        run(["--version"])
    assert ended_with.value.code == 0 and capsys.readouterr().out == f"fer-fast {__version__}\n"
    assert f'version = "{__version__}"' in (Path(__file__).parents[1] / "pyproject.toml").read_text()


def test_nothing_heavy_is_imported_before_there_is_work():
    code = "import sys, fer_fast, fer_fast.cli, fer_fast.cli.classify\nprint([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    modules = json.loads(done.stdout.replace("'", '"'))
    assert not {"torch", "openvino", "numpy", "PIL", "pyarrow", "tqdm"} & set(modules)


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "fer_fast", "classify", "nowhere"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert (done.returncode, done.stderr) == (2, "fer-fast: 'nowhere' does not exist\n")

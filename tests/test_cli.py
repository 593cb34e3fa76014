"""The command runs in processes of its own, is killed, interrupted and starved; its tables must stay whole."""

import csv
import fcntl
import io
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from shades import ShadeClassifier, save_shade

from fer_fast import __version__
from fer_fast.cli import run
from fer_fast.table.file_table import rows_on_disk

HERE = Path(__file__).parent
COMMAND = [sys.executable, str(HERE / "shades.py"), "classify"]  # the real command but for the model
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "faces"
    folder.mkdir()
    for number in range(100):
        save_shade(folder / f"{number:03}.png", number)
    (folder / "050-bad,\n.png").write_text("no image")
    return folder


started = []


def hear_interrupts():
    """A test run in the background, or under nohup, ignores signals, and what it starts would, too."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(*arguments, **settings):
    environment = {**ENVIRONMENT, "SHADE_PART_SECONDS": "0", **{key: str(value) for key, value in settings.items()}}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    started.append(subprocess.Popen([*COMMAND, *map(str, arguments)], preexec_fn=hear_interrupts, **options))
    return started[-1]


@pytest.fixture(autouse=True)
def no_process_outlives_its_test():
    yield
    while started:
        process = started.pop()
        process.kill()
        process.communicate()


@pytest.fixture
def ended(monkeypatch, capsys):
    """Runs the command in this process; gives its status, output and errors."""

    def ended(*arguments, **options):
        monkeypatch.setattr("fer_fast.pipeline.run._open", lambda given: ShadeClassifier(**given, **options))
        status = run(["classify", *map(str, arguments)])
        return status, *capsys.readouterr()

    return ended


def wait_for_rows(out, process, rows):
    """Waits until so many rows are in finished parts; with 0 until the run has its folder."""
    while not (out.with_name(f"{out.name}.partial") / "manifest.json").exists() or rows_on_disk(out) < rows:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


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
    assert (status, error) == (1, "fer-fast: --strict: 1 of 101 files have no prediction\n")


def test_abstained_files_have_no_label_and_no_fault(shades, ended):
    inputs = [shades / f"{number:03}.png" for number in (0, 50, 51, 52)]  # p_happiness 1, 0.803922, 0.8, 0.796078
    status, out, error = ended(*inputs, "--abstain", "0.8", "--strict")
    lines = list(csv.DictReader(io.StringIO(out, newline="")))
    assert status == 0 and [line["status"] for line in lines] == ["ok"] * 3 + ["abstained"]
    assert [line["label"] for line in lines] == ["happiness"] * 3 + [""] and lines[3]["p_happiness"] == "0.796078"
    assert "4 rows: ok 3, abstained 1\n" in error and "labels: happiness 3\n" in error
    status, _, error = ended(shades, "--abstain", "1", "--strict", "--quiet")
    assert (status, error) == (1, "fer-fast: --strict: 1 of 101 files have no prediction\n")


def test_resume_with_another_threshold_is_refused(shades, tmp_path, ended):
    out = tmp_path / "out.csv"
    assert ended(shades, "-o", out, "--abstain", "0.9", fail_at=5)[0] == 1
    for other in ([], ["--abstain", "0.8"]):
        status, _, error = ended(shades, "-o", out, "--resume", *other)
        assert status == 2 and "with abstain 0.9, not " in error
    assert ended(shades, "-o", out, "--resume", "--abstain", ".90")[0] == 0
    assert out.read_text().count(",ok,") == 26 and out.read_text().count(",abstained,") == 74


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_killed_and_resumed_gives_the_table_of_an_undisturbed_run(shades, tmp_path, ended, suffix):
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    assert ended(shades, "-o", whole)[0] == 0
    for rows in (10, 45) if suffix == ".csv" else (30,):
        process = start(shades, "-o", out, *(["--resume"] if rows == 45 else []), SHADE_DELAY=0.02)
        wait_for_rows(out, process, rows)
        process.kill()
        process.communicate()
        assert not out.exists()
        (tmp_path / f"out{suffix}.partial" / "writing").write_bytes(b"half a part")
    status, _, error = ended(shades, "-o", out, "--resume")
    assert status == 0 and "kept from an earlier run" in error
    assert out.read_bytes() == whole.read_bytes()
    left = [out.name, f"{out.name}.manifest", whole.name, f"{whole.name}.manifest"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)


def test_ctrl_c_stops_with_130_and_can_be_resumed(shades, tmp_path, ended):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, SHADE_DELAY=0.05)
    wait_for_rows(out, process, 8)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and "rows are kept, go on with --resume" in error
    assert "Traceback" not in error and error.count("\n") == 1
    assert ended(shades, "-o", out, "--resume")[0] == 0
    assert out.read_text().count("ok,") == 100


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_batch_schedulers_signal_stops_as_ctrl_c_does(shades, tmp_path, ended, number, status):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, SHADE_DELAY=0.05)
    wait_for_rows(out, process, 8)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == status and error.count("\n") == 1
    kept = int(re.fullmatch(r"fer-fast: interrupted; (\d+) rows are kept, go on with --resume\n", error)[1])
    assert kept == rows_on_disk(out) >= 8
    assert ended(shades, "-o", out, "--resume")[0] == 0 and out.read_text().count("ok,") == 100


def test_a_signal_that_is_ignored_stays_so(shades):
    command = f"trap '' HUP; exec {' '.join(COMMAND)} {shades} --quiet"
    process = subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, env={**ENVIRONMENT, "SHADE_DELAY": "0.02"}, text=True
    )
    started.append(process)
    assert process.stdout.readline().startswith("path,")
    process.send_signal(signal.SIGHUP)
    assert process.stdout.read().count("\n") == 102 and process.wait(timeout=30) == 0


def test_an_interrupt_counts_rows_of_the_last_part(shades, tmp_path, ended):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, SHADE_DELAY=0.2, SHADE_PART_SECONDS=60)
    wait_for_rows(out, process, 0)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143 and rows_on_disk(out) > 0


def test_a_model_that_hangs_ends_the_run_with_stacks_and_rows(shades, tmp_path, ended):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, "--stall-timeout", "1", SHADE_HANG="model")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "in predict_batch" in error and "thread MainThread:" in error
    last = error.splitlines()[-1]
    assert last.startswith("fer-fast: the next batch has not come for 1 seconds: the run has stalled; ")
    assert last.endswith(f"{rows_on_disk(out)} rows are kept, go on with --resume") and rows_on_disk(out) >= 12
    assert ended(shades, "-o", out, "--resume")[0] == 0 and out.read_text().count("ok,") == 100


@pytest.mark.needs_native
def test_a_library_that_keeps_python_from_running_ends_the_run_too(shades, tmp_path, ended):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, "--stall-timeout", "1", SHADE_HANG="python", SHADE_DELAY=0.05)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "in predict_batch" in error and error.count("Thread 0x") >= 3
    assert rows_on_disk(out) >= 8
    assert ended(shades, "-o", out, "--resume")[0] == 0 and out.read_text().count("ok,") == 100


def test_a_signal_while_the_model_hangs_keeps_the_rows_and_ends(shades, tmp_path):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, SHADE_HANG="model", SHADE_PART_SECONDS=60)
    wait_for_rows(out, process, 0)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 143 and rows_on_disk(out) >= 12
    assert f"interrupted; {rows_on_disk(out)} rows are kept" in error


@pytest.mark.needs_native
def test_a_disk_that_hangs_ends_the_run(shades, tmp_path):
    code = "import ctypes, os, shades; os.fsync = lambda _: ctypes.CDLL(None).sleep(600); shades.main()"
    command = [sys.executable, "-c", code, "classify", str(shades), "-o", str(tmp_path / "out.csv")]
    command += ["--stall-timeout", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("fer-fast: nothing has happened for too long: the run ends; what threads do:\n")
    assert "in write_whole" in done.stderr


@pytest.mark.parametrize("seconds", ["0", "1e11", "1e300"])
def test_a_stall_timeout_may_be_as_long_as_one_likes(shades, tmp_path, ended, seconds):
    assert ended(shades, "-q", "-o", tmp_path / "out.csv", "--stall-timeout", seconds)[0] == 0


def test_an_interrupt_while_a_list_pauses_keeps_what_is_classified(shades, tmp_path):
    out = tmp_path / "out.csv"
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "-", "-o", str(out), "-q"], stdin=reader, env=ENVIRONMENT, preexec_fn=hear_interrupts
    )
    started.append(process)
    os.close(reader)
    os.write(writer, "".join(f"{shades}/{number:03}.png\n" for number in range(26)).encode() + b"x" * 70_000)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    os.close(writer)
    assert rows_on_disk(out) == 24, "all that filled a batch"


def test_a_signal_at_any_moment_of_the_start_is_no_error(shades, tmp_path):
    for milliseconds in range(30, 330, 20):
        process = start(shades, "-o", tmp_path / "out.csv", "-q", "--resume", SHADE_DELAY=0.1)
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=30)
        # Python itself ends by the signal until the command has said what to do with it.
        assert process.returncode in (143, -signal.SIGTERM) and "Traceback" not in error, error


@pytest.mark.parametrize(
    ("closed", "arguments", "status", "said"),
    [
        (">&-", "{}", 2, "standard output is closed: add -o OUT"),
        ("<&-", "-", 2, "standard input is closed: there is no list to read"),
        ("2>&-", "{}", 0, ""),
        ("2>&-", "nowhere", 2, ""),
        (">&-", "{} -o out.csv", 0, "101 rows in out.csv"),
        ("2>&-", "{} -o out2.csv", 0, ""),
    ],
)
def test_closed_standard_streams_are_told_of_or_do_no_harm(shades, tmp_path, closed, arguments, status, said):
    line = f"exec {' '.join(COMMAND)} {arguments.format(shades)} {closed}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert done.returncode == status and said in done.stderr and "Traceback" not in done.stderr
    if closed == "2>&-" and arguments == "{}":
        assert done.stdout.count("\n") == 103  # a name holds a line end


def test_who_does_not_read_standard_error_changes_no_status(shades, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, str(shades), "-o", str(tmp_path / "out.csv")], stderr=writer, env=ENVIRONMENT)
    os.close(writer)
    assert done.returncode == 0 and (tmp_path / "out.csv").exists()


def test_a_list_is_not_replaced_by_the_table(shades, tmp_path, ended):
    names = tmp_path / "names.csv"
    names.write_text(f"{shades}/000.png\n")
    status, _, error = ended(f"@{names}", "-o", names)
    assert status == 2 and "is the input" in error and names.read_text() == f"{shades}/000.png\n"


def test_a_reader_that_pauses_is_no_stall(shades):
    process = start(shades, "--stall-timeout", "0.3", "--quiet", SHADE_DELAY=0)
    assert process.stdout.readline().startswith("path,")
    time.sleep(1)
    assert process.stdout.read().count("\n") == 102 and process.wait(timeout=30) == 0


def test_a_list_that_pauses_is_no_stall(shades):
    slow = f"(echo {shades}/000.png; sleep 1; echo {shades}/001.png) | {' '.join(COMMAND)} - --stall-timeout 0.3 -q"
    done = subprocess.run(["bash", "-c", slow], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout.count(",ok,") == 2


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
    assert status == 0 and "102 rows" in error and "1 files have changed since" in error
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


def test_files_that_are_left_out_are_counted(shades, tmp_path, ended):
    for name in ("one.txt", "two.txt", "README", "a.cr2"):
        (tmp_path / name).touch()
    save_shade(tmp_path / "face.png", 3)
    _, _, error = ended(tmp_path)
    assert "4 files in the folders are not called as images are: .txt 2, " in error and "no suffix 1" in error


def test_a_second_ctrl_c_does_not_wait_for_the_model(shades, tmp_path):
    process = start(shades, "-o", tmp_path / "out.csv", SHADE_DELAY=300)
    wait_for_rows(tmp_path / "out.csv", process, 0)
    time.sleep(0.3)  # into the model, which one Ctrl-C would wait for
    for _ in range(100):
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=0.3)
            break
        except subprocess.TimeoutExpired:  # a busy machine takes two signals for one
            continue
    assert process.returncode == 130


def test_a_reader_that_goes_away_ends_the_run_quietly(shades):
    process = start(shades, "--quiet", SHADE_DELAY=0.01)
    assert process.stdout.readline().startswith("path,")
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(timeout=30) == 141 and error == ""
    process.stderr.close()


def test_a_full_disk_behind_standard_output_is_one_sentence(shades):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, str(shades)], stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert done.returncode == 1
    assert done.stderr == "fer-fast: the output cannot be written: No space left on device\n"


def test_a_failing_model_exits_with_one_and_keeps_the_rows(shades, tmp_path, ended):
    status, _, error = ended(shades, "-o", tmp_path / "out.csv", fail_at=5)
    assert status == 1 and error == "fer-fast: the model failed on a batch of 4 images: out of memory\n"
    assert (tmp_path / "out.csv.partial").exists() and not (tmp_path / "out.csv").exists()
    status, _, error = ended(shades, "-o", tmp_path / "out.csv")
    assert status == 2 and "unfinished run" in error and "--resume" in error
    status, _, error = ended(shades, "-o", tmp_path / "out.csv", "--resume", "--model", "other")
    assert status == 2 and "with model 'fast fp32', not 'other fp32'" in error
    assert ended(shades, "-o", tmp_path / "out.csv", "--resume")[0] == 0


def test_two_runs_on_one_table(shades, tmp_path, ended):
    first = start(shades, "-o", tmp_path / "out.csv", SHADE_DELAY=300)
    wait_for_rows(tmp_path / "out.csv", first, 0)
    for options in ([], ["--resume"]):
        status, _, error = ended(shades, "-o", tmp_path / "out.csv", *options)
        assert status == 2 and "another run is writing" in error
    first.kill()
    first.communicate()
    assert ended(shades, "-o", tmp_path / "out.csv", "--resume")[0] == 0


def test_lists_from_standard_input(shades):
    names = b"\0".join(os.fsencode(path) for path in sorted(shades.iterdir())) + b"\0missing.jpg\0"
    done = subprocess.run([*COMMAND, "-"], input=names, capture_output=True, env=ENVIRONMENT, check=True)
    lines = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    assert len(lines) == 102 and (lines[-1]["path"], lines[-1]["status"]) == ("missing.jpg", "unreadable")


def test_a_terminal_shows_a_bar_with_the_total(shades, tmp_path):
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, str(shades), "-o", str(tmp_path / "out.csv")],
        stderr=writer,
        env={**ENVIRONMENT, "SHADE_DELAY": "0.05"},
    )
    os.close(writer)
    shown = b""
    try:
        while block := os.read(reader, 4096):
            shown += block
    except OSError:  # the terminal is closed
        pass
    os.close(reader)
    assert process.wait(timeout=30) == 0
    assert b"/101 [" in shown and b"images/s" in shown


def test_a_terminal_shows_no_traceback_of_a_wrong_input(tmp_path):
    reader, writer = pty.openpty()
    process = subprocess.Popen([*COMMAND, "nowhere"], stderr=writer, env=ENVIRONMENT)
    os.close(writer)
    shown = b""
    try:
        while block := os.read(reader, 4096):
            shown += block
    except OSError:
        pass
    os.close(reader)
    assert process.wait(timeout=30) == 2 and b"'nowhere' does not exist" in shown and b"Traceback" not in shown


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
    assert f'version = "{__version__}"' in (HERE.parent / "pyproject.toml").read_text()


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

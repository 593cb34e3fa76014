"""What hangs, a model, a library or a disk, ends the command with its rows kept; who merely pauses does not."""

import subprocess
import sys
import time

import pytest
from command_runs import COMMAND, ENVIRONMENT
from shades import LAST_ANSWERED

from fer_fast.table.file_table import rows_on_disk


def test_a_model_that_hangs_ends_the_run_with_stacks_and_rows(shades, tmp_path, ended, start):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, "--stall-timeout", "2", SHADE_HANG="model")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "in predict_batch" in error and "thread MainThread:" in error
    last = error.splitlines()[-1]
    assert last.startswith("fer-fast: the next batch has not come for 2 seconds: the run has stalled; ")
    assert last.endswith(f"{LAST_ANSWERED + 1} rows are kept, go on with --resume")
    assert rows_on_disk(out) == LAST_ANSWERED + 1
    assert ended(shades, "-o", out, "--resume")[0] == 0 and out.read_text().count("ok,") == 100


@pytest.mark.needs_native
def test_a_library_that_keeps_python_from_running_ends_the_run_too(shades, tmp_path, ended, start):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, "--stall-timeout", "2", SHADE_HANG="python", SHADE_OUT=out, SHADE_DELAY=0.05)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "in predict_batch" in error and error.count("Thread 0x") >= 3
    assert rows_on_disk(out) >= 9
    assert ended(shades, "-o", out, "--resume")[0] == 0 and out.read_text().count("ok,") == 100


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


def test_a_reader_that_pauses_is_no_stall(shades, start):
    process = start(shades, "--stall-timeout", "1", "--quiet", SHADE_DELAY=0)
    assert process.stdout.readline().startswith("path,")
    time.sleep(2)
    assert process.stdout.read().count("\n") == 102 and process.wait(timeout=30) == 0


def test_a_list_that_pauses_is_no_stall(shades):
    slow = f"(echo {shades}/000.png; sleep 2; echo {shades}/001.png) | {' '.join(COMMAND)} - --stall-timeout 1 -q"
    done = subprocess.run(["bash", "-c", slow], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout.count(",ok,") == 2

"""The command is killed, interrupted and terminated at any moment; its tables stay whole and can be resumed."""

import os
import re
import signal
import subprocess
import time

import pytest
from command_runs import wait_for_batches, wait_for_rows
from shades import LAST_ANSWERED, ShadeClassifier

from fer_fast.table.file_table import rows_on_disk


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_killed_and_resumed_gives_the_table_of_an_undisturbed_run(shades, tmp_path, ended, suffix, start):
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    assert ended(shades, "-o", whole)[0] == 0
    for rows in (10, 45) if suffix == ".csv" else (30,):
        process = start(shades, "-o", out, *(["--resume"] if rows == 45 else []), SHADE_DELAY=0.15)
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


def test_ctrl_c_stops_with_130_and_can_be_resumed(shades, tmp_path, ended, start):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, SHADE_DELAY=0.3)
    wait_for_rows(out, process, 8)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and "rows are kept, go on with --resume" in error
    assert "Traceback" not in error and error.count("\n") == 1
    assert ended(shades, "-o", out, "--resume")[0] == 0
    assert out.read_text().count("ok,") == 100


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_batch_schedulers_signal_stops_as_ctrl_c_does(shades, tmp_path, ended, number, status, start):
    out = tmp_path / "out.csv"
    process = start(shades, "-o", out, SHADE_DELAY=0.3)
    wait_for_rows(out, process, 8)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == status and error.count("\n") == 1
    kept = int(re.fullmatch(r"fer-fast: interrupted; (\d+) rows are kept, go on with --resume\n", error)[1])
    assert kept == rows_on_disk(out) >= 8
    assert ended(shades, "-o", out, "--resume")[0] == 0 and out.read_text().count("ok,") == 100


def test_a_signal_that_is_ignored_stays_so(shades, start):
    process = start(shades, "-q", prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN), SHADE_DELAY=0.1)
    assert process.stdout.readline().startswith("path,")
    process.send_signal(signal.SIGHUP)
    assert process.stdout.read().count("\n") == 102 and process.wait(timeout=30) == 0


def test_an_interrupt_counts_rows_of_the_last_part(shades, tmp_path, ended, start):
    out, tells = tmp_path / "out.csv", tmp_path / "tells"
    process = start(shades, "-o", out, SHADE_DELAY=0.2, SHADE_PART_SECONDS=60, SHADE_TELLS=tells)
    wait_for_batches(tells, process, "answered", 3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143 and rows_on_disk(out) > 0


def test_a_signal_while_the_model_hangs_keeps_the_rows_and_ends(shades, tmp_path, start):
    out, tells = tmp_path / "out.csv", tmp_path / "tells"
    process = start(shades, "-o", out, SHADE_HANG="model", SHADE_PART_SECONDS=60, SHADE_TELLS=tells)
    wait_for_batches(tells, process, "begun", 7)  # the last two in the model's two threads, which hang
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    kept = (LAST_ANSWERED + 1 - ShadeClassifier.batch_size, LAST_ANSWERED + 1)  # the last answer may not be taken yet
    assert process.returncode == 143 and rows_on_disk(out) in kept
    assert f"interrupted; {rows_on_disk(out)} rows are kept" in error


def test_an_interrupt_while_a_list_pauses_keeps_what_is_classified(shades, tmp_path, start):
    out, tells = tmp_path / "out.csv", tmp_path / "tells"
    reader, writer = os.pipe()
    process = start("-", "-o", out, "-q", stdin=reader, SHADE_TELLS=tells)
    os.close(reader)
    os.write(writer, "".join(f"{shades}/{number:03}.png\n" for number in range(26)).encode() + b"x" * 70_000)
    wait_for_batches(tells, process, "answered", 7)
    time.sleep(0.5)  # for the run to take it
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    os.close(writer)
    assert rows_on_disk(out) == 25, "the first, and all that filled a batch"


def test_a_signal_at_any_moment_of_the_start_is_no_error(shades, tmp_path, start):
    for milliseconds in range(30, 330, 20):
        # A table of its own, and answers so slow that no run comes to its end, however late the signal is.
        process = start(shades, "-o", tmp_path / f"{milliseconds}.csv", "-q", "--resume", SHADE_DELAY=0.3)
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=30)
        # Python itself ends by the signal until the command has said what to do with it.
        assert process.returncode in (143, -signal.SIGTERM) and "Traceback" not in error, error


def test_a_second_ctrl_c_does_not_wait_for_the_model(shades, tmp_path, start):
    tells = tmp_path / "tells"
    process = start(shades, "-o", tmp_path / "out.csv", SHADE_DELAY=300, SHADE_TELLS=tells)
    wait_for_batches(tells, process, "begun", 1)  # one Ctrl-C would wait for it
    for _ in range(100):
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=0.3)
            break
        except subprocess.TimeoutExpired:  # a busy machine takes two signals for one
            continue
    assert process.returncode == 130

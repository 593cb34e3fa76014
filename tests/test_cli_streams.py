"""The command's standard streams: closed, full, read by nobody, a list, a terminal."""

import csv
import fcntl
import io
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from command_runs import COMMAND, ENVIRONMENT
from shades import save_shade

from fer_fast.table.records import path_of


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


def test_a_reader_that_goes_away_ends_the_run_quietly(shades, start):
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


def test_names_that_would_print_alike_are_two_rows(tmp_path):
    """A byte that is not UTF-8, and the four characters of its escape: from a folder, and from a list of either."""
    folder, out = tmp_path / "faces", tmp_path / "out.csv"
    folder.mkdir()
    paths = [os.fsdecode(os.fsencode(folder) + name) for name in (b"/\\xff.png", b"/\xff.png")]
    for number, path in enumerate(paths):
        save_shade(path, 100 * number)
    listed = b"\0".join(map(os.fsencode, paths)) + b"\0"
    for arguments in ([str(folder)], ["-"], ["-", "--resume"]):
        if "--resume" not in arguments:
            out.unlink(missing_ok=True)
            Path(f"{out}.manifest").unlink(missing_ok=True)
        done = subprocess.run(
            [*COMMAND, *arguments, "-o", str(out)], input=listed, capture_output=True, env=ENVIRONMENT, timeout=60
        )
        assert done.returncode == 0, done.stderr
        rows = list(csv.DictReader(out.open(newline="", encoding="utf-8")))
        assert [(path_of(row["path"]), row["p_neutral"]) for row in rows] == [
            (paths[0], "0.000000"),
            (paths[1], f"{100 / 255:.6f}"),
        ]
    assert b"2 of them kept from an earlier run" in done.stderr

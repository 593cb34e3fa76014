"""How far a command is, on a terminal that is a file here."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

from fer_fast.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def lines(self):
        """What has stood in the line, in order."""
        return [line.rstrip() for line in re.split(r"[\r\n]", self.getvalue()) if line.strip()]


@pytest.fixture
def screen(monkeypatch):
    """Makes standard error a terminal; in the test itself, since pytest takes it back between the phases."""

    def screen(stream=None):
        stream = stream or Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return screen


def test_a_bar_counts_and_gets_its_end_when_it_is_known(screen):
    terminal = screen()
    with Progress() as progress:
        progress.update(3, 3)
        time.sleep(0.11)  # it is drawn ten times a second
        progress.update(6, 3)
        counter = threading.Thread(target=progress.expect, args=(24,))
        counter.start()
        counter.join()
        time.sleep(0.11)
        progress.update(18, 12)
    lines = terminal.lines()
    assert any(line.startswith("6 images") for line in lines)
    assert any("75%" in line and "18/24" in line for line in lines)
    assert progress.done == 18


def test_a_note_stands_behind_the_bar(screen):
    terminal = screen()
    with Progress() as progress:
        progress.note("nobody sees it before there is one")
        progress.update(3, 3)
        progress.note("film.mkv 0:12:40")
    assert "film.mkv 0:12:40" in terminal.getvalue() and "nobody" not in terminal.getvalue()


def test_the_rate_leaves_out_what_an_earlier_run_did(screen):
    screen()
    with Progress() as progress:
        progress.update(1003, 3)
        assert progress._bar.initial == 1000
        assert progress._bar.n == 1003


def test_a_line_says_what_is_done_now_and_is_taken_away(screen):
    terminal = screen()
    with Progress() as progress:
        progress.show("reading \udcff\n faces")
        progress.show("scoring")
    assert terminal.lines() == ["reading \\udcff\\n faces", "scoring"]
    assert terminal.getvalue().endswith("\r")  # the next line of text begins at the left


def test_the_line_comes_back_after_it_was_taken_away(screen):
    terminal = screen()
    progress = Progress()
    progress.show("one")
    progress.close()
    progress.close()
    progress.show("two")
    progress.close()
    assert terminal.lines() == ["one", "two"]


@pytest.mark.parametrize("quiet", [False, True])
def test_nothing_is_shown_without_a_terminal_or_in_quiet(screen, quiet):
    stream = screen(Terminal() if quiet else io.StringIO())
    with Progress(quiet) as progress:
        progress.update(3, 3)
        progress.expect(4)
        progress.show("doing")
    assert (stream.getvalue(), progress.shown, progress.done) == ("", False, 3)


def test_a_real_terminal_is_left_with_an_empty_line():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    program = "from fer_fast.cli.progress import Progress\nwith Progress() as p: p.show('x' * 300)"
    subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
    shown = os.read(ours, 65536).decode()
    os.close(theirs)
    os.close(ours)
    assert "xxx" in shown
    assert "\n" not in shown
    assert shown.rpartition("x")[2].strip("\r\x1b[KA ") == ""

"""Decoding in processes gives what threads would give, whatever a program does to itself and to its machine."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest
from decoding import pids, running, until, written
from image_files import encoded
from PIL import Image

import fer_fast
from fer_fast.decode import process, processes, worker
from fer_fast.decode.limits import limits_of
from fer_fast.decode.pillow import PillowDecoder
from fer_fast.decode.views import Square
from fer_fast.types import FerFastError

SIDE = 24


class Name(str):
    """A str of a program's own."""


def opened(workers=1, after=0):
    return PillowDecoder(SIDE, workers, processes_after=after)


def descriptors():
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.fixture
def face(tmp_path):
    path = tmp_path / "face.png"
    Image.new("L", (9, 9), 70).save(path)
    return str(path)


@pytest.mark.parametrize("kind", [np.str_, Name])
def test_a_path_may_be_a_str_of_any_class(face, kind):
    with opened() as decoder:
        before = pids(running(decoder, 1))
        assert decoder.decode([kind(face)] * 3).pixels.max() == 70
        assert pids(decoder) == before


def test_what_cannot_be_packed_is_not_taken_for_a_broken_process(face):
    with opened() as decoder:
        running(decoder, 1)
        with pytest.raises(ValueError, match="unmarshallable"):
            decoder._processes.decode([Name(face)], Square(SIDE), np.empty((1, SIDE, SIDE, 3), np.uint8))


def test_a_relative_path_leads_nowhere_from_a_folder_that_is_gone(tmp_path, face, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(tmp_path)
    with opened() as decoder:
        assert running(decoder, 1).decode(["face.png"]).indices == [0]
        monkeypatch.chdir(gone)
        gone.rmdir()
        decoded = decoder.decode(["face.png", face])
        assert decoded.indices == [1]
        assert str(decoded.failures[0][1]) == "No such file or directory"
        os.chdir(tmp_path)
        assert decoder.decode(["face.png"]).indices == [0]


def test_a_process_goes_on_when_its_own_folder_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(worker.os, "chdir", lambda folder: went.append(folder))
    went = []
    assert worker._is_in(str(tmp_path))
    assert went == [str(tmp_path)]


def test_a_folder_that_a_process_cannot_go_to_costs_no_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with opened() as decoder:
        running(decoder, 1)
        for _ in range(22):  # longer than a path may be
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        Image.new("L", (9, 9), 70).save("face.png")
        assert decoder.decode(["face.png"]).pixels.max() == 70


def test_a_link_to_this_process_own_file_is_read_here(tmp_path, face):
    descriptor = os.open(face, os.O_RDONLY)
    link = tmp_path / "link.png"
    link.symlink_to(f"/proc/self/fd/{descriptor}")
    try:
        with opened() as decoder:
            assert running(decoder, 1).decode([face, str(link), "/nowhere"]).indices == [0, 1]
    finally:
        os.close(descriptor)


def test_no_process_takes_the_last_descriptors(face, monkeypatch, caplog):
    few = descriptors() + 50
    with opened(2) as decoder:
        monkeypatch.setattr(processes.resource, "getrlimit", lambda _: (few, few))
        assert decoder.decode([face] * 9).indices == [*range(9)]
        until(lambda: f"of {few} files that may be open" in caplog.text)
        assert not decoder._processes._all


def test_files_whose_process_cannot_be_replaced_are_decoded_by_threads(face, monkeypatch):
    with opened() as decoder:
        (pid,) = pids(running(decoder, 1))
        monkeypatch.setattr(processes.resource, "getrlimit", lambda _: (9, 9))
        os.kill(pid, signal.SIGKILL)
        assert decoder.decode([face] * 9).indices == [*range(9)]


def test_processes_that_leave_cost_no_row_and_are_given_up(face, monkeypatch, caplog):
    program = process._PROGRAM.replace("\nmain()", "\nimport os; os.getppid = lambda: 0; main()")
    monkeypatch.setattr(process, "_PROGRAM", program)
    with opened() as decoder:
        decoder.decode([face])
        until(lambda: decoder.process_ids)
        until(lambda: decoder.decode([face] * 9).indices == [*range(9)] and "ended by themselves" in caplog.text)
        until(lambda: not decoder._processes._all)
        assert decoder.decode([face] * 9).indices == [*range(9)]
    assert caplog.text.count("threads decode") == 1


@pytest.fixture
def started(monkeypatch):
    every = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: every.append(popen(*args, **more)) or every[-1])
    return every


def test_closing_starts_no_process_and_keeps_no_descriptor(tmp_path, started):
    paths = written(tmp_path, [encoded("jpeg")] * 64)
    with opened(2, float("inf")) as before:
        before.decode(paths)
        free = descriptors()
        with opened(2) as decoder:
            for pid in pids(running(decoder)):
                os.kill(pid, signal.SIGSTOP)
            futures = [decoder.submit(paths) for _ in range(5)]
            until(lambda: decoder._processes._idle.empty())
            decoder.close()
            assert not wait(futures, 10).not_done
            until(lambda: descriptors() == free)
    assert len(started) == 2


def test_a_process_that_may_not_be_killed_ends_by_itself(started, monkeypatch):
    with opened(2) as decoder:
        running(decoder)
        monkeypatch.setattr(started[0], "kill", refused)
        decoder.close()
    until(lambda: all(each.poll() is not None for each in started))


def refused():
    raise PermissionError(1, "Operation not permitted")


def test_who_gave_up_rights_reads_by_itself(face, monkeypatch):
    with opened() as decoder:
        running(decoder, 1)
        monkeypatch.setattr(processes.os, "getgroups", lambda: [12345])
        assert decoder._processes.decode([face], Square(SIDE), np.empty((1, SIDE, SIDE, 3), np.uint8)) == ([], 0.0)
        assert decoder.decode([face]).indices == [0]


def test_a_process_finds_modules_in_absolute_folders_alone(tmp_path, face, monkeypatch):
    (tmp_path / "dataclasses.py").write_text("raise SystemExit('not the right one')")
    (tmp_path / "fer_fast").symlink_to(Path(fer_fast.__file__).parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "_PACKAGE", str(tmp_path))
    monkeypatch.setattr(sys, "path", ["", ".", *sys.path])
    with opened() as decoder:
        assert running(decoder, 1).decode([face]).indices == [0]


def program(tmp_path, code, *flags, **surroundings):
    head = f"import sys; sys.path[:0] = [{str(Path(fer_fast.__file__).parents[1])!r}]\n"
    code = head + OPENED + code
    command = [sys.executable, *flags, "-c", code, str(tmp_path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **surroundings})


OPENED = """
import os, time
from fer_fast.decode.pillow import PillowDecoder
def run():
    with PillowDecoder(24, 1, processes_after=0) as decoder:
        decoder.decode([])
        end = time.monotonic() + 30
        while not decoder.process_ids:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert decoder.decode([sys.argv[1] + "/face.png"]).indices == [0]
"""


def test_a_process_has_the_interpreters_flags(tmp_path, face):
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'was-here')!r}, 'w')")
    ran = program(tmp_path, "run()", "-I", PYTHONPATH=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "was-here").exists()


def test_standard_streams_may_be_closed(tmp_path, face):
    ran = program(tmp_path, "for each in (0, 1, 2): os.close(each)\nrun()\nos._exit(7)")
    assert ran.returncode == 7


def test_a_process_that_is_left_alone_ends_within_a_run(face):
    pixels, limits = memoryview(bytearray(2 * SIDE * SIDE * 3)), limits_of(1, max_seconds=0)
    assert len([*worker._Decoding(limits, os.getppid()).answers([face] * 2, Square(SIDE), pixels, None)]) == 2
    with pytest.raises(EOFError):
        next(worker._Decoding(limits, os.getppid() + 1).answers([face] * 2, Square(SIDE), pixels, None))


def test_the_threads_that_can_be_started_do_the_work(face, monkeypatch):
    start, left = threading.Thread.start, [1]

    def fails(thread):
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        start(thread)

    with opened(4, float("inf")) as decoder:
        monkeypatch.setattr(threading.Thread, "start", fails)
        assert decoder.decode([face] * 99).indices == [*range(99)]
    with opened(4, float("inf")) as decoder, pytest.raises(FerFastError, match="can't start new thread"):
        decoder.decode([face])


def test_processes_may_be_wanted_from_the_first_file_on():
    with opened(after=0) as decoder:
        running(decoder, 1)

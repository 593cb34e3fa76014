"""Decoding in processes: the threads' answers, whatever becomes of the processes or of the program around them."""

import gc
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from decoding import pids, run, running, until, written
from image_files import FACE, FILES, encoded, oriented
from PIL import Image, ImageFile

from fer_fast.decode import open_decoder, pillow, process, views, worker
from fer_fast.types import FerFastError, Status

SIDE = 24


@pytest.fixture
def at_once(monkeypatch):
    """Lets the first file start the processes."""
    monkeypatch.setattr(pillow, "PROCESSES_AFTER", 1)
    monkeypatch.setattr(pillow, "LAG", 1)
    monkeypatch.setattr(pillow, "FEWEST_PROCESSES", 1)


OPENED = """
import os, signal, sys, time
from fer_fast.decode import open_decoder, pillow
pillow.PROCESSES_AFTER = pillow.LAG = 1
decoder = open_decoder("pillow", 24, 2)
decoder.decode(["/nowhere"])
while decoder.runs_on != "2 processes":
    time.sleep(0.01)
pids = decoder.process_ids
"""


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_processes_give_the_threads_answers(tmp_path, at_once, monkeypatch):
    turned = [Image.new("L", (9, 5), 70) for _ in range(8)]
    for orientation, image in enumerate(turned, 1):
        image.putpixel((0, 0), 255)
        image.save(tmp_path / f"turned{orientation}.png", exif=oriented(orientation))
    contents = [*(encoded(name) for name in FILES), b"", b"text", encoded("png")[:-30], encoded("jpeg")[:-99]]
    paths = [*written(tmp_path, contents), *map(str, sorted(tmp_path.glob("turned*"))), "/nowhere", "nul\0", "\ud800"]
    os.link(paths[0], os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg"))
    monkeypatch.chdir(tmp_path)
    paths += [os.fsdecode(b"\xff\xfe.jpg"), "0003.jpg", f"/proc/self/cwd/{Path(paths[2]).name}", str(tmp_path)]
    with open_decoder("pillow", SIDE, 2, max_pixels=1 << 20) as decoder:
        by_processes = running(decoder).decode(paths)
        assert decoder.runs_on == "2 processes"
    monkeypatch.setattr(pillow, "PROCESSES_AFTER", 1 << 60)
    with open_decoder("pillow", SIDE, 2, max_pixels=1 << 20) as decoder:
        by_threads = decoder.decode(paths)
        assert decoder.runs_on == "2 threads"
    assert np.array_equal(by_processes.pixels, by_threads.pixels)
    assert by_processes.indices == by_threads.indices
    assert by_processes.stamps == by_threads.stamps
    found, wanted = ([(n, e.status, str(e), e.stamp) for n, e in each.failures] for each in (by_processes, by_threads))
    assert found == wanted
    assert len(found) == 8


def test_batches_keep_pixels_and_places_together_while_processes_start(tmp_path, monkeypatch):
    monkeypatch.setattr(pillow, "PROCESSES_AFTER", 100)
    for shade in range(200):
        Image.new("L", (9, 9), shade).save(tmp_path / f"{shade:03}.png")
    paths = sorted(map(str, tmp_path.iterdir()))
    with open_decoder("pillow", SIDE, 2) as decoder:
        while True:
            in_processes = decoder.runs_on == "2 processes"
            futures = [decoder.submit(paths[start : start + 32]) for start in range(0, 200, 32)]
            for start, future in enumerate(futures):
                decoded = future.result(60)
                assert [int(each[3, 3, 2]) for each in decoded.pixels] == [*range(200)][start * 32 : start * 32 + 32]
                assert decoded.seconds > 0
            if in_processes:
                return


def test_a_small_job_starts_no_process(tmp_path):
    paths = written(tmp_path, [encoded("png")] * 40)
    with open_decoder("pillow", SIDE, 2) as decoder:
        assert decoder.decode(paths * 3).indices == [*range(120)]
        assert not decoder._processes._all
        assert decoder.runs_on == "2 threads"


def test_relative_paths_follow_the_working_folder(tmp_path, at_once, monkeypatch):
    for name, shade in (("a", 10), ("b", 20)):
        (tmp_path / name).mkdir()
        Image.new("L", (9, 9), shade).save(tmp_path / name / "face.png")
    with open_decoder("pillow", SIDE, 1) as decoder:
        running(decoder, 1)
        for name, shade in (("a", 10), ("b", 20)):
            monkeypatch.chdir(tmp_path / name)
            assert decoder.decode(["face.png"]).pixels.max() == shade


def test_of_processes_that_replace_the_same_one_as_many_stay_as_are_wanted(at_once):
    with open_decoder("pillow", SIDE, 1) as decoder:
        processes = running(decoder, 1)._processes
        others = [processes._another() for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            [*pool.map(processes._give, others)]
        assert len(pids(decoder)) == 1
        assert decoder.decode(["/nowhere"]).failures
        assert len(pids(decoder)) == 1


def test_a_process_that_talks_nonsense_costs_no_row(tmp_path, at_once, monkeypatch):
    paths = written(tmp_path, [encoded("jpeg")] * 20)
    with open_decoder("pillow", SIDE, 1) as decoder:
        before = pids(running(decoder, 1))
        right, nonsense = process.receive, [ValueError("bad marshal data")]
        monkeypatch.setattr(process, "receive", lambda end: raised(nonsense.pop()) if nonsense else right(end))
        assert decoder.decode(paths).indices == [*range(20)]
        until(lambda: pids(decoder) and not pids(decoder) & before)


def raised(error):
    raise error


def test_an_unforeseen_error_reaches_the_caller_and_costs_its_process(tmp_path, at_once, monkeypatch):
    paths = written(tmp_path, [encoded("jpeg")] * 3)
    with open_decoder("pillow", SIDE, 1) as decoder:
        running(decoder, 1)
        with monkeypatch.context() as patch:
            patch.setattr(views, "spread", lambda *_: raised(MemoryError()))
            with pytest.raises(FerFastError, match="the decoder failed: MemoryError"):
                decoder.decode(paths)
        assert decoder.decode(paths).indices == [0, 1, 2]


def test_killed_processes_cost_no_row(tmp_path, at_once):
    paths = written(tmp_path, [encoded("jpeg")] * 64)
    with open_decoder("pillow", SIDE, 2) as decoder:
        before = pids(running(decoder))
        futures = [decoder.submit(paths) for _ in range(20)]
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        for future in futures:
            decoded = future.result(60)
            assert decoded.indices == [*range(64)]
            assert (decoded.pixels == decoded.pixels[0]).all()
        until(lambda: decoder.runs_on == "2 processes")
        assert not pids(decoder) & before
        assert decoder.decode(paths).indices == [*range(64)]


CRASHES = """
import os, resource, signal
from PIL.ImageFile import ImageFile
class HeifImageFile(ImageFile):
    def _open(self):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_a_codec_that_crashes_costs_its_own_file(tmp_path, at_once, monkeypatch):
    (tmp_path / "pillow_heif.py").write_text(CRASHES)
    monkeypatch.syspath_prepend(tmp_path)  # the processes' too
    heic = b"\0\0\0\x18ftypheic" + bytes(64)
    paths = written(tmp_path, [encoded("jpeg"), heic, *[encoded("png")] * 9, heic, encoded("gif"), b"", heic])
    with open_decoder("pillow", SIDE, 2) as decoder:
        decoded = running(decoder).decode(paths)
        good = [0, *range(2, 11), 12]
        assert decoded.indices == good
        reasons = {place: (error.status, str(error)) for place, error in decoded.failures}
        crashed = (Status.FAILED, "the process that decoded it was ended by SIGSEGV")
        assert reasons == {1: crashed, 11: crashed, 13: (Status.EMPTY, "the file has no bytes"), 14: crashed}
        assert decoder.decode(paths[2:11]).indices == [*range(9)]
        until(lambda: decoder.runs_on == "2 processes")


def test_processes_leave_signals_for_the_group_alone_and_write_nothing(tmp_path):
    broken = tmp_path / "broken.tiff"
    broken.write_bytes(encoded("tiff-deflate-turned")[:-20].replace(b"\0\0\1", b"\7\7\7"))
    program = (
        OPENED
        + """
for pid in pids:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
assert decoder.decode(sys.argv[1:] * 20).failures
assert decoder.process_ids == pids
assert decoder.runs_on == "2 processes"
decoder.close()
"""
    )
    ran = run(program, str(broken))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_processes_end_with_the_program_even_when_it_is_killed():
    ran = run(OPENED + "print(*pids, flush=True); os.kill(os.getpid(), signal.SIGKILL)")
    assert ran.returncode == -signal.SIGKILL
    left = [Path("/proc", pid) for pid in ran.stdout.split()]
    assert len(left) == 2
    until(lambda: not any(each.exists() and "Z" not in state(each) for each in left))


def state(folder):
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_program_that_closes_nothing_ends():
    ran = run(OPENED + "future = decoder.submit(['/nowhere'] * 100)")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_process_that_is_left_alone_ends_though_its_socket_stays_open(monkeypatch):
    ours, theirs = process._socket_pair()
    monkeypatch.setattr(worker, "_PATIENCE", 10)
    with ours, theirs:
        assert [*worker._asked([theirs.fileno()], starter=os.getppid() + 1)] == []
        ours.send(b"x")
        assert next(worker._asked([theirs.fileno()], starter=os.getppid())) == theirs.fileno()


def test_processes_inherit_nothing_but_what_they_need(tmp_path, at_once):
    kept = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        with open_decoder("pillow", SIDE, 2) as decoder:
            for pid in pids(running(decoder)):
                targets = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
                kinds = sorted(target.partition(":")[0] for target in targets)
                assert kinds == [*["/dev/null"] * 2, *["/memfd"] * 2, *["socket"] * process.CHANNELS]
    finally:
        os.close(kept)


@pytest.mark.parametrize("executable", ["", "/bin/false", None])
def test_without_an_interpreter_threads_decode_and_that_is_told_once(
    tmp_path, at_once, monkeypatch, caplog, executable
):
    monkeypatch.setattr(sys, "executable", executable)
    paths = written(tmp_path, [encoded("png")] * 20)
    with open_decoder("pillow", SIDE, 2) as decoder:
        assert decoder.decode(paths).indices == [*range(20)]
        until(lambda: "threads decode what 0 of 2 processes leave" in caplog.text)
        assert decoder.decode(paths).indices == [*range(20)]
        assert decoder.runs_on == "2 threads"
    assert caplog.text.count("threads decode") == 1


def test_where_no_process_can_be_started_threads_decode(tmp_path, at_once, monkeypatch, caplog):
    def refused(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refused)
    with open_decoder("pillow", SIDE, 2) as decoder:
        assert decoder.decode(written(tmp_path, [encoded("png")] * 20)).indices == [*range(20)]
        until(lambda: "Resource temporarily unavailable" in caplog.text)
        assert decoder.runs_on == "2 threads"


def test_a_process_that_does_not_begin_says_why(tmp_path, at_once, monkeypatch, caplog):
    monkeypatch.setattr(process, "_PROGRAM", "import sys; sys.exit('no such library')")
    with open_decoder("pillow", SIDE, 1) as decoder:
        assert decoder.decode(written(tmp_path, [encoded("png")])).indices == [0]
        until(lambda: "a process ended with code 1 before it began: no such library" in caplog.text)


def test_a_process_that_cannot_be_replaced_is_told_and_threads_go_on(tmp_path, at_once, monkeypatch, caplog):
    paths = written(tmp_path, [encoded("png")] * 3)
    with open_decoder("pillow", SIDE, 1) as decoder:
        (pid,) = pids(running(decoder, 1))
        monkeypatch.setattr(process, "_PROGRAM", "import sys; sys.exit('no more')")
        os.kill(pid, signal.SIGKILL)
        assert decoder.decode(paths).indices == [0, 1, 2]
        until(lambda: "threads decode what 0 of 1 processes leave" in caplog.text)
        assert "no more" in caplog.text
        assert decoder.decode(paths).indices == [0, 1, 2]


def test_a_program_that_lets_half_images_pass_does_so_in_processes(tmp_path, at_once, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (path,) = written(tmp_path, [encoded("bmp")[:-100]])
    with open_decoder("pillow", SIDE, 1) as decoder:
        assert running(decoder, 1).decode([path]).indices == [0]


def test_closing_answers_what_processes_have_not(tmp_path, at_once):
    paths = written(tmp_path, [encoded("jpeg")] * 64)
    with open_decoder("pillow", SIDE, 2) as decoder:
        left = pids(running(decoder))
        for pid in left:
            os.kill(pid, signal.SIGSTOP)
        futures = [decoder.submit(paths) for _ in range(5)]
        decoder.close()
        assert not wait(futures, 10).not_done
        for future in futures:
            with pytest.raises(FerFastError, match="the decoder is closed"):
                future.result()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))


def test_closing_while_processes_start_leaves_none(at_once, monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: started.append(popen(*args, **more)) or started[-1])
    decoder = open_decoder("pillow", SIDE, 3)
    decoder.submit(["/nowhere"])
    until(lambda: started)
    decoder.close()
    until(lambda: all(each.poll() is not None for each in started))
    assert not decoder._processes._all


def test_a_forked_child_is_refused_and_takes_nothing_away(tmp_path):
    FACE.save(tmp_path / "face.png")
    program = (
        OPENED
        + """
from fer_fast.types import FerFastError
child = os.fork()
if not child:
    try:
        decoder.decode(sys.argv[1:])
    except FerFastError as error:
        print(error, flush=True)
    decoder.close()
    del decoder
    with open_decoder("pillow", 24, 2) as own:
        assert own.decode(sys.argv[1:]).indices == [0]
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert decoder.decode(sys.argv[1:] * 40).indices == [*range(40)]
assert decoder.process_ids == pids
decoder.close()
"""
    )
    ran = run(program, str(tmp_path / "face.png"))
    assert ran.returncode == 0, ran.stderr
    assert "a forked process opens its own" in ran.stdout


def test_a_decoder_that_is_forgotten_ends_its_processes(at_once):
    left = pids(running(open_decoder("pillow", SIDE, 2)))
    assert len(left) == 2
    gc.collect()
    until(lambda: not any(Path(f"/proc/{pid}").exists() and state(Path(f"/proc/{pid}")) != "Z" for pid in left))


def test_one_worker_is_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow, "FEWEST_PROCESSES", 2)
    path = str(tmp_path / "face.png")
    Image.new("L", (8, 8), 7).save(path)
    with open_decoder("pillow", SIDE, 1) as decoder:
        assert decoder.decode([path] * 40).indices == list(range(40))
        assert decoder.process_ids == [] and decoder.runs_on == "1 thread"


def test_processes_begin_where_a_run_waits_for_decoding_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow, "LAG", 96)
    monkeypatch.setattr(pillow, "PROCESSES_AFTER", 512)
    may_decode, decode = threading.Event(), pillow.PillowDecoder._decode
    monkeypatch.setattr(pillow.PillowDecoder, "_decode", lambda *arguments: may_decode.wait(60) and decode(*arguments))
    path = str(tmp_path / "face.png")
    Image.new("L", (8, 8), 7).save(path)
    with open_decoder("pillow", SIDE, 2) as decoder:
        may_decode.set()
        for _ in range(40):  # as a slow model asks: the next batch when the one before is there
            decoder.decode([path] * 32)
        assert not decoder._has_begun
        may_decode.clear()
        ahead = [decoder.submit([path] * 32) for _ in range(20)]
        may_decode.set()
        assert [future.result().indices for future in ahead] == 20 * [[*range(32)]]
        assert decoder._has_begun
    with open_decoder("pillow", SIDE, 2) as decoder:
        decoder.decode([path] * 600)
        assert decoder._has_begun

"""Files that are large, slow, or of codecs that print and crash; each is decoded apart and costs nothing but itself."""

import errno
import io
import os
import signal
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
from decoding import LIBRARIES, run, running, until, written
from image_files import FACE, encoded
from PIL import Image

from fer_fast.decode import apart, open_decoder, process, processes
from fer_fast.decode.formats.opening import lacking_codecs
from fer_fast.decode.limits import Large
from fer_fast.decode.pillow import PillowDecoder
from fer_fast.decode.process import DecodingProcess
from fer_fast.decode.views import Square
from fer_fast.types import DecodeError, FerFastError, Status

SIDE = 24
RNG = np.random.default_rng(3)


def tiff(height=200, width=200, **options):
    """A TIFF of noise."""
    content = io.BytesIO()
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(content, "TIFF", compression="tiff_lzw", **options)
    return content.getvalue()


def damaged_tiff():
    """One on which libtiff prints."""
    whole = bytearray(tiff())
    whole[3000:9000] = RNG.integers(0, 256, 6000, np.uint8).tobytes()
    return bytes(whole)


def failures(decoded):
    return {place: (error.status, str(error)) for place, error in decoded.failures}


@pytest.fixture(params=["pillow", *LIBRARIES])
def name(request):
    return request.param


def test_what_a_codec_prints_goes_to_the_row_of_its_file(tmp_path, name, capfd):
    paths = written(tmp_path, [encoded("jpeg"), damaged_tiff(), tiff()])
    with open_decoder(name, SIDE, 1) as decoder:
        decoded = decoder.decode(paths)
    assert decoded.indices == [0, 2]
    ((status, reason),) = failures(decoded).values()
    assert status is Status.CORRUPT and "error -2): " in reason and "\n" not in reason
    assert capfd.readouterr().err == ""


def test_a_file_that_takes_more_memory_than_there_is_says_how_much(tmp_path, name):
    paths = written(tmp_path, [encoded("png"), tiff(1000, 2000)])
    with open_decoder(name, SIDE, 1, max_memory=4_000_000) as decoder:
        decoded = decoder.decode(paths)
    assert decoded.indices == [0]
    ((status, reason),) = failures(decoded).values()
    assert status is Status.TOO_LARGE and reason.endswith("of memory, more than the limit of 4 MB")
    assert decoded.failures[0][1].again, "another machine may have more"


def test_a_file_that_takes_longer_than_it_may_is_too_large_and_alone(tmp_path, name):
    paths = written(tmp_path, [encoded("jpeg"), tiff(4000, 4000), tiff(50, 50), encoded("png")])
    with open_decoder(name, SIDE, 1, max_seconds=0.05) as decoder:
        decoded = decoder.decode(paths)
    assert decoded.indices == [0, 2, 3]
    assert failures(decoded) == {1: (Status.TOO_LARGE, "decoding takes longer than 0.05 s of a processor")}


def test_without_an_end_a_file_takes_as_long_as_it_takes(tmp_path):
    paths = written(tmp_path, [tiff(2000, 2000)])
    with open_decoder("pillow", SIDE, 1, max_seconds=0) as decoder:
        assert decoder.decode(paths).indices == [0]


def test_a_slow_file_in_a_run_of_a_process_costs_itself_alone(tmp_path):
    paths = written(tmp_path, [encoded("jpeg"), tiff(4000, 4000), encoded("png")])
    with PillowDecoder(SIDE, 1, processes_after=0, max_seconds=0.05) as decoder:
        decoder.decode([paths[0]])
        for _ in range(300):
            if decoder.process_ids:
                break
            threading.Event().wait(0.02)
        decoded = decoder.decode(paths)
    assert decoded.indices == [0, 2]
    assert failures(decoded)[1][0] is Status.TOO_LARGE


#: Ends a process on some files.
CRASH = """
import os
from fer_fast.decode.formats.tiff import TiffPicture
right = TiffPicture.load
TiffPicture.load = lambda each, side: os.abort() if each.size == (200, 200) else right(each, side)
main()"""


def test_a_crash_costs_its_own_row(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_PROGRAM", process._PROGRAM.replace("\nmain()", CRASH))
    paths = written(tmp_path, [encoded("jpeg"), tiff(), encoded("png"), tiff()])
    with open_decoder("pillow", SIDE, 2) as decoder:
        decoded = decoder.decode(paths)
    assert decoded.indices == [0, 2]
    reason = f"the process that decoded it was ended by {signal.SIGABRT.name}"
    assert failures(decoded) == {1: (Status.FAILED, reason), 3: (Status.FAILED, reason)}


def test_where_no_process_can_be_started_the_thread_decodes(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    paths = written(tmp_path, [tiff(), tiff()])
    with open_decoder("pillow", SIDE, 2) as decoder:
        decoded = decoder.decode(paths)
    assert decoded.indices == [0, 1]
    assert caplog.text.count("is not a Python interpreter") == 1


def test_pixels_are_those_of_this_process(tmp_path, name):
    paths = written(tmp_path, [tiff(), encoded("jpeg")])
    with open_decoder(name, SIDE, 2) as decoder:
        pixels = decoder.decode(paths[:1]).on_host()
    here = np.empty((SIDE, SIDE, 3), np.uint8)
    apart.decoded_here(paths[0], Square(SIDE), here, decoder.limits)
    assert np.array_equal(pixels[0], here)


def test_large_files_share_the_memory_in_turns(monkeypatch):
    """Of two files that take more than half of it each, one waits until the other is done."""
    begun, may_end = threading.Semaphore(0), threading.Event()
    held = []

    class Processes:
        def decode_apart(self, paths, view, out, room):
            held.append(room)
            begun.release()
            assert may_end.wait(30)
            held.remove(room)
            return [(1, 1)]

    monkeypatch.setattr(apart, "DecodingProcesses", lambda *_: Processes())
    with PillowDecoder(SIDE, 4, max_memory=1000) as decoder:
        out = np.empty((SIDE, SIDE, 3), np.uint8)
        files = [Large(600, None), Large(600, None), Large(300, None)]
        threads = [
            threading.Thread(target=decoder._apart._decoded, args=([""], Square(SIDE), [out], each.memory))
            for each in files
        ]
        threads[0].start()
        assert begun.acquire(timeout=30)
        threads[1].start()
        threads[2].start()
        assert not begun.acquire(timeout=0.1)
        assert held == [600]
        may_end.set()
        for thread in threads:
            thread.join(30)
        assert not held
        decoder._apart.close = lambda: None


def test_a_file_that_takes_more_than_its_header_promises_finds_no_memory():
    ran = run(
        """
        from fer_fast.decode import worker
        try:
            with worker._at_most(1 << 20):
                bytearray(1 << 30)
        except MemoryError:
            bytearray(1 << 30)
            print("bounded, and free again")
        """
    )
    assert ran.stdout.strip() == "bounded, and free again", ran.stderr


def test_a_file_that_becomes_larger_meanwhile_is_tried_again(tmp_path, monkeypatch):
    path = tmp_path / "face.tiff"
    path.write_bytes(tiff(600, 600))
    with PillowDecoder(SIDE, 1) as decoder:
        (found,) = decoder._apart._decoded([str(path)], Square(SIDE), [np.empty((SIDE, SIDE, 3), np.uint8)], 10_000)
    assert isinstance(found, DecodeError) and found.status is Status.FAILED and found.again
    assert "changed while it was read" in str(found)


def test_files_done_are_a_sign_of_life(tmp_path, name):
    with open_decoder(name, SIDE, 2) as decoder:
        before = decoder.files_done
        decoder.decode(written(tmp_path, [encoded("jpeg"), tiff(), b""]))
        assert decoder.files_done >= before + 3


def test_a_face_needs_no_process(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a process was started")

    monkeypatch.setattr(process, "_started", refuse)
    FACE.save(tmp_path / "face.webp")
    paths = [str(tmp_path / "face.webp"), *written(tmp_path, [encoded("jpeg"), encoded("png"), encoded("gif")])]
    with open_decoder("pillow", SIDE, 2) as decoder:
        assert decoder.decode(paths).indices == [0, 1, 2, 3]


def test_a_file_in_memory_has_the_pixels_and_the_limits_of_a_file(tmp_path, name, capfd):
    contents = [encoded("jpeg"), tiff(), encoded("png")]
    with open_decoder(name, SIDE, 1) as decoder:
        pixels = decoder.decode(written(tmp_path, contents)).on_host()
        for content, expected in zip(contents, pixels, strict=True) if name == "pillow" else [(contents[1], pixels[1])]:
            assert np.array_equal(decoder.decode_content(content), expected)
        with pytest.raises(DecodeError, match=r"error -2\): ") as caught:
            decoder.decode_content(damaged_tiff())
        assert caught.value.status is Status.CORRUPT
    assert capfd.readouterr().err == ""
    with (
        open_decoder(name, SIDE, 1, max_seconds=0.05) as decoder,
        pytest.raises(DecodeError, match="longer than") as slow,
    ):
        decoder.decode_content(tiff(4000, 4000))
    assert slow.value.status is Status.TOO_LARGE and "longer than" in str(slow.value)
    with (
        open_decoder(name, SIDE, 1, max_memory=4_000_000) as decoder,
        pytest.raises(DecodeError, match="4 MB") as large,
    ):
        decoder.decode_content(tiff(1000, 2000))
    assert large.value.status is Status.TOO_LARGE and "4 MB" in str(large.value)


def test_a_closed_decoder_takes_no_file_in_memory(name):
    decoder = open_decoder(name, SIDE, 1)
    decoder.close()
    with pytest.raises(FerFastError, match="closed"):
        decoder.decode_content(encoded("jpeg"))


def test_a_file_in_memory_that_can_be_none_on_disk_is_decoded_here(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with open_decoder("pillow", SIDE, 1) as decoder:
        expected = decoder.decode_content(content := tiff())
        monkeypatch.setattr(apart.os, "memfd_create", refuse)
        assert np.array_equal(decoder.decode_content(content), expected)
        with pytest.raises(DecodeError) as caught:
            decoder.decode_content(damaged_tiff())
        assert caught.value.status is Status.CORRUPT


@pytest.mark.parametrize("number", [np.float64(30), np.float32(30), Fraction(30), 1e20, 10**400], ids=range(5))
def test_seconds_are_any_number(tmp_path, number):
    cost = {"max_seconds": number, "max_pixels": np.int64(10**8), "max_memory": np.int64(10**9)}
    with open_decoder("pillow", SIDE, 1, **cost) as decoder:
        assert decoder.decode(written(tmp_path, [tiff()])).indices == [0]


def test_what_waits_for_its_turn_is_not_decoded_once_the_decoder_is_closed(monkeypatch):
    begun, closed = threading.Semaphore(0), threading.Event()

    class Processes:
        def decode_apart(self, paths, view, out, room):
            begun.release()
            assert closed.wait(30)
            return []

        def close(self):
            closed.set()

    decoded = []
    monkeypatch.setattr(apart, "DecodingProcesses", lambda *_: Processes())
    monkeypatch.setattr(apart, "decoded_here", lambda *_: decoded.append(_))
    decoder = PillowDecoder(SIDE, 2)
    caught = []

    def decode():
        try:
            decoder._apart._decoded([""], Square(SIDE), [np.empty((SIDE, SIDE, 3), np.uint8)], 600)
        except FerFastError as error:
            caught.append(str(error))

    threads = [threading.Thread(target=decode) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.acquire(timeout=30) and begun.acquire(timeout=30)
    decoder.close()
    for thread in threads:
        thread.join(30)
    assert caught == ["the decoder is closed"] * 3 and not decoded


def test_a_process_that_ended_while_it_was_idle_costs_no_file(tmp_path):
    paths = written(tmp_path, [tiff(), tiff()])
    with PillowDecoder(SIDE, 1) as decoder:
        assert decoder.decode(paths[:1]).indices == [0]
        (pid,) = decoder._apart._processes.pids
        os.kill(pid, signal.SIGKILL)
        assert not decoder.decode(paths[1:]).failures


def test_the_time_limit_holds_whatever_signals_the_program_around_us_keeps_out():
    ran = run(
        """
        import io, signal, numpy as np
        from PIL import Image
        from fer_fast.decode import open_decoder
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        pixels = np.random.default_rng(3).integers(0, 256, (4000, 4000, 3), np.uint8)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "TIFF", compression="tiff_lzw")
        with open_decoder("pillow", 24, 1, max_seconds=0.05) as decoder:
            try:
                decoder.decode_content(content.getvalue())
            except Exception as error:
                print(error)
        """
    )
    assert ran.stdout.strip() == "decoding takes longer than 0.05 s of a processor", ran.stderr


@pytest.mark.skipif("avif" in lacking_codecs(), reason="this Pillow has no AVIF")
def test_the_threads_of_many_processors_are_not_taken_for_the_memory_of_a_file(tmp_path, monkeypatch):
    many = "\nimport os\nos.sched_getaffinity = lambda *_: set(range(256))\nmain()"
    monkeypatch.setattr(process, "_PROGRAM", process._PROGRAM.replace("\nmain()", many))
    content = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (40, 60, 3), np.uint8)).resize((1800, 1200)).save(content, "AVIF", speed=10)
    with PillowDecoder(SIDE, 1) as decoder:
        assert not decoder.decode(written(tmp_path, [content.getvalue()])).failures


def test_slow_files_of_one_run_show_that_it_goes_on(tmp_path, monkeypatch):
    slow = """
import time
from fer_fast.decode import worker
right = worker.decode_file
worker.decode_file = lambda *arguments: time.sleep(0.6) or right(*arguments)
main()"""
    monkeypatch.setattr(process, "_PROGRAM", process._PROGRAM.replace("\nmain()", slow))
    paths = written(tmp_path, [encoded("png")] * 6)
    with running(PillowDecoder(SIDE, 1, processes_after=0), 1) as decoder:
        before = decoder.files_done
        future = decoder.submit(paths)
        until(lambda: decoder.files_done > before)
        assert decoder.files_done < before + len(paths) and not future.done()
        assert future.result().indices == [*range(6)]
        assert decoder.files_done == before + len(paths)


@pytest.mark.parametrize("is_in_a_run", [False, True])
def test_what_takes_more_memory_than_its_header_promises_is_too_large(tmp_path, monkeypatch, is_in_a_run):
    lying = """
from fer_fast.decode.formats.tiff import TiffPicture
right = TiffPicture.load
TiffPicture.load = lambda each, side: bytearray(2 << 30) if each.size == (200, 200) else right(each, side)
main()"""
    monkeypatch.setattr(process, "_PROGRAM", process._PROGRAM.replace("\nmain()", lying))
    paths = written(tmp_path, [encoded("jpeg"), tiff(), encoded("png"), tiff(100, 100)])
    with PillowDecoder(SIDE, 1, processes_after=0 if is_in_a_run else None) as decoder:
        if is_in_a_run:
            running(decoder, 1)
        decoded = decoder.decode(paths)
    assert decoded.indices == [0, 2, 3]
    assert failures(decoded) == {1: (Status.TOO_LARGE, "it takes more memory than its header promises")}
    assert decoded.failures[0][1].again


def test_rights_that_were_given_up_before_there_is_a_process_cost_no_limit(tmp_path, monkeypatch):
    with PillowDecoder(SIDE, 1, max_seconds=0.05) as decoder:
        monkeypatch.setattr(processes.os, "getgroups", lambda: [12345])
        decoded = decoder.decode(written(tmp_path, [tiff(4000, 4000)]))
    assert failures(decoded)[0][0] is Status.TOO_LARGE


def test_small_files_of_odd_codecs_go_together(tmp_path, monkeypatch):
    runs = []
    decode = DecodingProcess.decode

    def counted(self, channel, folder, paths, view, out, room=None):
        runs.append(len(paths))
        return decode(self, channel, folder, paths, view, out, room)

    monkeypatch.setattr(DecodingProcess, "decode", counted)
    contents = [tiff(40, 40) if number % 2 else encoded("jpeg") for number in range(20)]
    with PillowDecoder(SIDE, 1) as decoder:
        assert decoder.decode(written(tmp_path, contents)).indices == [*range(20)]
    assert runs == [10]


def test_of_odd_files_that_go_together_one_that_crashes_costs_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_PROGRAM", process._PROGRAM.replace("\nmain()", CRASH))
    contents = [tiff(40, 40), tiff(), tiff(50, 50), damaged_tiff(), tiff(60, 60)]
    with PillowDecoder(SIDE, 1) as decoder:
        decoded = decoder.decode(written(tmp_path, contents))
    assert decoded.indices == [0, 2, 4]
    assert [error.status for _, error in decoded.failures] == [Status.FAILED, Status.FAILED]

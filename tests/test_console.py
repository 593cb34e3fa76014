"""Standard output gets all of a text, however little it takes at a time."""

import fcntl
import io
import os
import subprocess
import sys
import time

import pytest

from fer_fast.cli.console import complain, print_out

TEXT = "".join(f"line {number} of many\n" for number in range(20_000))


class Sips(io.RawIOBase):
    """Takes a thousand bytes at a time, and now and then none."""

    def __init__(self, descriptor):
        self.taken, self.calls, self._descriptor = b"", 0, descriptor

    def writable(self):
        return True

    def fileno(self):
        return self._descriptor

    def write(self, data):
        self.calls += 1
        if self.calls % 7 == 0:
            return None
        self.taken += bytes(data[:1024])
        return min(len(data), 1024)


class Output:
    """Standard output over such a stream."""

    def __init__(self, buffer, encoding="utf-8"):
        self.buffer, self.encoding = buffer, encoding

    def flush(self):
        self.buffer.flush()


def test_all_is_written_to_a_stream_that_takes_little(monkeypatch):
    with open(os.devnull, "wb") as always_ready:  # noqa: PTH123
        stream = Sips(always_ready.fileno())
        monkeypatch.setattr(sys, "stdout", Output(stream))
        print_out(TEXT)
    assert stream.taken.decode() == TEXT + "\n"
    assert stream.calls > len(TEXT) / 1024


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_all_comes_through_a_pipe_that_does_not_block(unbuffered):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | os.O_NONBLOCK)
    program = (
        "from fer_fast.cli.console import print_out\nfrom test_console import TEXT\nprint_out(TEXT)\nprint_out('end')"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    time.sleep(0.3)  # the pipe is full by now
    got = b""
    while piece := os.read(reader, 65536):
        got += piece
    os.close(reader)
    assert process.communicate()[1] == b"" and process.returncode == 0
    assert got.decode() == f"{TEXT}\nend\n"


def test_what_was_printed_before_stands_before_it():
    program = "from fer_fast.cli.console import print_out\nprint('first')\nprint_out('second')\nprint('third')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"first\nsecond\nthird\n"


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8", "h\N{LATIN SMALL LETTER E WITH ACUTE}\\udcff\n"), ("ascii", "h\\xe9\\udcff\n")]
)
def test_what_the_output_cannot_say_is_escaped(monkeypatch, encoding, said):
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Output(stream, encoding))
    print_out("h\N{LATIN SMALL LETTER E WITH ACUTE}\udcff")
    assert stream.getvalue().decode(encoding) == said


def test_a_caller_in_this_process_reads_text(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    print_out("text")
    assert stream.getvalue() == "text\n"


def test_an_error_is_one_line(capsys):
    complain("fer-fast", ValueError("first\n second \udcff"))
    complain("fer-fast", KeyError())
    assert capsys.readouterr().err == "fer-fast: first second \\udcff\nfer-fast: KeyError\n"


def test_a_reader_that_goes_away_is_told_of():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", Output(stream))
        with pytest.raises(BrokenPipeError):
            print_out(TEXT)

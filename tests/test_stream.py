"""Tables and texts go to streams that take little at a time, block, fail or go away: what is told as done is whole."""

import csv
import io
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from command_runs import COMMAND, ENVIRONMENT
from shades import save_shade
from tables import ROWS, SCHEMA, fill, open_table, results_of

from fer_fast.machine.disk import write_all
from fer_fast.table.stream_table import StreamTable
from fer_fast.types import OutputError


class Slow(io.RawIOBase):
    """Takes some bytes at a time, and now and then none."""

    def __init__(self, most):
        self.taken, self.most, self.calls = b"", most, 0
        self.reader, self.writer = os.pipe()

    def writable(self):
        return True

    def fileno(self):
        return self.writer  # always ready

    def write(self, data):
        self.calls += 1
        if self.calls % 3 == 0:
            return None
        self.taken += bytes(data[: self.most])
        return min(len(data), self.most)

    def close(self):
        if not self.closed:
            os.close(self.reader)
            os.close(self.writer)
        super().close()


def test_a_raw_stream_that_takes_little_gets_all():
    data = bytes(range(256)) * 40
    with Slow(1000) as stream:
        write_all(stream, data)
        assert stream.taken == data


def test_a_stream_that_does_not_count_has_taken_all():
    class Silent:
        taken = b""

        def write(self, data):
            self.taken += bytes(data)

        def flush(self):
            pass

    stream = Silent()
    write_all(stream, b"x" * 10_000)
    assert stream.taken == b"x" * 10_000


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_full_pipe_that_does_not_block_is_waited_for(buffering):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = os.urandom(1 << 20)
    got = bytearray()

    def read_slowly():
        while block := os.read(reader, 1 << 16):
            got.extend(block)
            time.sleep(0.001)

    thread = threading.Thread(target=read_slowly)
    thread.start()
    with os.fdopen(writer, "wb", buffering=buffering) as stream:
        write_all(stream, data)
    thread.join()
    os.close(reader)
    assert bytes(got) == data


def test_a_table_on_a_stream_is_that_of_a_file(tmp_path):
    with Slow(1024) as stream:
        table = StreamTable(stream, SCHEMA)
        fill(table, results_of(ROWS), several=3)
        table.finish()
        of_file = open_table(tmp_path / "out.csv")
        fill(of_file, results_of(ROWS))
        of_file.finish()
        assert stream.taken == (tmp_path / "out.csv").read_bytes()
    assert table.statuses == of_file.statuses and table.labels == of_file.labels


def test_a_full_device_is_an_output_error():
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OutputError, match="No space left"):
        StreamTable(full, SCHEMA)


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    for number in range(600):
        save_shade(folder / f"{number:03}-{'long' * 40}.png", number % 256)
    return folder


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_that_takes_a_kilobyte_at_a_time_gets_the_whole_table(shades, unbuffered):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen(
        [*COMMAND, str(shades), "--quiet"], stdout=writer, env={**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered}
    )
    os.close(writer)
    got = bytearray()
    while block := os.read(reader, 1024):
        got += block
    os.close(reader)
    assert process.wait(timeout=30) == 0
    lines = list(csv.DictReader(io.StringIO(got.decode(), newline="")))
    assert len(lines) == 600 and all(line["status"] == "ok" for line in lines)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_that_meets_a_limit_is_no_success(shades, tmp_path, unbuffered):
    limited = f"ulimit -f 20; trap '' XFSZ; exec {' '.join(COMMAND)} {shades} --quiet > {tmp_path}/out.csv"
    done = subprocess.run(
        ["bash", "-c", limited], capture_output=True, text=True, env={**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered}
    )
    assert done.returncode == 1
    assert done.stderr == "fer-fast: the output cannot be written: File too large\n"

"""What tests of decoders share: programs to run, files to write, processes to wait for."""

import subprocess
import sys
import textwrap
import time

import pytest

#: Decoders that are NVIDIA's, which decode on the CPU, too.
LIBRARIES = [
    pytest.param("dali", marks=pytest.mark.needs_dali),
    pytest.param("nvimagecodec", marks=[pytest.mark.needs_nvimagecodec, pytest.mark.needs_torch]),
]


def running(decoder, count=2):
    """The decoder, once its processes have begun."""
    decoder.decode(["/nowhere"])
    until(lambda: len(decoder.process_ids) == count)
    assert decoder.runs_on == (f"{count} processes" if count > 1 else "1 process")
    return decoder


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def pids(decoder):
    return set(decoder.process_ids)


def written(folder, contents):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:04}.jpg" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return [str(path) for path in paths]


def run(program, *arguments):
    """Runs a program with the tests' modules."""
    code = textwrap.dedent(program)
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)

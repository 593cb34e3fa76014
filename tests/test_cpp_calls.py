"""How the C++ library computes, as its caller chooses and is told: on_call, threads, a container's quota, pinning."""

from __future__ import annotations

import ctypes
import os
import shutil

import pytest
from cpp_programs import compiled, run
from test_processors import QUOTAS, draw
from tiny_models import random_model, tiny_config

from fer_fast.export import export_model
from fer_fast.machine.processors import allowed_processors, cpu_quota, usable_processors
from fer_fast.models.files.storage import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small checkpoint's export."""
    folder = tmp_path_factory.mktemp("model")
    save_model(random_model(tiny_config(sources=("image", "FM1"))), folder / "model.safetensors")
    export_model(folder / "model.safetensors", "openvino", folder / "model.xml", batch_size=16)
    return folder / "model.xml"


def test_each_call_is_told(consumer, model, tmp_path):
    export_model("finder", "openvino", tmp_path / "finder.xml")
    done = run(consumer / "told", tmp_path / "finder.xml", model, timeout=300)
    assert done.stdout == done.stderr == ""


def test_what_was_called_before_begins_no_thread_and_takes_no_memory_for_pixels(consumer, model, tmp_path):
    export_model("finder", "openvino", tmp_path / "finder.xml")
    said = run(consumer / "steady", tmp_path / "finder.xml", model, timeout=300).stdout
    assert said == "face 0 0\nfaces 0 0\nboxes 0 0\nphotos 0 0\n"


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
@pytest.mark.parametrize(("program", "sources"), [("workers", ["classifier/workers"]), ("pool", [])])
def test_threads_share_pieces_and_turns(prefix, tmp_path, program, sources, sanitizers):
    flags = ("-g", "-O1", "-Wall", "-Wextra", "-pthread", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all")
    run(compiled(program, tmp_path / program, prefix, sources, *flags), timeout=300)


class Options(ctypes.Structure):
    """fer_fast_options."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("batch_size", ctypes.c_size_t),
        *((name, ctypes.c_int32) for name in ("threads", "precision", "goal")),
        *((name, ctypes.c_void_p) for name in ("device", "on_call", "context")),
        ("pinning", ctypes.c_int32),
    )


AUTO, OFF, ON = range(3)


@pytest.fixture
def describe(prefix, model):
    """What is said of the model, opened with options: name to value."""
    (file,) = prefix.glob("lib*/libfer_fast.so.1")
    library = ctypes.CDLL(str(file))
    library.fer_fast_describe.restype = ctypes.c_char_p
    library.fer_fast_describe.argtypes = library.fer_fast_close.argtypes = [ctypes.c_void_p]

    def describe(**options):
        classifier, given = ctypes.c_void_p(), Options(struct_size=ctypes.sizeof(Options), **options)
        assert library.fer_fast_open(os.fsencode(model), ctypes.byref(given), ctypes.byref(classifier)) == 0
        said = library.fer_fast_describe(classifier).decode()
        library.fer_fast_close(classifier)
        return dict(line.split("=", 1) for line in said.splitlines())

    return describe


def test_threads_are_those_asked_for_and_no_more_than_processors(describe):
    for asked, runs in ((1, 1), (0, usable_processors()), (1000, allowed_processors())):
        assert describe(threads=asked)["threads"] == str(runs)


def test_threads_are_pinned_as_asked_for(describe):
    for asked, runs in ((OFF, "off"), (ON, "on")):
        assert describe(pinning=asked)["pinning"] == runs
    assert describe(pinning=AUTO)["pinning"] in ("off", "on")


def test_a_quota_is_read_as_python_reads_it(tmp_path):
    program = tmp_path / "processors"
    compiled(
        "processors", program, tmp_path, ["classifier/processors"], "-Wall", "-Wextra", "-fsanitize=address,undefined"
    )
    roots = [draw(tmp_path / case.id, case.values[0]) for case in QUOTAS]
    *quotas, allowed, usable = map(int, run(program, *roots).stdout.split())
    assert quotas == [cpu_quota(root) or 0 for root in roots] and set(quotas) >= {0, 1, 2, 3, 4, 5, 7}
    assert (allowed, usable) == (allowed_processors(), usable_processors())
    if shutil.which("taskset"):
        first = min(os.sched_getaffinity(0))
        assert run("taskset", "-c", first, program).stdout.split() == ["1", "1"]

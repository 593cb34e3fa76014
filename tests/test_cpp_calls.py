"""How the C++ library computes, as its caller chooses and is told: on_call, threads, a container's quota, pinning.

And how it asks OpenVINO, on a stand-in for that.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys

import pytest
from cpp_programs import ROOT, compiled, run
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
    if allowed_processors() > 1:  # else those of all processes would be on the first processor
        assert describe(pinning=AUTO, threads=1)["pinning"] == "off"
        assert describe(pinning=ON, threads=1)["pinning"] == "on"


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


#: LIBRARY MODEL SHIM: what the library is asked for, with OpenVINO's stand-in.
ASK = """
import ctypes, sys
library, shim, model = ctypes.CDLL(sys.argv[1]), ctypes.CDLL(sys.argv[3]), sys.argv[2].encode()
library.fer_fast_last_error.restype = ctypes.c_char_p


class Image(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("data", ctypes.c_char_p), ("size", ctypes.c_size_t),
                ("width", ctypes.c_int64), ("height", ctypes.c_int64), ("stride", ctypes.c_int64),
                ("format", ctypes.c_int32), ("matrix", ctypes.c_int32), ("range", ctypes.c_int32)]


def open_model():
    classifier = ctypes.c_void_p()
    return library.fer_fast_open(model, None, ctypes.byref(classifier)), classifier


def classify(classifier):
    image, chances = Image(64, b"1234", 4, 2, 2), (ctypes.c_float * 8)()
    return library.fer_fast_classify(classifier, ctypes.byref(image), ctypes.c_size_t(1), chances, ctypes.c_size_t(8))
"""
#: Each call of OpenVINO's that may fail does so once, while a model is opened and classifies.
FAIL_EACH = (
    ASK
    + """
def statuses():
    status, classifier = open_model()
    yield status
    assert classifier.value is not None
    try:
        yield classify(classifier)
    finally:
        library.fer_fast_close(classifier)


assert list(statuses()) == [0, 0], library.fer_fast_last_error()
calls = shim.stub_fail_at(0)
for number in range(1, calls + 1):
    shim.stub_fail_at(number)
    status = next(each for each in statuses() if each != 0)
    assert status in (5, 7) and library.fer_fast_last_error().endswith(b"it; failed"), (number, status)
    assert shim.stub_living() == 0, number
print(calls)
"""
)
#: Three threads on two streams: while the first and the third have one of them, the second goes on with the other.
HOLD_ONE = (
    ASK
    + """
import os
from concurrent.futures import ThreadPoolExecutor

status, classifier = open_model()
assert status == 0, library.fer_fast_last_error()
first, second, third = (ThreadPoolExecutor(1) for _ in range(3))
shim.stub_hold()
held = []
for number, thread in enumerate((first, second, third), start=1):
    held.append(thread.submit(classify, classifier))
    while shim.stub_inferring() < number:
        os.sched_yield()
assert second.submit(classify, classifier).result() == 0 and not held[0].done() and not held[2].done()
shim.stub_go_on()
assert [each.result() for each in held] == [0, 0, 0]
library.fer_fast_close(classifier)
"""
)


@pytest.fixture
def ask(prefix, model, tmp_path):
    """Runs a program that begins as ASK does; what it says."""

    def ask(program):
        (library,) = prefix.glob("lib*/libfer_fast.so.1")
        shim = tmp_path / "libopenvino_c.so.2610"
        source = ROOT / "tests/cpp/openvino_shim.c"
        run("cc", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", source, "-o", shim)
        command = (sys.executable, "-c", program, library, model, shim)
        return run(*command, env=os.environ | {"FER_FAST_OPENVINO_DIR": str(tmp_path)}, timeout=60).stdout

    return ask


def test_no_object_is_left_by_a_call_that_fails(ask):
    assert int(ask(FAIL_EACH)) > 12


def test_two_threads_of_one_stream_leave_the_other_to_a_third(ask):
    ask(HOLD_ONE)

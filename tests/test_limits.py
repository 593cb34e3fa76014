"""What decoding may cost: drawn control groups, the process's own limits, and wishes come in."""

import math
import os
import resource

import pytest

from fer_fast.decode import open_decoder
from fer_fast.decode.limits import Limits, in_words, limits_of
from fer_fast.machine import memory
from fer_fast.machine.memory import usable_memory

GIB = 1 << 30
MACHINE = 64 * GIB


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    """64 GiB, and no limits of the process's own."""
    page = os.sysconf("SC_PAGE_SIZE")
    sizes = {"SC_PAGE_SIZE": page, "SC_PHYS_PAGES": MACHINE // page}
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, MACHINE, id="no control groups"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{2 * GIB}\n"}, 2 * GIB, id="container"
        ),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, MACHINE, id="max"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "soon\n"}, MACHINE, id="nonsense"),
        pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GIB << 20}"}, MACHINE, id="more"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/pods/one/box\n",
                "sys/fs/cgroup/pods/memory.max": f"{9 * GIB}\n",
                "sys/fs/cgroup/pods/one/memory.max": f"{3 * GIB}\n",
                "sys/fs/cgroup/pods/one/box/memory.max": "max\n",
                "sys/fs/cgroup/pods/two/memory.max": f"{GIB}\n",
            },
            3 * GIB,
            id="a parent's",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu:/docker/1\n4:memory:/docker/1\n0::/\n",
                "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": f"{5 * GIB}\n",
                "sys/fs/cgroup/cpu/docker/1/memory.limit_in_bytes": f"{GIB}\n",
            },
            5 * GIB,
            id="version 1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/docker/1\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            MACHINE,
            id="version 1 without a limit",
        ),
    ],
)
def test_a_containers_limit_is_seen(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_memory(tmp_path) == expected


@pytest.mark.parametrize("kind", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_a_limit_of_the_process_is_seen(tmp_path, monkeypatch, kind):
    infinite = resource.RLIM_INFINITY
    monkeypatch.setattr(memory.resource, "getrlimit", lambda asked: (GIB if asked == kind else infinite, infinite))
    assert usable_memory(tmp_path) == GIB


def test_a_quarter_is_for_decoding_and_each_worker_has_a_part(monkeypatch):
    monkeypatch.setattr("fer_fast.decode.limits.usable_memory", lambda: 8 * GIB)
    assert limits_of(2) == Limits(178_956_970, 2 * GIB, 30.0, GIB // 4)
    assert limits_of(16).small == 2 * GIB // 32
    assert limits_of(4, 99, 800, math.inf) == Limits(99, 800, 0.0, 100)
    for workers in (1, 2, 7, 300):
        limits = limits_of(workers)
        assert 2 * workers * limits.small <= limits.max_memory  # two runs a worker are under way


def test_sizes_in_words():
    sizes = (5_312_345_678, 999_999_999, 120_400_000, 3_500_000, 999_999, 100_000, 20)
    words = ["5.3 GB", "999 MB", "120 MB", "3.5 MB", "999 kB", "100 kB", "0.02 kB"]
    assert [in_words(size) for size in sizes] == words


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"max_pixels": 0}, ValueError),
        ({"max_memory": 0}, ValueError),
        ({"max_memory": "2G"}, TypeError),
        ({"max_memory": math.nan}, TypeError),
        ({"max_pixels": True}, TypeError),
        ({"workers": "2"}, TypeError),
        ({"max_seconds": -1}, ValueError),
        ({"max_seconds": math.nan}, ValueError),
        ({"max_seconds": "30"}, TypeError),
        ({"max_seconds": True}, TypeError),
    ],
)
def test_wrong_limits_are_named(wrong, error):
    (name,) = wrong
    with pytest.raises(error, match=f"{name} must be "):
        open_decoder("pillow", 24, **{"workers": 1} | wrong)

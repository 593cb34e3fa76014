"""The processors that a process may use: drawn control groups of both versions, and /proc/cpuinfo of two families."""

import os

import pytest

from fer_fast.machine import processors

ALLOWED = 64


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(ALLOWED)))


def draw(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


#: Files of the kernel's, and the processors that they leave of ALLOWED.
QUOTAS = [
    pytest.param({}, ALLOWED, id="no control groups"),
    pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2, id="container"),
    pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3, id="rounded up"),
    pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1, id="a tenth"),
    pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, ALLOWED, id="max"),
    pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "9999999 100000"}, ALLOWED, id="more"),
    pytest.param({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "soon\n"}, ALLOWED, id="nonsense"),
    pytest.param(
        {
            "proc/self/cgroup": "0::/kubepods/pod1/box\n",
            "sys/fs/cgroup/kubepods/cpu.max": "6000000 100000\n",
            "sys/fs/cgroup/kubepods/pod1/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "max 100000\n",
            "sys/fs/cgroup/kubepods/pod2/cpu.max": "100000 100000\n",
        },
        3,
        id="a parent's",
    ),
    pytest.param(
        {"proc/self/cgroup": "0::/docker/1234\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"},
        4,
        id="the host's path in a container",
    ),
    pytest.param(
        {"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "500000 100000\n"},
        5,
        id="outside the namespace",
    ),
    pytest.param(
        {
            "proc/self/cgroup": "5:cpuset:/\n4:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "50000\n",
            "sys/fs/cgroup/cpuset/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpuset/cpu.cfs_period_us": "50000\n",
        },
        3,
        id="version 1",
    ),
    pytest.param(
        {
            "proc/self/cgroup": "1:cpu:/\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "700000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/unified/cgroup.procs": "1\n",
        },
        7,
        id="both versions",
    ),
]


@pytest.mark.parametrize(("files", "expected"), QUOTAS)
def test_quota(tmp_path, files, expected):
    assert processors.usable_processors(draw(tmp_path, files)) == expected


def test_affinity_below_the_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    root = draw(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"})
    assert (processors.usable_processors(root), processors.cpu_quota(root)) == (1, 4)


def test_a_group_that_may_not_be_read_is_no_limit(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup/cpu.max").mkdir(parents=True)  # reading a folder fails for root, too
    assert processors.usable_processors(tmp_path) == ALLOWED


def test_this_machine():
    assert 1 <= processors.usable_processors() <= ALLOWED


def test_flags_and_name(tmp_path):
    draw(
        tmp_path,
        {
            "x86": "processor\t: 0\nmodel name\t: Xeon: the first\nflags\t\t: fpu avx2\nvmx flags\t: ept\n\n"
            "processor\t: 1\nmodel name\t: other\nflags\t\t: fpu amx\n",
            "arm": "processor\t: 0\nFeatures\t: fp asimd\nCPU part\t: 0xd0c\n",
            "empty": "",
        },
    )
    said = {
        name: (processors.processor_name(tmp_path / name), set(processors.processor_flags(tmp_path / name)))
        for name in ("x86", "arm", "empty", "absent")
    }
    assert said == {
        "x86": ("Xeon: the first", {"fpu", "avx2"}),
        "arm": ("", {"fp", "asimd"}),
        "empty": ("", set()),
        "absent": ("", set()),
    }


def test_threads_for_a_quota(monkeypatch):
    monkeypatch.setattr(processors, "cpu_quota", lambda _: 3)
    assert processors.quota_threads() == 3
    for quota in (None, ALLOWED, ALLOWED + 1):
        monkeypatch.setattr(processors, "cpu_quota", lambda _, quota=quota: quota)
        assert processors.quota_threads() is None


def test_a_process_takes_no_more_than_it_says(monkeypatch, tmp_path):
    monkeypatch.setattr(processors, "_taken", None)
    assert processors.usable_processors(tmp_path) == ALLOWED
    processors.take_at_most(3)
    assert processors.usable_processors(tmp_path) == 3
    monkeypatch.setattr(processors, "cpu_quota", lambda root: 2)
    assert processors.usable_processors(tmp_path) == 2
    processors.take_at_most(1)
    assert processors.usable_processors(tmp_path) == processors.quota_threads() == 1

"""Tests that are dealt out to workers: a build is made once, a file stays together, what is long begins first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_fast.machine.processors import usable_processors

TESTS = Path(__file__).parent
#: Each test says who ran it; a build is a line, too.
CONFTEST = """
import os
import pytest
from workers import once, pytest_collection_modifyitems, pytest_xdist_auto_num_workers, pytest_xdist_make_scheduler

def say(name):
    with open(os.environ["SAID"], "a") as file:
        file.write(f"{os.environ.get('PYTEST_XDIST_WORKER')} {name}\\n")

@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    once(tmp_path_factory, "built", lambda folder: say("built"))

@pytest.fixture(autouse=True)
def said(request):
    yield
    say(request.node.name)
"""
FILES = {
    "test_a.py": "def test_a1(): pass\ndef test_a2(): pass\n",
    "test_b.py": "def test_b1(): pass\ndef test_b2(prefix): pass\n",
    "test_c.py": "def test_c1(prefix): pass\ndef test_c2(): pass\n",
    "test_d.py": "import pytest\n@pytest.mark.long\n@pytest.mark.parametrize('version', (1, 2, 3))\n"
    "def test_the_suite_without_torch(version): pass\n",
}
SUITES = [f"test_the_suite_without_torch[{version}]" for version in (1, 2, 3)]
ALL = {"built", *SUITES, *(f"test_{file}{number}" for file in "abc" for number in (1, 2))}


@pytest.fixture
def said(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """Runs the files above with options of pytest; gives worker and name of all that was said."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nmarkers = long\n")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    def said(*options: str) -> list[tuple[str, str]]:
        (tmp_path / "said").write_text("")
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        paths = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
        command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *options]
        environment = own | {"PYTHONPATH": paths, "SAID": str(tmp_path / "said")}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split() for line in (tmp_path / "said").read_text().splitlines()]
        return [(worker, name) for worker, name in lines]

    return said


def test_among_workers(said: Callable[..., list[tuple[str, str]]]) -> None:
    lines = said("-n", "3")
    workers = {name: worker for worker, name in lines}
    assert set(workers) == ALL and len(lines) == len(ALL)
    assert "\ndef test_the_suite_without_torch(" in (TESTS / "test_pythons.py").read_text()
    assert {workers[name] for name in SUITES} == {"gw0", "gw1", "gw2"}
    assert [next(name for worker, name in lines if worker == workers[suite]) for suite in SUITES] == SUITES
    for file in "abc":
        assert workers[f"test_{file}1"] == workers[f"test_{file}2"]


def test_of_one_worker_what_is_long_begins_first(said: Callable[..., list[tuple[str, str]]]) -> None:
    names = [name for _, name in said("-n", "1")]
    assert names == [*SUITES, "built", "test_b2", "test_b1", "test_c1", "test_c2", "test_a1", "test_a2"]


def test_without_workers(said: Callable[..., list[tuple[str, str]]]) -> None:
    assert [name for _, name in said("-m", "not long")] == ["test_a1", "test_a2", "test_b1", "test_c2"]


def test_workers_are_as_many_as_processors(said: Callable[..., list[tuple[str, str]]]) -> None:
    assert {worker for worker, _ in said("-n", "auto")} <= {f"gw{number}" for number in range(usable_processors())}

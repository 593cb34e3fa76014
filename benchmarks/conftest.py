"""What the suites share: the cases of `fer_fast.bench`, checked before they are timed; and what ran where."""

import tempfile
from functools import cache
from pathlib import Path

import pytest

from fer_fast.bench.environment import environment
from fer_fast.bench.forms import Graphs
from fer_fast.bench.material import Material, made_folders
from fer_fast.bench.measure import check
from fer_fast.bench.stages.folder import Runs
from fer_fast.bench.suite import Choice, cases


def pytest_benchmark_update_machine_info(config, machine_info):
    """Says of the machine what every other result says of it, and no host name."""
    machine_info.clear()
    machine_info.update(environment())


@cache
def material():
    """What is measured on: the same for all suites."""
    work = Path(_folder.name)
    return Material("fast", made_folders(work, faces=256, photos=32, seed=0), work)


@cache
def cases_of(stage):
    """Every case of a stage; nothing is compiled before it is run."""
    found = cases(material(), Graphs(material()), Choice(stages=(stage,)), Runs(material()))
    return [case for case in found if case.key.stage == stage]


def pytest_generate_tests(metafunc):
    """Gives `case` the cases of the module's STAGE."""
    if "case" in metafunc.fixturenames:
        found = cases_of(metafunc.module.STAGE)
        names = [" ".join(str(part) for part in case.key[1:] if part) for case in found]
        metafunc.parametrize("case", found, ids=names)


@pytest.fixture
def timed(benchmark):
    """Times a case, if its answer is right."""

    def run(case):
        measured, prepared = check(case)
        if measured.state == "absent":
            pytest.skip(measured.reason)
        assert measured.state == "ok", measured.reason
        benchmark.extra_info.update(case.key._asdict(), images_a_call=case.count)
        benchmark(prepared.call)

    return run


_folder = tempfile.TemporaryDirectory(prefix="fer-fast-")

"""What the suites share: the cases of `fer_fast.bench`, checked before they are timed; and what ran where."""

import tempfile
import time
from functools import cache
from pathlib import Path

import pytest

from fer_fast.bench.environment import environment
from fer_fast.bench.forms import Graphs
from fer_fast.bench.material import Material, made_folders
from fer_fast.bench.measure import check
from fer_fast.bench.stages.folder import Runs
from fer_fast.bench.suite import Choice, cases
from fer_fast.machine.devices import present_devices


def pytest_benchmark_update_machine_info(config, machine_info):
    """Says of the machine what every other result says of it, and no host name."""
    machine_info.clear()
    machine_info.update(environment())


@cache
def material():
    """What is measured on: the same for all suites."""
    work = Path(_folder.name)
    return Material("fast", made_folders(work, faces=256, photos=32, seed=0), work, present_devices())


@cache
def cases_of(stage):
    """Every case of a stage; nothing is compiled before it is run."""
    found = cases(material(), Graphs(material()), Choice(stages=(stage,)), Runs(material()))
    return [case for case in found if case.key.stage == stage]


def pytest_generate_tests(metafunc):
    """Gives `case` the cases of the module's STAGES, or of one of its devices alone."""
    if "case" in metafunc.fixturenames:
        device = getattr(metafunc.module, "DEVICE", None)
        here = device is None or device in present_devices()
        found = [case for stage in metafunc.module.STAGES for case in (cases_of(stage) if here else ())]
        found = [case for case in found if device in (None, case.key.device)]
        names = [" ".join(str(part) for part in case.key[1:] if part) for case in found]
        metafunc.parametrize("case", found, ids=names)


class _Clock:
    """The time on the wall, but that what a card does lasts as long as the card says."""

    def __init__(self):
        self._ahead = 0.0

    def now(self):
        return time.perf_counter() + self._ahead

    def call(self, prepared):
        """The call that pytest-benchmark times by `now`."""
        if prepared.timer is None:  # it waits for its answer
            return prepared.call

        def by_the_card():
            begun = time.perf_counter()
            seconds, _ = prepared.time(1)
            self._ahead += seconds - (time.perf_counter() - begun)

        return by_the_card


CLOCK = _Clock()


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=CLOCK.now))


@pytest.fixture
def timed(benchmark):
    """Times a case, if its answer is right: on a card by the card's own events, as `fer-fast bench` does."""

    def run(case):
        measured, prepared = check(case)
        if measured.state == "absent":
            pytest.skip(measured.reason)
        assert measured.state == "ok", measured.reason
        benchmark.extra_info.update(case.key._asdict(), images_a_call=case.count)
        benchmark(CLOCK.call(prepared))

    return run


_folder = tempfile.TemporaryDirectory(prefix="fer-fast-")

"""How pytest-benchmark times the suites' cases: by the wall, and on a card by the timer that the case brings."""

import importlib.util
import time
from pathlib import Path

import pytest

from fer_fast.bench.case import Prepared

SPEC = importlib.util.spec_from_file_location("suites", Path(__file__).parents[1] / "benchmarks" / "conftest.py")
suites = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(suites)


@pytest.fixture
def measured(benchmark):
    """The fixture, which times nothing of its own accord where pytest has workers."""
    benchmark.disabled = False
    return benchmark


@pytest.mark.benchmark(timer=suites.CLOCK.now, min_rounds=3, max_time=0, warmup=False)
def test_a_card_says_how_long_its_calls_last(measured):
    asked = []

    def timer(calls):
        asked.append(calls)
        return calls * 40.0, [40.0] * calls

    measured(suites.CLOCK.call(Prepared(lambda: pytest.fail("launched, and nobody waits for it"), timer=timer)))
    assert measured.stats.stats.min == pytest.approx(40, abs=0.1)
    assert set(asked) == {1}


@pytest.mark.benchmark(timer=suites.CLOCK.now)
def test_a_processors_calls_last_as_long_as_the_wall_says(measured):
    lasted = []

    def call():
        begun = time.perf_counter()
        sum(range(1000))
        lasted.append(time.perf_counter() - begun)

    measured.pedantic(suites.CLOCK.call(Prepared(call)), rounds=5)
    assert min(lasted) <= measured.stats.stats.min <= measured.stats.stats.max
    assert len(lasted) == 5


def test_a_suite_of_a_device_that_is_not_there_has_no_case(monkeypatch):
    monkeypatch.setattr(suites, "present_devices", lambda: ("cpu",))
    monkeypatch.setattr(suites, "cases_of", lambda stage: pytest.fail("made for nothing"))
    given = {}

    class Function:
        fixturenames = ("case",)

        class module:  # noqa: N801
            STAGES, DEVICE = ("tokens",), "cuda"

        @staticmethod
        def parametrize(name, cases, ids):
            given[name] = cases, ids

    suites.pytest_generate_tests(Function)
    assert given == {"case": ([], [])}

"""The timing loop against logs of its own calls and figures worked by hand; nothing here looks at a clock."""

from __future__ import annotations

import math
import threading
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from fer_fast.bench import cuda_timing
from fer_fast.bench.case import Agreement, Case, Key, Prepared, wall_clock
from fer_fast.bench.measure import (
    LEAST_NOISE,
    MIN_ROUNDS,
    Measured,
    calls_in,
    is_known,
    measure,
    noise,
    percentile,
    standard_error,
)
from fer_fast.types import FerFastError

NO_TIME, FOREVER = 0.0, math.inf


def case(form, prepare, engine="torch", **options):
    return Case(Key("vit", form, engine, "cpu", "fp32", 1), prepare, count=1, **options)


def timed(form, timer, **options):
    """A case of one call a round whose clock is a function."""
    return case(form, lambda: Prepared(lambda: None, calls=1, timer=timer), **options)


def one_second(calls):
    return 1.0, [1.0] * calls


def answering(error, log):
    """A case whose answer is so far off, and which logs that it is called."""
    check = partial(Agreement, error, 0.05, "largest difference")
    return case("answering", lambda: Prepared(lambda: log.append("called"), check, calls=1))


def broken(error):
    def prepare():
        raise error

    return case("broken", prepare)


def test_cases_are_prepared_then_timed_in_turn():
    log, said = [], []

    def logged(form):
        def timer(calls):
            log.append(form)
            return one_second(calls)

        return timed(form, timer)

    found = measure([logged("A"), logged("B")], NO_TIME, 1.0, said.append)
    assert log == ["A", "B"] * MIN_ROUNDS
    assert [len(each.rates) for each in found] == [MIN_ROUNDS] * 2
    steps = ("preparing vit: A", "preparing vit: B", "round 1: vit: A", "round 1: vit: B")
    assert all(line.startswith(step) for line, step in zip(said, steps, strict=False)), said


def test_rates_are_of_calls_and_seconds_of_each():
    def timer(calls):
        return 2.0, [0.1] * calls

    (found,) = measure([case("A", lambda: Prepared(lambda: None, calls=8, timer=timer, note="n"))], NO_TIME, 1.0)
    assert (found.state, found.rates, found.seconds, found.note) == ("ok", [4.0] * 3, [0.1] * 24, "n")


@pytest.mark.parametrize(("error", "shown"), [(0.25, "0.25"), (math.nan, "nan"), (math.inf, "inf")])
def test_a_wrong_answer_gets_no_time(error, shown):
    log = []
    wrong, right = measure([answering(error, log), timed("right", one_second)], NO_TIME, 1.0)
    assert (wrong.state, wrong.rates, wrong.seconds, log) == ("failed", [], [], [])
    assert wrong.reason == f"largest difference: {shown}, which is more than 0.05"
    assert wrong.agreement.tolerance == 0.05 and right.state == "ok"


def test_an_answer_at_the_tolerance_is_right():
    log = []
    (found,) = measure([answering(0.05, log)], NO_TIME, 1.0)
    assert (found.state, len(log)) == ("ok", MIN_ROUNDS)


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (ValueError("no such\nprecision"), "absent", "no such precision"),
        (FerFastError("no bf16"), "absent", "no bf16"),
        (ImportError(), "absent", "ImportError"),
        (ArithmeticError("off by 3"), "failed", "ArithmeticError: off by 3"),
        (KeyError("x"), "failed", "KeyError: 'x'"),
    ],
)
def test_what_cannot_be_prepared_says_why_and_the_others_still_run(error, state, reason):
    other, one = measure([broken(error), timed("one", one_second)], NO_TIME, 1.0)
    assert (other.state, other.reason, other.rates) == (state, reason, [])
    assert (one.state, len(one.rates)) == ("ok", MIN_ROUNDS)


def test_an_answer_that_cannot_be_compared_is_wrong():
    def check():
        return list(zip([1], [1, 2], strict=True))

    (found,) = measure([case("A", lambda: Prepared(lambda: None, check, calls=1))], NO_TIME, 1.0)
    assert found.state == "failed"


def test_what_fails_while_it_is_timed_says_why_and_the_others_still_run():
    def fails(calls):
        raise FerFastError("wrote no row")

    other, one = measure([timed("other", fails), timed("one", one_second)], NO_TIME, 1.0)
    assert other.state != "ok" and "wrote no row" in other.reason
    assert (one.state, len(one.rates)) == ("ok", MIN_ROUNDS)


def test_nothing_that_can_be_timed_ends_by_itself():
    assert [each.state for each in measure([broken(ValueError("no"))], FOREVER, 1.0)] == ["absent"]


def test_a_case_is_timed_as_often_as_it_allows():
    slow, fast = measure([timed("slow", one_second, rounds=1), timed("fast", one_second)], FOREVER, 1.0)
    assert (len(slow.rates), len(fast.rates)) == (1, MIN_ROUNDS)


def unsteady():
    """One call in the second round takes two seconds, all others one."""
    durations = iter([1.0, 2.0])
    return timed("unsteady", lambda calls: (next(durations, 1.0), []))


def test_rounds_end_when_the_median_is_known():
    # n rates of 1 and one of 0.5: their deviation is 0.5 / sqrt(n), the median's error 1.2533 * 0.5 / n; 2 % at 31.3.
    (found,) = measure([unsteady()], FOREVER, 1.0)
    assert len(found.rates) == 32


@pytest.fixture
def clock(monkeypatch):
    """What the loop takes for the time: it passes only as a test says."""
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now, process_time=lambda: clock.now)
    monkeypatch.setattr("fer_fast.bench.measure.time", clock)
    return clock


@pytest.mark.parametrize(("seconds", "rounds"), [(0, MIN_ROUNDS), (55, 5), (60, 6)])
def test_no_round_is_begun_that_would_end_late(clock, seconds, rounds):
    def timer(calls):
        clock.now += 10.0
        return 1.0 + clock.now % 20, []  # never known

    (found,) = measure([timed("A", timer)], seconds, 1.0)
    assert len(found.rates) == rounds


def test_the_short_run_comes_first_and_torch_compile_last(clock):
    log = []

    def slow(form, **options):
        def prepare():
            clock.now += 10.0
            log.append(form)
            return Prepared(lambda: None, calls=1, timer=one_second)

        return case(form, prepare, **options)

    cases = [slow("compiled", engine="torch.compile", quick=False), slow("long", quick=False), slow("short")]
    for seconds, states in ((40, ["ok", "ok", "ok"]), (39, ["absent", "ok", "ok"]), (0, ["absent", "absent", "ok"])):
        log.clear()
        found = measure(cases, seconds, 1.0)
        assert [each.case for each in found] == cases and [each.state for each in found] == states
        assert log == ["short", "long", "compiled"][: states.count("ok")]
    assert "no time was left" in found[0].reason
    second = slow("compiled, too", engine="torch.compile", quick=False)
    assert [each.state for each in measure([*cases, second], 40, 1.0)] == ["ok"] * 4  # what was compiled is shared


@pytest.mark.parametrize(("threads", "calls"), [(1, 4), (2, 8)])
def test_a_round_takes_as_many_calls_as_fit(threads, calls):
    asked = []

    def half_a_second(count):
        asked.append(count)
        return 0.5, []

    assert calls_in(Prepared(lambda: None, threads=threads, timer=half_a_second), burst=2.0) == calls
    assert asked == [threads] * 2  # the first one warms up
    assert calls_in(Prepared(lambda: None, threads=threads, timer=half_a_second), burst=0.1) == threads
    assert calls_in(Prepared(lambda: None, calls=7, threads=threads), burst=2.0) == 7


def test_statistics_by_hand():
    assert standard_error([9.0, 10.0, 11.0]) == pytest.approx(1.2533 / math.sqrt(3) / 10)
    assert noise([9.0, 10.0, 11.0]) == pytest.approx(4 * 1.2533 / math.sqrt(3) / 10)
    assert noise([100.0, 101.0, 99.0]) == noise([100.0]) == LEAST_NOISE
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert [percentile([3.0, 1.0, 2.0], share) for share in (0.0, 0.3, 0.5, 0.95)] == [1, 1, 2, None]
    assert percentile(values[:99], 0.99) is None and percentile(values[:20], 0.95) == 99


@pytest.mark.parametrize(
    ("rates", "rounds", "known"),
    [
        ([10.0, 10.0], None, False),  # too few, however well they agree
        ([10.0, 10.0, 10.0], None, True),
        ([9.0, 10.0, 11.0], None, False),  # 7 %
        ([9.8, 10.0, 10.2], None, True),  # 1.4 %
        ([10.0], 1, True),
        ([9.0, 10.0, 11.0], 4, False),
    ],
)
def test_when_more_rounds_tell_nothing_new(rates, rounds, known):
    assert is_known(Measured(timed("A", one_second, rounds=rounds), rates=rates)) is known


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_call_at_once_and_each_call_is_timed(threads):
    together, names = threading.Barrier(threads), set()

    def call():
        names.add(threading.get_ident())
        together.wait(timeout=30)  # breaks unless so many calls are inside at once

    elapsed, durations = wall_clock(call, 6, threads)
    assert len(durations) == 6 and len(names) == threads
    assert elapsed >= max(durations) > 0


@pytest.mark.needs_cuda
@pytest.mark.parametrize("copies", [1, 3])
def test_graphs_replay_the_calls_in_turn(copies):
    counters = [torch.zeros(4, device="cuda") for _ in range(copies)]
    ready = cuda_timing.prepared_in_turn([partial(counter.add_, 1) for counter in counters])
    for counter in counters:
        counter.zero_()
    elapsed, durations = ready.time(7)
    assert [counter.tolist() for counter in counters] == [
        [float(len(range(number, 7, copies)))] * 4 for number in range(copies)
    ]
    assert len(durations) == 7 and min(durations) > 0
    assert elapsed >= max(durations) and ready.note == "CUDA graph"


@pytest.mark.needs_cuda
def test_a_replayed_graph_computes_what_the_call_computes():
    generator = torch.Generator("cuda").manual_seed(0)
    a, b = torch.rand(2, 64, 64, device="cuda", generator=generator)
    out = torch.empty_like(a)
    ready = cuda_timing.prepared(lambda: torch.mm(a, b, out=out), lambda _: Agreement(0.0, 0.0, "none"))
    a.copy_(torch.rand(64, 64, device="cuda", generator=generator))
    out.zero_()
    ready.time(1)
    torch.testing.assert_close(out, a @ b)
    assert ready.check is not None and torch.equal(ready.call(), a @ b)

    def inferred():
        with torch.inference_mode():
            return a @ b

    def difference(answer):
        return Agreement(float((answer - a @ b).abs().max()), 1e-5, "difference")

    checked = cuda_timing.prepared(inferred, difference)
    assert checked.check is not None and checked.check().holds

"""Checks cases, then times them in turn, round after round, so that a busy moment hits all; rates and their noise."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fer_fast.bench.case import Agreement, Case, Prepared
from fer_fast.types import FerFastError, one_line

#: The engine that takes half a minute and more to prepare.
COMPILED = "torch.compile"
#: Share of the time that preparing may take; the rest is for the rounds.
PREPARING = 0.5
#: Rounds that a median needs at least.
MIN_ROUNDS = 3
#: Of the median: once every case is known as well as this, more rounds tell nothing new.
KNOWN = 0.02
#: Below this two runs are never called different, however well their rounds agree: clocks and other work on the
#: machine move it by as much.
LEAST_NOISE = 0.05


@dataclass
class Measured:
    """What became of one case.

    Attributes:
        case: which one.
        state: ok, failed (a wrong answer, or broken) or absent (not to be had here).
        reason: why it has no time; empty if it is ok.
        agreement: with the reference; None where there is nothing to compare.
        rates: calls a second, one a round.
        seconds: of each timed call.
        cpu_seconds: of all cores, in all timed calls of this process.
        note: see `Prepared`.
    """

    case: Case
    state: str = "ok"
    reason: str = ""
    agreement: Agreement | None = None
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    note: str = ""


def measure(
    cases: Sequence[Case],
    seconds: float,
    burst: float,
    report: Callable[[str], None] = lambda doing: None,
    prepared_all: Callable[[], None] = lambda: None,
) -> list[Measured]:
    """Prepares and checks all cases, then times them in turn: A B C, A B C, ...

    A slow minute of the machine so hits all cases alike, and the rounds of one case are spread over the whole run:
    their spread is the noise between runs, too.

    Args:
        cases: what to measure.
        seconds: for everything. A round that would end later is not begun, but for the first `MIN_ROUNDS`; what is not
            in the short run is left out if `PREPARING` of it is over before there was time to prepare it.
        burst: seconds that a case is timed for in one round, or one call, if that takes longer.
        report: called with what is done next.
        prepared_all: called between preparing and timing: ends what helped to prepare.

    Returns:
        One result for each case, in their order.
    """
    begun = time.monotonic()
    results: dict[int, Measured] = {}
    ready: list[tuple[Measured, Prepared]] = []
    for number in sorted(range(len(cases)), key=lambda number: _urgency(cases[number])):
        case = cases[number]
        # Compiling is shared by all cases that need it: the second takes no time.
        shared = case.key.engine == COMPILED and any(each.case.key.engine == COMPILED for each, _ in ready)
        if not (case.quick or shared) and time.monotonic() > begun + PREPARING * seconds:
            results[number] = Measured(case, "absent", "no time was left for it; a run of fewer stages has more")
            continue
        report(f"preparing {case.key.stage}: {case.key.form}, {case.key.engine} {case.key.precision}")
        measured, prepared = check(case)
        results[number] = measured
        if prepared is not None:
            ready.append((measured, prepared))
    prepared_all()
    _rounds(ready, begun + seconds, burst, report)
    return [results[number] for number in range(len(cases))]


def _urgency(case: Case) -> tuple[bool, bool, bool]:
    """What the short run has comes first, then whole folders; torch.compile, which takes half a minute, comes last."""
    return not case.quick, case.key.engine == COMPILED, case.key.stage != "folder"


def _rounds(
    ready: Sequence[tuple[Measured, Prepared]], deadline: float, burst: float, report: Callable[[str], None]
) -> None:
    """Times everything in turn until all is known or the next round would end late."""
    calls: dict[int, int] = {}
    for number in itertools.count(1):
        begun = time.monotonic()
        for index, (measured, prepared) in enumerate(ready):
            if is_finished(measured):
                continue
            report(f"round {number}: {measured.case.key.stage}: {measured.case.key.form}")
            try:
                if index not in calls:
                    calls[index] = calls_in(prepared, burst)
                cpu = time.process_time()
                elapsed, seconds = prepared.time(calls[index])
                measured.cpu_seconds += time.process_time() - cpu
            except Exception as error:
                _broken(measured, error)
                continue
            measured.rates.append(calls[index] / elapsed)
            measured.seconds += seconds
        now = time.monotonic()
        late = now + (now - begun) > deadline
        if number >= MIN_ROUNDS and (late or all(is_known(measured) for measured, _ in ready)):
            return


def check(case: Case) -> tuple[Measured, Prepared | None]:
    """Makes a case ready and compares its answer; nothing to time comes back if it may not be timed."""
    try:
        prepared = case.prepare()
    except (ValueError, ImportError, FerFastError) as error:
        return Measured(case, "absent", one_line(error)), None
    except Exception as error:  # whatever broke, the other rows are still worth having
        return _broken(Measured(case), error), None
    try:
        agreement = prepared.check() if prepared.check else None
    except Exception as error:
        return _broken(Measured(case), error), None
    measured = Measured(case, agreement=agreement, note=prepared.note)
    if agreement is None or agreement.holds:
        return measured, prepared
    measured.state = "failed"
    measured.reason = f"{agreement.measure}: {agreement.error:.3g}, which is more than {agreement.tolerance:.3g}"
    return measured, None


def calls_in(prepared: Prepared, burst: float) -> int:
    """Calls of one round: as many as take about `burst` seconds, as often for each thread; the warm-up, too."""
    if prepared.calls is not None:
        return prepared.calls
    prepared.time(prepared.threads)
    elapsed, _ = prepared.time(prepared.threads)
    return prepared.threads * max(1, round(burst / max(elapsed, 1e-9)))


def is_finished(measured: Measured) -> bool:
    """Whether it is not timed again: it broke, or was timed as often as it may be."""
    return measured.state != "ok" or (measured.case.rounds is not None and len(measured.rates) >= measured.case.rounds)


def is_known(measured: Measured) -> bool:
    """Whether more rounds would tell nothing new."""
    return is_finished(measured) or (len(measured.rates) >= MIN_ROUNDS and standard_error(measured.rates) <= KNOWN)


def standard_error(values: Sequence[float]) -> float:
    """Of the median, as a share of it."""
    return 1.2533 * statistics.stdev(values) / math.sqrt(len(values)) / statistics.median(values)


def noise(values: Sequence[float]) -> float:
    """By how much, as a share, the median of another run may differ by chance: four of its standard errors.

    Four, because a run has some sixty rows and none of them may cry wolf.
    """
    return max(LEAST_NOISE, 4 * standard_error(values) if len(values) > 1 else LEAST_NOISE)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed (nearest rank).

    None if there are so few values that it would be the largest of them.
    """
    if share > 0.5 and len(values) * (1 - share) < 1 - 1e-9:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _broken(measured: Measured, error: Exception) -> Measured:
    measured.state, measured.reason = "failed", f"{type(error).__name__}: {one_line(error)}"
    return measured

"""Timing: cases come in, are checked and then timed in turn; rates, latencies and their noise go out."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fer_fast.bench.case import Agreement, Case, Prepared
from fer_fast.types import FerFastError

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
        note: see `Prepared`.
    """

    case: Case
    state: str = "ok"
    reason: str = ""
    agreement: Agreement | None = None
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    note: str = ""


def measure(
    cases: Iterable[Case],
    deadline: float,
    burst: float,
    report: Callable[[str], None] = lambda doing: None,
) -> list[Measured]:
    """Prepares and checks all cases, then times them in turn: A B C, A B C, ...

    A slow minute of the machine so hits all cases alike, and the rounds of one case are spread over the whole run:
    their spread is the noise between runs, too.

    Args:
        cases: what to measure.
        deadline: of `time.monotonic()`; a round that would end later is not begun, but for the first `MIN_ROUNDS`.
        burst: seconds that a case is timed for in one round, or one call, if that takes longer.
        report: called with what is done next.
    """
    ready: list[tuple[Measured, Prepared, int]] = []
    results = []
    for case in cases:
        report(f"preparing {case.key.stage}: {case.key.form}")
        measured, prepared = check(case)
        results.append(measured)
        if prepared is not None:
            ready.append((measured, prepared, calls_in(prepared, burst)))
    for number in range(1, 10_000):
        begun = time.monotonic()
        for measured, prepared, calls in ready:
            if measured.case.rounds is None or len(measured.rates) < measured.case.rounds:
                report(f"round {number}: {measured.case.key.stage}: {measured.case.key.form}")
                elapsed, seconds = prepared.time(calls)
                measured.rates.append(calls / elapsed)
                measured.seconds += seconds
        now = time.monotonic()
        late = now + (now - begun) > deadline
        if number >= MIN_ROUNDS and (late or all(is_known(measured) for measured, _, _ in ready)):
            break
    return results


def check(case: Case) -> tuple[Measured, Prepared | None]:
    """Makes a case ready and compares its answer; nothing to time comes back if it may not be timed."""
    try:
        prepared = case.prepare()
        agreement = prepared.check() if prepared.check else None
    except (ValueError, ImportError, FerFastError) as error:
        return Measured(case, "absent", _one_line(error)), None
    except Exception as error:  # whatever broke, the other rows are still worth having
        return Measured(case, "failed", f"{type(error).__name__}: {_one_line(error)}"), None
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


def is_known(measured: Measured) -> bool:
    """Whether more rounds would tell nothing new."""
    finished = measured.case.rounds is not None and len(measured.rates) >= measured.case.rounds
    return finished or (len(measured.rates) >= MIN_ROUNDS and standard_error(measured.rates) <= KNOWN)


def standard_error(values: Sequence[float]) -> float:
    """Of the median, as a share of it."""
    return 1.2533 * statistics.stdev(values) / math.sqrt(len(values)) / statistics.median(values)


def noise(values: Sequence[float]) -> float:
    """By how much, as a share, the median of another run may differ by chance: the furthest round from the median."""
    middle = statistics.median(values)
    return max(LEAST_NOISE, max(abs(value / middle - 1) for value in values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__

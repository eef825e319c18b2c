"""Samples of a duet -> comparisons, each with its interval and its word, the error of all of them bounded. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence

from int8bench.compare.comparisons import UNCLEAR, Comparison, Metric, SideRatio, worded
from int8bench.compare.duet.samples import DuetSamples, PairedFork, TrackedNumbers
from int8bench.lab.agent.suites.grid_suite import ANSWERS, COST
from int8bench.lab.agent.suites.suite import TIME
from int8bench.stats.limits import (
    CONFIDENCE,
    ERROR_RATE,
    FAMILY_ERROR_RATE,
    LAUNCHES_FOR_A_SPREAD,
    MARGIN,
    Verdict,
    why_too_few,
)
from int8bench.stats.ratio import LaunchTable, comparison_error, estimate
from int8bench.stats.verdict import Looks, judge, nominal_error_at
from int8bench.study.racing import by_launch

MOST_MORE_LAUNCHES = 200  # that somebody would wait for
# Numbers that are what they are, without noise: of these any difference is one.
EXACT = {Metric.WEIGHTS, Metric.SQNR, Metric.TOP1}
FLOAT32 = "float32/"  # how the ids of the grid's reference begin

Table = tuple[tuple[float, ...], ...]
"""Log of head over base: (launch, fork)."""


def error_of_each(names: Mapping[str, str], *, each: float = ERROR_RATE, family: float = FAMILY_ERROR_RATE) -> float:
    """Return the error of one comparison, so that the whole suite's is bounded.

    A timed benchmark has a time and perhaps a throughput, and a speed-up where its float32 is there; a tracked one
    may hold three metrics; and whether head fails more often is asked of each.

    Args:
        names: the kind of each benchmark by its id.
        each: the largest error that one comparison may have.
        family: the largest error that all of them may have together.
    """
    most = sum(3 + (_reference(name) in names) if kind == TIME else 4 for name, kind in names.items())
    return comparison_error(max(1, most), each=each, family=family)


def comparisons(
    names: Mapping[str, str], samples: DuetSamples, looks: Looks, track_looks: Looks, error: float
) -> tuple[Comparison, ...]:
    """Return every comparison of the suite, in its order.

    Args:
        names: of the benchmarks that both sides have, and of what kind each is.
        samples: what was measured.
        looks: the launches at which times were looked at.
        track_looks: those of tracked numbers.
        error: of one verdict.
    """
    made: list[Comparison] = []
    for name, kind in names.items():
        if (nothing := samples.why_nothing(name)) is not None:
            made.append(Comparison.unclear(_id(name), Metric.TIME if kind == TIME else Metric.TRACKED, nothing))
        elif kind == TIME:
            made += _of_times(name, samples, looks, error)
        else:
            made += _of_numbers(name, samples.numbers.get(name, []), track_looks, error)
    return (*made, *_of_speedups(names, samples, looks, error))


def compared(name: str, metric: Metric, table: Table, looks: Looks, error: float, *, pairs: int) -> Comparison:
    """Return one comparison from log-ratios of head over base.

    Args:
        name: the benchmark's id.
        metric: of the two numbers.
        table: log of head over base (launch, fork).
        looks: the launches at which the verdict may be made.
        error: of the verdict.
        pairs: samples taken back to back, in all forks.
    """
    if len(table) < LAUNCHES_FOR_A_SPREAD:
        return Comparison.unclear(_id(name), metric, why_too_few(len(table), LAUNCHES_FOR_A_SPREAD))
    launches = LaunchTable(log_ratios=table, pairs=pairs)
    shown, judged = (nominal_error_at(looks, len(table), each) for each in (1 - CONFIDENCE, error))
    if not estimate(launches, confidence=CONFIDENCE, nominal_error=min(shown, judged)).is_bounded:
        return Comparison.unclear(_id(name), metric, "it differs from launch to launch by more than any ratio can say")
    ratio = estimate(launches, confidence=CONFIDENCE, nominal_error=shown)
    judgement = judge(launches, nominal_error=judged, margin=0.0 if metric in EXACT else MARGIN)
    return Comparison(
        id=_id(name),
        metric=metric,
        verdict=worded(judgement.verdict, metric),
        ratio=SideRatio(value=ratio.value, low=ratio.low, high=ratio.high),
        launches=ratio.launches,
        forks=ratio.forks,
        pairs=ratio.pairs,
        smallest_visible_effect=judgement.smallest_visible_effect,
        reason=_reason(judgement.reason, judgement.more_launches),
    )


def is_settled(name: str, samples: DuetSamples, looks: Looks, error: float) -> bool:
    """Tell whether a timed benchmark needs no more launches: its verdict is made, or it is not measured any more.

    Args:
        name: the benchmark's id.
        samples: what was measured so far.
        looks: the launches at which the verdict may be made.
        error: of the verdict.
    """
    forks = samples.forks.get(name, [])
    table = by_launch((fork.launch, fork.log_ratio) for fork in forks)
    return name in samples.gone or (
        len(table) >= LAUNCHES_FOR_A_SPREAD
        and compared(name, Metric.TIME, table, looks, error, pairs=_pairs(forks)).verdict != UNCLEAR
    )


def _of_times(name: str, samples: DuetSamples, looks: Looks, error: float) -> Iterable[Comparison]:
    forks, loads = samples.forks.get(name, []), samples.loads.get(name, [])
    table = by_launch((fork.launch, fork.log_ratio) for fork in forks)
    yield compared(name, Metric.TIME, table, looks, error, pairs=_pairs(forks))
    if loads:
        table = by_launch((load.launch, load.log_ratio) for load in loads)
        yield compared(name, Metric.THROUGHPUT, table, _one_look(table), error, pairs=2 * len(loads))


def _of_speedups(names: Mapping[str, str], samples: DuetSamples, looks: Looks, error: float) -> Iterable[Comparison]:
    """Yield the comparison of each int8 cell's speed-up: float32's log-ratio less int8's, fork by fork."""
    for name, kind in names.items():
        reference = _reference(name)
        if kind != TIME or reference is None or not {name, reference} <= samples.forks.keys():
            continue
        of_float32 = {(fork.launch, fork.fork): fork for fork in samples.forks[reference]}
        both = [
            (of_float32[mine.launch, mine.fork], mine)
            for mine in samples.forks[name]
            if (mine.launch, mine.fork) in of_float32
        ]
        table = by_launch((mine.launch, theirs.log_ratio - mine.log_ratio) for theirs, mine in both)
        yield compared(name, Metric.SPEEDUP, table, looks, error, pairs=_pairs([mine for _, mine in both]))


def _of_numbers(name: str, numbers: Sequence[TrackedNumbers], looks: Looks, error: float) -> Iterable[Comparison]:
    keys = dict.fromkeys(key for number in numbers for key in (*number.base, *number.head))
    if not keys:
        yield Comparison.unclear(_id(name), Metric.TRACKED, "not measured yet")
    for key in keys:
        metric = Metric(key) if key in set(Metric) else Metric.TRACKED
        sides = [(number.launch, number.base.get(key), number.head.get(key)) for number in numbers]
        reason = next((why for _, base, head in sides if (why := _objection(key, base, head))), None)
        if all(_is_gone(metric, base, head) for _, base, head in sides):
            yield _gone(name, metric, len(numbers))
        elif reason is not None:
            yield Comparison.unclear(_id(name), metric, reason)
        else:
            table = by_launch((launch, _log_ratio(float(base or 0), float(head or 0))) for launch, base, head in sides)
            yield compared(name, metric, table, looks, error, pairs=len(numbers))


def _is_gone(metric: Metric, base: float | None, head: float | None) -> bool:
    """Tell whether nothing is left of a number; of decibels, where there is more noise than signal."""
    if base is None or head is None or base <= 0:
        return False
    return head == 0 or (metric is Metric.SQNR and head < 0)


def _objection(metric: str, base: float | None, head: float | None) -> str | None:
    """Return the reason why two numbers have no ratio; None where they have one, as the same numbers always do."""
    for side, value in (("base", base), ("head", head)):
        if value is None:
            return f"{side} has no {metric}"
        if not math.isfinite(value) and base != head:
            return f"{side} is {value}"
    if base != head and (base is None or head is None or base <= 0 or head <= 0):
        return f"base is {base:g}, head is {head:g}: there is no ratio of these"
    return None


def _reference(name: str) -> str | None:
    """Return the float32 cell that an int8 cell of the grid is held to; None for float32 itself."""
    return None if name.startswith(FLOAT32) else FLOAT32 + name.partition("/")[2]


def _log_ratio(base: float, head: float) -> float:
    return 0.0 if base == head else math.log(head / base)


def _pairs(forks: Sequence[PairedFork]) -> int:
    return sum(sum(fork.kept) for fork in forks)


def _one_look(table: Table) -> Looks:
    return Looks(launches=(max(2, len(table)),))


def _id(name: str) -> str:
    """Return the id under which a benchmark's comparisons are shown."""
    return name.removesuffix(COST).removesuffix(ANSWERS)


def _gone(name: str, metric: Metric, launches: int) -> Comparison:
    """Return the comparison of a number that is nothing in head, such as the accuracy of a broken calibration."""
    return Comparison(
        id=_id(name),
        metric=metric,
        verdict=worded(Verdict.BELOW, metric),
        ratio=SideRatio(value=0.0, low=0.0, high=0.0),
        launches=launches,
        forks=launches,
        pairs=launches,
        smallest_visible_effect=0.0,
        reason="nothing of it is left in head",
    )


def _reason(reason: str | None, more_launches: int | None) -> str | None:
    if reason is None or more_launches is None:
        return reason
    if more_launches > MOST_MORE_LAUNCHES:
        return f"{reason}; that is not settled by any run of a sensible length on this machine as it is now"
    return f"{reason}; {more_launches} more launches would settle it"

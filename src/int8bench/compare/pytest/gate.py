"""pytest-benchmark's present run judged against its stored ones. Pure, but for what pytest-benchmark loads.

Every stored run of a machine like this one counts, and every run is one draw of its process's luck.
"""

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from int8bench import documents
from int8bench.compare.comparisons import Comparison, Metric, SideRatio, worded
from int8bench.compare.pytest.machines import fingerprint_here, fingerprint_of
from int8bench.documents import Json
from int8bench.stats import limits
from int8bench.stats.limits import RUNS_OF_A_PREDICTION, Verdict, word
from int8bench.stats.prediction import PredictedChange, change, runs_to_see
from int8bench.stats.ratio import comparison_error

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRuns:
    """The medians of the runs that can be compared, by benchmark, and why others cannot."""

    medians_s: Mapping[Key, Sequence[float]]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What the gate says of a session."""

    threshold: float
    error_rate: float
    fingerprint: str | None
    regressions: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    not_measured: tuple[str, ...]
    not_comparable: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return the document for ``--int8bench-gate-json``."""
        return {"schema": "int8bench.pytest-gate", **documents.written(self)}


def judge_session(session: Any, *, threshold: float) -> Verdicts:  # noqa: ANN401  pytest-benchmark has no types
    """Return the verdicts on the benchmarks of pytest-benchmark's session, before it stores them.

    Args:
        session: pytest-benchmark's ``BenchmarkSession``.
        threshold: by which fraction a benchmark may be slower.
    """
    here = fingerprint_here()
    measured = {
        _key(bench.fullname, bench.params): float(bench.stats.median)
        for bench in session.benchmarks
        if bench and not bench.has_error and _is_time(bench.stats.median)
    }
    stored = _stored_runs(session.storage, here)
    error = comparison_error(max(1, len(measured)), each=limits.ERROR_RATE, family=limits.FAMILY_ERROR_RATE)
    judged = [
        _judged(key, stored.medians_s.get(key, ()), median_s, threshold, error) for key, median_s in measured.items()
    ]
    return Verdicts(
        threshold=threshold,
        error_rate=error,
        fingerprint=here,
        comparisons=tuple(comparison for comparison, _ in judged),
        regressions=tuple(comparison.id for comparison, regressed in judged if regressed),
        not_measured=tuple(bench.fullname for bench in session.benchmarks if bench.has_error),
        not_comparable=stored.others,
    )


def _stored_runs(storage: Any, here: str | None) -> StoredRuns:  # noqa: ANN401  pytest-benchmark has no types
    with warnings.catch_warnings(record=True) as unreadable:
        warnings.simplefilter("always")
        runs = [(fingerprint_of(run.get("machine_info")), run) for _, run in storage.load()]
    medians: dict[Key, list[float]] = {}
    for key, median_s in (each for theirs, run in runs if theirs and theirs == here for each in _medians(run)):
        medians.setdefault(key, []).append(median_s)
    foreign = sum(theirs is not None and theirs != here for theirs, _ in runs)
    silent = sum(theirs is None for theirs, _ in runs)
    told = (
        *_told(foreign, "of another machine"),
        *_told(silent, "that do not say of which machine, stored without int8bench"),
        *(str(each.message) for each in unreadable),
    )
    return StoredRuns(medians_s=medians, others=told)


def _told(count: int, what: str) -> tuple[str, ...]:
    return (f"stored runs {what}: {count}",) if count else ()


def _medians(run: Mapping[str, Any]) -> Iterator[tuple[Key, float]]:
    """Yield each benchmark of a stored run with its median, without benchmarks whose figures are no times."""
    for bench in run["benchmarks"]:
        median_s, name = bench["stats"].get("median"), bench.get("fullname")
        if _is_time(median_s) and isinstance(name, str):
            yield _key(name, bench.get("params")), float(median_s)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _key(fullname: str, params: object) -> Key:
    """Return a benchmark's name and its parameters as JSON shows them, so that a stored one is recognized."""
    from pytest_benchmark.utils import safe_dumps

    return fullname, json.dumps(json.loads(safe_dumps(params)), sort_keys=True)  # type: ignore[no-untyped-call]


def _judged(
    key: Key, earlier_s: Sequence[float], new_s: float, threshold: float, error: float
) -> tuple[Comparison, bool]:
    """Return the comparison of one benchmark, and whether it is surely slower by more than the threshold."""
    runs = len(earlier_s) + 1
    if len(earlier_s) < RUNS_OF_A_PREDICTION:
        return Comparison.unclear(key[0], Metric.TIME, _too_few(len(earlier_s)), launches=runs), False
    changed = change(earlier_s, new_s)
    if changed.error == 0:  # copies of one file: they say nothing of the luck of a run
        reason = "all stored runs have the same figure, so their spread is not known"
        return Comparison.unclear(key[0], Metric.TIME, reason, launches=runs), False
    low, high = changed.interval(error)
    verdict = word(low, high, limits.MARGIN)
    comparison = Comparison(
        id=key[0],
        metric=Metric.TIME,
        verdict=worded(verdict, Metric.TIME),
        ratio=_ratio(changed),
        launches=runs,
        forks=0,
        pairs=0,
        smallest_visible_effect=changed.smallest_visible(error),
        reason=_what_it_takes(changed, threshold, error) if verdict is Verdict.UNCLEAR else None,
    )
    return comparison, low > 1 + threshold


def _ratio(changed: PredictedChange) -> SideRatio:
    low, high = changed.interval(1 - limits.CONFIDENCE)
    return SideRatio(value=math.exp(changed.log_ratio), low=low, high=high)


def _too_few(runs: int) -> str:
    missing = f"store {RUNS_OF_A_PREDICTION - runs} more with --benchmark-autosave"
    return f"{runs} stored runs of this machine, {RUNS_OF_A_PREDICTION} are needed: {missing}"


def _what_it_takes(changed: PredictedChange, threshold: float, error: float) -> str:
    runs = runs_to_see(changed, threshold, error)
    if runs is None:
        return f"runs differ too much for one of them to show {threshold:.1%}; the race fixture or int8bench duet can"
    return f"{runs} stored runs would show {threshold:.1%}"

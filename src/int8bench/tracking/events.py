"""The common steps of a machine's series, taken apart from the steps of each alone; evidence for their cause."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from int8bench.report.history.document import EventRow, MemberRow, NoiseRow
from int8bench.stats import drift as drifts
from int8bench.stats import events as stats
from int8bench.stats.changes import Change, Floats, Indices, find_changes
from int8bench.tracking.asv_results import Result
from int8bench.tracking.series import Point, Series, SeriesKind, kind_of

SESSION_MS = 2 * 3_600_000  # between two starts in one file: what begins later is another session
SOON_MS = 6 * 3_600_000  # a machine seldom changes between two measurements this close
TOLD = 3  # differences between two sessions that a sentence lists
MOVED_BY_MACHINES = (SeriesKind.TIME, SeriesKind.MEMORY)  # what a machine moves without a commit

Group = tuple[str, str | None, str, SeriesKind]
"""(machine, fingerprint, environment, kind)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Each series' own changes, and what the series of a machine did together."""

    changes: Sequence[Sequence[Change]]
    """(series)(change,)."""
    events: Sequence[EventRow]
    """What half or more of a machine's series do at one place, or a row that no commit changes."""
    noises: Sequence[NoiseRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sessions:
    """The series of one group over the sessions in which they were measured, in order of commits."""

    group: Group
    rows: Sequence[int]
    """Of the series given."""
    columns: Sequence[Indices]
    """(row)(point,): the session of each point."""
    values: Floats
    """(row, session), nan where it was not measured."""
    measured: Indices
    """(session,): the rank by time."""
    first: Sequence[Point]
    """(session,): a point of each."""

    @property
    def there(self) -> drifts.Mask:
        return np.isfinite(self.values)


def take_apart(
    series: Sequence[Series],
    results: Sequence[Result],
    *,
    error: float,
    least_noise: Sequence[float],
    controls: frozenset[int] = frozenset(),
) -> Apart:
    """Return the changes of each series alone, apart from what the series of a machine do together.

    Args:
        series: all that is searched together.
        results: what asv tells of each commit's measurement.
        error: probability of one false change or more in all series together.
        least_noise: (series,) as `find_changes` has it.
        controls: which series no commit changes: their steps are the machine's.
    """
    values: list[Floats] = [np.array([point.value for point in each.points]) for each in series]
    correlation = np.zeros(len(series))
    events, noises = list[EventRow](), list[NoiseRow]()
    grouped = [_sessions(group, rows, series) for group, rows in _groups(series).items()]
    by_place = {(result.machine, result.env_name, result.commit_hash): result for result in results}
    floors = np.asarray(least_noise, dtype=np.float64)
    for each in grouped:
        steps, own, noise = _without_drift(each, error=error, least_noise=floors[list(each.rows)])
        if each.group[-1] is SeriesKind.TIME:
            noises.append(noise[0])
        correlation[list(each.rows)] = noise[1]
        for row, columns, mine in zip(each.rows, each.columns, own, strict=True):
            values[row] = mine[columns]
        events += [_event(one, each, series, controls, by_place) for one in steps]
    changes = find_changes(values, error=error, least_noise=least_noise, correlation=correlation.tolist())
    for each in grouped:
        together = _coinciding(each, changes, controls)
        for one, keys in together:
            events.append(_event(one, each, series, controls, by_place))
            for row in {row for row, _ in keys}:
                gone = {number for at, number in keys if at == row}
                changes[row] = tuple(change for number, change in enumerate(changes[row]) if number not in gone)
    return Apart(
        changes=changes,
        events=sorted(events, key=lambda each: (each.machine, each.environment, each.date)),
        noises=noises,
    )


def _groups(series: Sequence[Series]) -> dict[Group, list[int]]:
    """Return the rows of the series in each group of a machine, a hardware, an environment and a kind."""
    groups: defaultdict[Group, list[int]] = defaultdict(list)
    for row, each in enumerate(series):
        kind = kind_of(each.benchmark, each.unit)
        if each.points:
            groups[each.machine, each.fingerprint, each.env_name, kind].append(row)
    return dict(groups)


def _sessions(group: Group, rows: Sequence[int], series: Sequence[Series]) -> _Sessions:
    """Return the series of a group, laid out over their sessions.

    A session is a commit, split where its benchmarks began hours apart.
    """
    begun: defaultdict[str, set[int]] = defaultdict(set)
    for row in rows:
        for point in series[row].points:
            begun[point.commit].add(point.measured_ms)
    part = {(commit, time): number for commit, times in begun.items() for time, number in _parts(sorted(times))}
    ranks = {point.commit: point.rank for row in rows for point in series[row].points}
    keys = sorted({(ranks[commit], number, commit) for (commit, _), number in part.items()})
    place = {(commit, number): column for column, (_, number, commit) in enumerate(keys)}
    values = np.full((len(rows), len(keys)), np.nan)
    times = np.full(len(keys), np.inf)
    first: list[Point | None] = [None] * len(keys)
    columns = []
    for number, row in enumerate(rows):
        mine = np.array([place[each.commit, part[each.commit, each.measured_ms]] for each in series[row].points])
        values[number, mine] = [each.value for each in series[row].points]
        for column, point in zip(mine, series[row].points, strict=True):
            times[column] = min(times[column], point.measured_ms)
            first[column] = first[column] or point
        columns.append(mine)
    measured = np.empty(len(keys), dtype=np.intp)
    measured[np.lexsort((np.arange(len(keys)), times))] = np.arange(len(keys))
    return _Sessions(
        group=group,
        rows=rows,
        columns=columns,
        values=values,
        measured=measured,
        first=[each for each in first if each is not None],
    )


def _parts(times: Sequence[int]) -> list[tuple[int, int]]:
    """Return each start of a commit's benchmarks with the number of its session."""
    number = 0
    bounds = [(times[0], number)]
    for before, after in pairwise(times):
        number += after - before > SESSION_MS
        bounds.append((after, number))
    return bounds


def _without_drift(
    sessions: _Sessions, *, error: float, least_noise: Floats
) -> tuple[list[stats.CommonStep], Floats, tuple[NoiseRow, Floats]]:
    """Return the events of the common drift, the series without it (row, session), and their noise."""
    machine, fingerprint, environment, kind = sessions.group
    own, correlation = sessions.values.copy(), np.zeros(len(sessions.values))
    events, wide = list[stats.CommonStep](), None
    rows = np.flatnonzero((np.nan_to_num(sessions.values, nan=1.0) > 0).all(axis=1))
    apart = kind is SeriesKind.TIME and len(rows) >= drifts.FEWEST
    if apart:
        logs = np.log(own[rows])
        fit = drifts.fit_drift(logs, sessions.measured, error=error, least_noise=least_noise[rows])
        steps, logs = stats.events_of(fit, sessions.measured, error=error)
        events = [replace(each, members=tuple(int(rows[member]) for member in each.members)) for each in steps]
        own[rows], correlation[rows] = np.exp(logs), fit.correlation
        low, high = np.quantile(fit.common, (0.25, 0.75))
        wide = float(np.expm1(high - low))
    elif kind is not SeriesKind.PAIRED and len(rows):
        _, correlation[rows] = drifts.correlated_levels(np.log(own[rows]), error=error, least_noise=least_noise[rows])
    noise = NoiseRow(
        machine=machine,
        environment=environment,
        fingerprint=fingerprint,
        kind=str(kind),
        series=len(own),
        apart=apart,
        correlation=float(np.median(correlation)),
        drift=wide,
    )
    return events, own, (noise, correlation)


def _coinciding(
    sessions: _Sessions, changes: Sequence[Sequence[Change]], controls: frozenset[int]
) -> list[tuple[stats.CommonStep, frozenset[tuple[int, int]]]]:
    """Return the changes that half of a group's series make at one place, with the changes of each series in them.

    These are pairs of a series and the number of its change.
    """
    leaders = [number for number, row in enumerate(sessions.rows) if row in controls]
    moved = sessions.group[-1] in MOVED_BY_MACHINES
    if not moved and not leaders:
        return []
    mine = [
        [replace(each, before=int(columns[each.before]), after=int(columns[each.after])) for each in changes[row]]
        for row, columns in zip(sessions.rows, sessions.columns, strict=True)
    ]
    return [
        (event, frozenset((sessions.rows[row], number) for row, number in keys))
        for event, keys in stats.coincidences(mine, sessions.there, leaders, followed=moved)
    ]


def _event(
    event: stats.CommonStep,
    sessions: _Sessions,
    series: Sequence[Series],
    controls: frozenset[int],
    told: Mapping[tuple[str, str, str], Result],
) -> EventRow:
    machine, fingerprint, environment, kind = sessions.group
    before, after = sessions.first[event.before], sessions.first[event.after]
    members = [sessions.rows[row] for row in event.members]
    present = max(event.present, len(members))
    moved = len(controls.intersection(members))
    results = [told.get((machine, environment, point.commit)) for point in (before, after)]
    there = len(controls.intersection(sessions.rows))
    return EventRow(
        machine=machine,
        environment=environment,
        fingerprint=fingerprint,
        kind=str(kind),
        commit_before=before.commit,
        commit_after=after.commit,
        date=after.date_ms,
        step=event.step,
        low=event.low,
        high=event.high,
        series=len(members),
        of=present,
        share=len(members) / present,
        control=bool(moved),
        evidence=tuple(_evidence(before, after, results, by_commit=event.by_commit, moved=moved, controls=there)),
        members=tuple(MemberRow(benchmark=series[row].benchmark, params=dict(series[row].params)) for row in members),
    )


def _evidence(
    before: Point, after: Point, results: Sequence[Result | None], *, by_commit: bool, moved: int, controls: int
) -> list[str]:
    """Return the evidence on the cause of an event, in sentences: for the machine, and for the code."""
    said = []
    if moved:
        said.append(f"{moved} of {controls} control rows moved: speaks for the machine")
    elif controls:
        said.append(f"none of {controls} control rows moved: speaks for the code")
    if not by_commit:
        said.append("it follows the time of measuring, not the order of commits: speaks for the machine")
    old, new = (dict(result.about) if result else {} for result in results)
    differing = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)] if old and new else []
    said += [
        f"{name} {old.get(name) or 'none'} became {new.get(name) or 'none'}: speaks for the machine or its software"
        for name in differing[:TOLD]
    ]
    if len(differing) > TOLD:
        said.append(f"and {len(differing) - TOLD} more that asv tells of machine and environment differ")
    gap = after.measured_ms - before.measured_ms
    if before.measured_ms == before.date_ms and after.measured_ms == after.date_ms:
        return said
    if abs(gap) <= SOON_MS:
        said.append(f"measured within {_span(abs(gap))} of each other: speaks for the code")
    else:
        said.append(f"measured {_span(abs(gap))} apart: time for the machine to change")
    return said


def _span(milliseconds: int) -> str:
    hours = milliseconds / 3_600_000
    if hours < 1:
        return f"{max(1, round(60 * hours))} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004  two days

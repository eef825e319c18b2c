"""What changed over the commits of a results folder, in which series, by how much, and whether it stands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from int8bench.errors import RequestError
from int8bench.report.history.document import (
    EventRow,
    HistoryDocument,
    MachineRow,
    NoiseRow,
    PointRow,
    SeriesRow,
    StepRow,
)
from int8bench.stats import changes as stats
from int8bench.stats.limits import HISTORY_ERROR_RATE
from int8bench.tracking import asv_results, events, side
from int8bench.tracking.asv_results import Folder
from int8bench.tracking.series import LOWER, RATIOS, Point, Series, better, join, kind_of, overall, topology
from int8bench.tracking.side import SideFile

SPEEDUP, MIRROR = "speedup.Speedup.track_speedup", "speedup.Speedup.track_relative_time"
# Half of a race interval is about four standard errors (few launches, early stopping); a quarter is the least noise.
HALF_WIDTHS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A series with its changes."""

    series: Series
    changes: tuple[StepRow, ...]

    @property
    def better(self) -> str:
        """The direction that is good: lower or higher."""
        return better(self.series.benchmark, self.series.unit)

    def row(self) -> SeriesRow:
        """Return the series as a row of the document."""
        series = self.series
        return SeriesRow(
            benchmark=series.benchmark,
            params=dict(series.params),
            machine=series.machine,
            fingerprint=series.fingerprint,
            env=series.env_name,
            unit=series.unit,
            better=self.better,
            kind=str(kind_of(series.benchmark, series.unit)),
            absolute=series.unit not in RATIOS,
            points=tuple(
                PointRow(commit=commit, date=date, value=value, low=low, high=high)
                for commit, date, value, low, high, *_ in series.points
            ),
            changes=self.changes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All series of a results folder, searched together."""

    results: Path
    error_rate: float
    tracked: Sequence[Tracked]
    events: Sequence[EventRow]
    noises: Sequence[NoiseRow]
    machines: Sequence[MachineRow]
    problems: Sequence[str]

    @property
    def regressions(self) -> int:
        """The number of standing regressions; the inverse of a speed-up says nothing new."""
        speedups = {_place(each.series) for each in self.tracked if each.series.benchmark == SPEEDUP}
        own = [each for each in self.tracked if each.series.benchmark != MIRROR or _place(each.series) not in speedups]
        return sum(change.worse and not change.recovered for each in own for change in each.changes)

    def document(self) -> HistoryDocument:
        """Return the document of ``int8bench history --json``."""
        return HistoryDocument(
            results=str(self.results),
            error_rate=self.error_rate,
            series=tuple(each.row() for each in self.tracked),
            regressions=self.regressions,
            events=tuple(self.events),
            noise=tuple(self.noises),
            machines=tuple(self.machines),
            problems=tuple(self.problems),
        )


def history(
    results: Path, *, repository: Path | None = None, error_rate: float = HISTORY_ERROR_RATE, control: str | None = None
) -> History:
    """Return the history of asv's results folder.

    Args:
        results: asv's results folder.
        repository: a git repository whose topology orders the commits; by date without.
        error_rate: probability of one false change or more in all series together.
        control: a regular expression for rows that no commit changes, searched in ``benchmark(value, value)``.

    Raises:
        RequestError: there is no such folder, the error is not between 0 and 1, or the expression is none or finds no
            row.
    """
    if not 0 < error_rate < 1:
        raise RequestError(f"error rate {error_rate}: expected a number between 0 and 1; try {HISTORY_ERROR_RATE}")
    folder = asv_results.read(results)
    sides, damaged = side.load_all(results)
    order, untold = topology(repository) if repository else ({}, [])
    series, unfit = join(folder, sides, order)
    series = [*overall(series, SPEEDUP), *series]
    apart = events.take_apart(
        series,
        folder.results,
        error=error_rate,
        least_noise=[_least_noise(each.points) for each in series],
        controls=_controls(series, control),
    )
    return History(
        results=results,
        error_rate=error_rate,
        tracked=[
            Tracked(series=each, changes=_judged(each, mine)) for each, mine in zip(series, apart.changes, strict=True)
        ],
        events=apart.events,
        noises=apart.noises,
        machines=_machines(folder, sides, series),
        problems=(*folder.problems, *damaged, *untold, *unfit),
    )


def _controls(series: Sequence[Series], control: str | None) -> frozenset[int]:
    """Return the rows of the series that a regular expression finds by asv's names of them.

    Raises:
        RequestError: the expression is none, or finds no row.
    """
    if control is None:
        return frozenset()
    try:
        expression = re.compile(control)
    except re.error as error:
        raise RequestError(f"--control {control}: no regular expression: {error}; try --control time_noop") from error
    rows = {row: f"{each.benchmark}({', '.join(each.params.values())})" for row, each in enumerate(series)}
    controls = frozenset(row for row, name in rows.items() if expression.search(name))
    if rows and not controls:
        raise RequestError(f"--control {control}: finds none of {len(rows)} rows, such as {rows[0]}")
    return controls


def _least_noise(points: Sequence[Point]) -> float:
    """Return the median of the points' own noise, as a fraction of their values; 0 where they have no intervals."""
    shares = [
        (point.high - point.low) / 2 / HALF_WIDTHS / abs(point.value)
        for point in points
        if point.low is not None and point.high is not None and point.high > point.low and point.value
    ]
    return sorted(shares)[len(shares) // 2] if 2 * len(shares) > len(points) else 0.0


def _judged(series: Series, changes: Sequence[stats.Change]) -> tuple[StepRow, ...]:
    sign = 1 if better(series.benchmark, series.unit) == LOWER else -1
    return tuple(
        StepRow(
            commit_before=series.points[each.before].commit,
            commit_after=series.points[each.after].commit,
            step=each.step,
            low=each.low,
            high=each.high,
            worse=sign * (each.level_after - each.level_before) > 0,
            recovered=any(_back(each, later) for later in changes[number + 1 :]),
            date=series.points[each.after].date_ms,
        )
        for number, each in enumerate(changes)
    )


def _back(change: stats.Change, later: stats.Change) -> bool:
    """Tell whether a later level is that before the change, or beyond it, within the step's own interval."""
    known = change.low is not None and change.high is not None
    within = (change.high - change.low) / 2 * abs(change.level_before) if known else 0.0  # type: ignore[operator]
    up = change.level_after > change.level_before
    gone = later.level_after - change.level_before
    return (gone if up else -gone) <= within


def _place(series: Series) -> tuple[object, ...]:
    return (tuple(series.params.items()), series.machine, series.fingerprint, series.env_name)


def _machines(folder: Folder, sides: Sequence[SideFile], series: Sequence[Series]) -> list[MachineRow]:
    """Return a row for each hardware of each machine, with the findings of its last commit."""
    dates = {result.commit_hash: result.date_ms for result in folder.results}
    latest = {each.fingerprint: each for each in sorted(sides, key=lambda one: dates.get(one.commit_hash, 0))}
    pairs = dict.fromkeys((each.machine, each.fingerprint) for each in series)
    return [_machine(name, latest.get(fingerprint or ""), folder.machines.get(name)) for name, fingerprint in pairs]


def _machine(name: str, told: SideFile | None, asv: str | None) -> MachineRow:
    written = side.written_of(told) if told is not None else side.Written()
    return MachineRow(
        machine=name,
        fingerprint=told.fingerprint if told is not None else None,
        cpu=written.environment.hardware.brand or asv,
        findings=written.findings,
    )

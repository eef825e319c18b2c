"""What a page shows of a history document: its commits, graphs, changes and figures, each in words. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from itertools import pairwise
from urllib.parse import quote, urlsplit

from int8bench import units
from int8bench.report.history.document import EventRow, PointRow, SeriesRow, StepRow

SPEEDUP = "speedup.Speedup.track_speedup"
MIRROR = "speedup.Speedup.track_relative_time"  # 1 / speed-up, for asv, which takes every rise for a regression
TRACES = "batch"  # the parameter whose values share a graph of speed-ups; every other one makes graphs of its own
SHORT_HASH = 8
MOST_FIGURES = 60_000  # listed by commit: more makes a page that a phone cannot hold
_QUOTES = "'\""  # of a parameter as asv spells it, by its repr
WORSE, RECOVERED, BETTER = KINDS = ("worse", "recovered", "better")  # worst first


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as the page shows it."""

    commit_hash: str
    short: str
    date: str
    anchor: str
    """The id of its place on the page."""
    href: str
    """Where a click leads: to the project's host, or to its place on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Series that share axes, and how the page names them."""

    title: str
    series: Sequence[SeriesRow]
    names: Sequence[str]
    latest: Sequence[str]
    events: Sequence[EventRow]
    """What series of its machine and environment did together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChange:
    """A change of a series as a row of the table."""

    series: SeriesRow
    kind: str
    size: float
    text: str
    before: Commit
    after: Commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of a commit."""

    series: SeriesRow
    text: str


def commits(series: Sequence[SeriesRow], show_commit_url: str) -> dict[str, Commit]:
    """Return every commit by its hash, oldest first.

    Args:
        series: all that the page shows.
        show_commit_url: what goes before a commit's hash; where it is no web address, a click leads to the page itself.
    """
    dates: dict[str, float] = {}
    for each in series:
        dates |= {point.commit: point.date for point in each.points}
    for change in (change for each in series for change in each.changes):
        for commit_hash in (change.commit_before, change.commit_after):
            dates.setdefault(commit_hash, change.date)
    return {each: _commit(each, dates[each], show_commit_url) for each in _ordered(series, dates)}


def _ordered(series: Sequence[SeriesRow], dates: Mapping[str, float]) -> list[str]:
    """Return commits in an order that every series agrees with.

    Their dates decide where the series leave it open or contradict each other.
    """
    before: dict[str, set[str]] = {commit: set() for commit in dates}
    for earlier, later in (pair for each in series for pair in pairwise(each.points)):
        before[later.commit].add(earlier.commit)
    sorter, ready, ordered = TopologicalSorter(before), list[tuple[float, str]](), list[str]()
    try:
        sorter.prepare()
    except CycleError:
        return sorted(dates, key=dates.__getitem__)
    while sorter.is_active():
        for each in sorter.get_ready():
            heappush(ready, (dates[each], each))
        ordered.append(heappop(ready)[1])
        sorter.done(ordered[-1])
    return ordered


def _commit(commit_hash: str, date_ms: float, show_commit_url: str) -> Commit:
    anchor = f"commit-{commit_hash[:SHORT_HASH]}"
    on_host = urlsplit(show_commit_url).scheme in {"http", "https"}  # asv's default is "#"
    return Commit(
        commit_hash=commit_hash,
        short=commit_hash[:SHORT_HASH],
        date=day(date_ms),
        anchor=anchor,
        href=f"{show_commit_url}{quote(commit_hash, safe='')}" if on_host else f"#{quote(anchor, safe='')}",
    )


def day(date_ms: float) -> str:
    """Return the day of a moment in milliseconds since 1970."""
    return datetime.fromtimestamp(date_ms / 1000, tz=UTC).strftime("%Y-%m-%d")


def unmirrored(series: Sequence[SeriesRow]) -> list[SeriesRow]:
    """Return the series without those that repeat a speed-up upside down."""
    speedups = {_key(each) for each in series if each.benchmark == SPEEDUP}
    return [each for each in series if each.benchmark != MIRROR or _key(each) not in speedups]


def _key(series: SeriesRow) -> tuple[object, ...]:
    fields = (series.machine, series.env, series.fingerprint)
    return (*fields, *sorted(series.params.items()))


def graphs(series: Sequence[SeriesRow], events: Sequence[EventRow] = ()) -> list[Graph]:
    """Return the graphs of a page: all speed-ups, then each series that changed, and one of each event.

    Among the speed-ups, and among all others, the worst comes first.

    An event is marked in every graph of its machine and environment.

    Args:
        series: all that the page shows.
        events: all of the history.
    """
    groups: dict[tuple[object, ...], list[SeriesRow]] = {}
    shown = [_member(event) for event in events]
    for each in series:
        if each.points and (each.benchmark == SPEEDUP or each.changes or _row(each) in shown):
            groups.setdefault(_axes(each), []).append(each)
    drawn = [_graph(sorted(mine, key=lambda each: _order(each.params.values())), events) for mine in groups.values()]
    return sorted(drawn, key=lambda graph: (graph.series[0].benchmark != SPEEDUP, -_worst(graph), graph.title))


def _row(series: SeriesRow) -> tuple[object, ...]:
    return (series.machine, series.env, series.fingerprint, series.benchmark, series.params)


def _member(event: EventRow) -> tuple[object, ...]:
    """Return the identity of the first series that an event moved, in the form of `_row`."""
    first = event.members[0]
    place = (event.machine, event.environment, event.fingerprint)
    return (*place, first.benchmark, first.params)


def _axes(series: SeriesRow) -> tuple[object, ...]:
    """Return the fields that the series of one graph have in common."""
    fields = (series.benchmark, series.machine, series.env, series.fingerprint, series.unit)
    return (*fields, *_shared(series).items())


def _shared(series: SeriesRow) -> dict[str, str]:
    paired = series.benchmark == SPEEDUP
    return {name: value for name, value in series.params.items() if not (paired and name == TRACES)}


def _graph(series: Sequence[SeriesRow], events: Sequence[EventRow]) -> Graph:
    first = series[0]
    place = (first.machine, first.env, first.fingerprint)
    what = "int8 speed-up over the best float32" if first.benchmark == SPEEDUP else first.benchmark
    alone = first.benchmark.rpartition(".")[2]
    shared = _shared(first)
    names = [params({key: each.params[key] for key in each.params if key not in shared}) for each in series]
    return Graph(
        title=", ".join(part for part in (what, params(shared), where(first)) if part),
        series=series,
        names=[name or alone for name in names],
        latest=[
            f"{name} {figure(each.points[-1], each.unit)}".strip() for name, each in zip(names, series, strict=True)
        ],
        events=[event for event in events if (event.machine, event.environment, event.fingerprint) == place],
    )


def _order(values: Iterable[str]) -> list[tuple[float, str]]:
    """Return a key for sorting values: numbers by size, words by the alphabet."""
    return [(float(value), "") if value.isdecimal() else (math.inf, value) for value in values]


def _worst(graph: Graph) -> float:
    changes = [change for each in graph.series for change in each.changes if kind(change) == WORSE]
    return max((magnitude(change) for change in changes), default=0.0)


def change_rows(series: Sequence[SeriesRow], known: Mapping[str, Commit]) -> list[ListedChange]:
    """Return a row for every change of every series, the worst first.

    Args:
        series: all that the page shows.
        known: commits by their hash.
    """
    rows = [
        ListedChange(
            series=each,
            kind=kind(change),
            size=magnitude(change),
            text=step(change),
            before=known[change.commit_before],
            after=known[change.commit_after],
        )
        for each in series
        for change in each.changes
    ]
    return sorted(rows, key=lambda row: (KINDS.index(row.kind), -row.size))


def figures(series: Sequence[SeriesRow]) -> dict[str, list[Figure]]:
    """Return the figures of each commit by its hash, in the order of the series."""
    by_commit: dict[str, list[Figure]] = {}
    for each in series:
        for point in each.points:
            if point.value is not None:
                by_commit.setdefault(point.commit, []).append(Figure(series=each, text=figure(point, each.unit)))
    return by_commit


def listed(series: Sequence[SeriesRow], drawn: Sequence[Graph]) -> Sequence[SeriesRow]:
    """Return the series whose figures are listed by commit: all, or those in graphs where all are too many.

    Args:
        series: all that the page shows.
        drawn: the graphs of the page.
    """
    if sum(len(each.points) for each in series) <= MOST_FIGURES:
        return series
    return [each for graph in drawn for each in graph.series]


def kind(change: StepRow) -> str:
    """Return the kind of a change: a standing regression, one that was made good later, or an improvement."""
    if not change.worse:
        return BETTER
    return RECOVERED if change.recovered else WORSE


def magnitude(change: StepRow | EventRow) -> float:
    """Return the size of a step; one from nothing to something is the largest."""
    return math.inf if change.step is None else abs(change.step)


def step(change: StepRow) -> str:
    """Return a step in percent with its interval: ``-4.9 % [-5.6, -4.1]``."""
    if change.step is None:
        return "from zero"
    known = change.low is not None and change.high is not None
    interval = f" [{100 * (change.low or 0.0):+.1f}, {100 * (change.high or 0.0):+.1f}]" if known else ""
    return f"{100 * change.step:+.1f} %{interval}"


def figure(point: PointRow, unit: str | None) -> str:
    """Return a value with its interval, where it has one.

    Args:
        point: of a series.
        unit: of the series, as asv has it; None where it is not known.
    """
    low, high = point.low, point.high
    if None in {low, high} or low == high:
        return quantity(point.value, unit)
    return f"{quantity(point.value, unit)} [{quantity(low, unit)}, {quantity(high, unit)}]"


def quantity(value: float | None, unit: str | None) -> str:
    """Return a number as a person reads it.

    Args:
        value: in the unit; None where it was not measured.
        unit: as asv has it; None where it is not known.
    """
    if value is None:
        return "not measured"
    match unit:
        case "x":
            return f"{value:.3f}x"
        case "s" | "seconds":
            return units.seconds(value)
        case "bytes":
            return units.size(value)
    return " ".join(part for part in (units.three_digits(value), unit) if part)


def params(named: Mapping[str, str]) -> str:
    """Return parameters without Python's quotes: ``batch 8, threads 2``."""
    return ", ".join(f"{name} {value.strip(_QUOTES)}" for name, value in named.items())


def where(series: SeriesRow) -> str:
    """Return the machine, its hardware and the environment of a series."""
    hardware = series.fingerprint or "unknown hardware"
    return f"{series.machine} ({hardware}, {series.env})"

"""Joins asv's results and the side files into series over commits: one a number, machine and hardware.

And what kind of number a series is, which decides what is known of its noise, and which direction is good.
"""

import math
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from statistics import geometric_mean
from typing import NamedTuple

from int8bench.tracking.asv_results import Benchmark, Folder, Result
from int8bench.tracking.side import SHORT_HASH, SideFile, SidePoint

SAME = 1e-4  # relative: a side file's value and asv's are the same number
ALL = "all"  # the value of each parameter in a mean over all of them
NAMED = 3  # names that a sentence lists before it says how many more


class Point(NamedTuple):
    """A measured commit; the interval is of 95 %, where the side file has one."""

    commit: str
    date_ms: int
    value: float
    low: float | None
    high: float | None
    measured_ms: int
    """When it was measured; the date of the commit where that is not told."""
    rank: int
    """The place of its commit among all of the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One number over commits, oldest first, on one machine with one hardware."""

    benchmark: str
    params: Mapping[str, str]
    machine: str
    fingerprint: str | None
    env_name: str
    version: str | None
    unit: str | None
    points: Sequence[Point]


Key = tuple[str, tuple[str, ...], str, str, str | None, str | None]
"""(benchmark, parameters, machine, environment, fingerprint, version): what is never joined where it differs."""


def join(folder: Folder, sides: Sequence[SideFile], order: Mapping[str, int]) -> tuple[list[Series], list[str]]:
    """Return every series of a results folder, and a sentence for each thing that did not fit.

    Args:
        folder: asv's results.
        sides: what is kept beside them.
        order: commits by their place in the repository's topology; none where it is not known.
    """
    by_commit: defaultdict[tuple[str, str], list[SideFile]] = defaultdict(list)
    for side in sides:
        by_commit[side.commit_hash, side.env_name].append(side)
    found: defaultdict[Key, dict[str, Point]] = defaultdict(dict)
    places = _places(folder.results, order)
    ranks = {commit: rank for rank, commit in enumerate(sorted(places, key=lambda each: places[each]))}
    # the latest measurement of a commit comes last and stays
    for result in sorted(folder.results, key=lambda each: each.measured_ms):
        beside = by_commit.get((result.commit_hash, result.env_name), ())
        _add(found, result, beside, folder.benchmarks, ranks[result.commit_hash])
    series = [
        Series(
            benchmark=benchmark,
            params=dict(zip(_names(folder.benchmarks, benchmark, len(params)), params, strict=True)),
            machine=machine,
            fingerprint=fingerprint,
            env_name=env_name,
            version=version,
            unit=folder.benchmarks[benchmark].unit if benchmark in folder.benchmarks else None,
            points=sorted(points.values(), key=lambda point: point.rank),
        )
        for (benchmark, params, machine, env_name, fingerprint, version), points in sorted(found.items(), key=_by_key)
    ]
    return series, [*_strangers(folder, sides), *_unplaced(folder.results, order)]


def overall(series: Sequence[Series], benchmark: str) -> list[Series]:
    """Return the geometric mean of a benchmark over all its parameters, commit by commit, on each machine.

    What changes everywhere by a little is seen in the mean before it is seen in any cell. Commits that lack a cell
    have no point: the mean of other cells is another number.

    Args:
        series: all of a results folder.
        benchmark: the full name of the one that is averaged.
    """
    alike: defaultdict[tuple[object, ...], list[Series]] = defaultdict(list)
    for each in series:
        if each.benchmark == benchmark:
            alike[each.machine, each.env_name, each.fingerprint, each.version].append(each)
    return [_mean_of(cells) for cells in alike.values() if len(cells) > 1]


def _mean_of(cells: Sequence[Series]) -> Series:
    values = [{point.commit: point.value for point in cell.points if point.value > 0} for cell in cells]
    return replace(
        cells[0],
        params=dict.fromkeys(cells[0].params, ALL),
        points=[
            point._replace(value=geometric_mean(value[point.commit] for value in values), low=None, high=None)
            for point in cells[0].points
            if all(point.commit in value for value in values)
        ],
    )


def topology(repository: Path) -> tuple[dict[str, int], list[str]]:
    """Return each commit's place in a git repository, parents first, and a sentence where git cannot list them."""
    command = ("git", "-C", str(repository), "log", "--all", "--topo-order", "--reverse", "--format=%H")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return {}, [f"{repository}: git does not start ({error}); commits are ordered by date"]
    if done.returncode or not done.stdout.strip():
        reason = done.stderr.strip() or "no commits"
        return {}, [f"{repository}: git cannot list its commits ({reason}); commits are ordered by date"]
    return {commit: place for place, commit in enumerate(done.stdout.split())}, []


def _by_key(item: tuple[Key, object]) -> tuple[str, ...]:
    benchmark, params, *others = item[0]
    return (benchmark, *params, *(other or "" for other in others))


def _add(
    points: Mapping[Key, dict[str, Point]],
    result: Result,
    sides: Sequence[SideFile],
    benchmarks: Mapping[str, Benchmark],
    rank: int,
) -> None:
    side, there = _belonging(result, sides, benchmarks)
    fingerprint = side.fingerprint if side else None
    for benchmark, params, version, value, measured_ms in result.numbers:
        beside = there.get((benchmark, params))
        low, high = (beside.low, beside.high) if beside and _same(beside.value, value) else (None, None)
        key = (benchmark, params, result.machine, result.env_name, fingerprint, version)
        points[key][result.commit_hash] = Point(result.commit_hash, result.date_ms, value, low, high, measured_ms, rank)


def _belonging(
    result: Result, sides: Sequence[SideFile], benchmarks: Mapping[str, Benchmark]
) -> tuple[SideFile | None, dict[tuple[str, tuple[str, ...]], SidePoint]]:
    """Return the side file of the machine that a result is of, and its points by their name and parameters in asv.

    Machines may share a folder, and a side file does not know asv's name of its machine: it is the one whose values
    are the result's, in more of the numbers that both have than not.
    """
    best: tuple[int, SideFile | None, dict[tuple[str, tuple[str, ...]], SidePoint]] = (0, None, {})
    for side in sides:
        there = {(point.benchmark, _values(point, benchmarks)): point for point in side.points}
        both = [
            _same(there[number.benchmark, number.params].value, number.value)
            for number in result.numbers
            if (number.benchmark, number.params) in there
        ]
        margin = 2 * sum(both) - len(both)
        if margin > best[0]:
            best = (margin, side, there)
    return best[1], best[2]


def _values(point: SidePoint, benchmarks: Mapping[str, Benchmark]) -> tuple[str, ...]:
    """Return a point's parameters in asv's order."""
    names = benchmarks[point.benchmark].param_names if point.benchmark in benchmarks else ()
    return tuple(point.params[name] for name in (names if set(names) == set(point.params) else point.params))


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=SAME)


def _names(benchmarks: Mapping[str, Benchmark], benchmark: str, count: int) -> tuple[str, ...]:
    names = benchmarks[benchmark].param_names if benchmark in benchmarks else ()
    return names if len(names) == count else tuple(f"param{number}" for number in range(1, count + 1))


def _places(results: Sequence[Result], order: Mapping[str, int]) -> dict[str, tuple[int, int, str]]:
    """Return a sort key for each commit, by topology.

    A commit that the repository does not know comes after those up to its date.
    """
    dates = {result.commit_hash: result.date_ms for result in results}
    known = sorted((date, order[commit]) for commit, date in dates.items() if commit in order)
    places: dict[str, tuple[int, int, str]] = {}
    last, taken = -1, 0
    for commit, date in sorted(dates.items(), key=lambda item: (item[1], item[0])):
        while taken < len(known) and known[taken][0] <= date:
            last, taken = max(last, known[taken][1]), taken + 1
        places[commit] = (order[commit], -1, "") if commit in order else (last, date, commit)
    return places


def _unplaced(results: Sequence[Result], order: Mapping[str, int]) -> list[str]:
    unknown = {result.commit_hash for result in results} - order.keys()
    if not order or not unknown:
        return []
    return [f"{_count(len(unknown), 'commit')} not in the repository, placed by date: {_some(unknown)}"]


def _strangers(folder: Folder, sides: Sequence[SideFile]) -> list[str]:
    """Return sentences on the commits of side files, and the names in them, that asv does not know."""
    measured = {(result.commit_hash, result.env_name) for result in folder.results}
    lonely = {side.commit_hash for side in sides if (side.commit_hash, side.env_name) not in measured}
    known = set(folder.benchmarks).union(*(result.benchmarks for result in folder.results))
    names = Counter(point.benchmark for side in sides for point in side.points if point.benchmark not in known)
    problems = []
    if lonely:
        files = _count(len(lonely), "commit")
        problems.append(f"side files of {files} of which asv has no result, left out: {_some(lonely)}")
    if names:
        listed = _some(names, whole=True)
        problems.append(f"{_count(len(names), 'name')} in side files that asv does not know, left out: {listed}")
    return problems


def _some(names: set[str] | Counter[str], *, whole: bool = False) -> str:
    shown = [name if whole else name[:SHORT_HASH] for name in sorted(names)]
    return ", ".join(shown[:NAMED]) + (f" and {len(shown) - NAMED} more" if len(shown) > NAMED else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


LOWER, HIGHER = "lower", "higher"
# asv takes more for worse; these are the exceptions, by unit or by the name of the function.
MORE_IS_BETTER_UNITS = {"x", "db", "items/s", "agreement", "accuracy", "1/s", "fps"}
MORE_IS_BETTER_NAMES = re.compile(r"speedup|throughput|per_second|agreement|accuracy|sqnr|score")
ASV_COSTS = re.compile(r"(time|timeraw|mem|peakmem)_")  # asv's own types, of which more is always worse
RATIOS = {"x", "of float32"}
TIMES = {"s", "sec", "second", "seconds", "ms", "milliseconds", "us", "µs", "microseconds", "ns", "nanoseconds"}
SIZES = {"byte", "bytes", "kb", "mb", "gb", "kib", "mib", "gib"}


class SeriesKind(StrEnum):
    """A kind of number."""

    PAIRED = "paired"
    """A ratio of two things that took turns: what the machine does to both leaves it alone."""
    TIME = "time"
    """A plain time, which the machine moves as well as a commit."""
    MEMORY = "memory"
    TRACKED = "tracked"
    """Whatever else a benchmark returns."""


def kind_of(benchmark: str, unit: str | None) -> SeriesKind:
    """Return the kind of a benchmark's numbers, by asv's own prefix of its function, else by its unit.

    Args:
        benchmark: its full name, which ends with the function's.
        unit: as asv has it; None where it is not known.
    """
    function, given = benchmark.rpartition(".")[2], (unit or "").strip().lower()
    if function.startswith(("time_", "timeraw_")):
        return SeriesKind.TIME
    if function.startswith(("mem_", "peakmem_")):
        return SeriesKind.MEMORY
    if given in RATIOS:
        return SeriesKind.PAIRED
    if given in TIMES:
        return SeriesKind.TIME
    return SeriesKind.MEMORY if given in SIZES else SeriesKind.TRACKED


def better(benchmark: str, unit: str | None) -> str:
    """Return the direction that is good of a benchmark's numbers: lower or higher.

    Args:
        benchmark: its full name, which ends with the function's.
        unit: as asv has it; None where it is not known.
    """
    function = benchmark.rpartition(".")[2]
    if ASV_COSTS.match(function):
        return LOWER
    more = (unit or "").lower() in MORE_IS_BETTER_UNITS or MORE_IS_BETTER_NAMES.search(function.lower())
    return HIGHER if more else LOWER

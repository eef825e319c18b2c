"""Which benchmarks a duet measures, and how it spends its time on them: launches, forks and durations. Pure.

A person means a benchmark by its id as it is printed, by a part of ids, or by a regular expression.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from int8bench.compare.duet.pairs import PairDurations
from int8bench.documents import Json
from int8bench.errors import RequestError
from int8bench.lab.agent.suites.grid_suite import ANSWERS, COST
from int8bench.stats.limits import LAUNCHES_OF_A_PLAN
from int8bench.stats.verdict import Looks, default_looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was typed; nothing selects everything.

    Raises:
        RequestError: both were given, or the expression is none.
    """

    text: str | None = None
    pattern: str | None = None

    def __post_init__(self) -> None:
        """Check what was typed."""
        if self.text is not None and self.pattern is not None:
            raise RequestError(
                f"--select {self.text} and --select-regex {self.pattern}: one selection is expected; leave one out"
            )
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise RequestError(
                    f"--select-regex {self.pattern}: not a regular expression: {error}; --select takes a text as it is"
                ) from error

    def __str__(self) -> str:
        """Return the selection as it was typed, ready to follow a sentence; empty where everything is meant."""
        if self.text is not None:
            return f" that match --select {self.text}"
        return f" that match --select-regex {self.pattern}" if self.pattern is not None else ""

    def of(self, names: Iterable[str]) -> set[str]:
        """Return the selected benchmarks: those of that very id where there are any, else all whose id holds the text.

        A regular expression selects those in whose id it is found.
        """
        known = list(names)
        if self.pattern is not None:
            return {name for name in known if re.search(self.pattern, name)}
        if self.text is None:
            return set(known)
        exact = {name for name in known if self.text in {name, printed(name)}}
        return exact or {name for name in known if self.text in name or self.text in printed(name)}


def printed(name: str) -> str:
    """Return a benchmark's id as reports show it.

    It lacks the ending that tells the grid's costs and answers from its times.
    """
    shown = name.removesuffix(COST).removesuffix(ANSWERS)
    return "".join(each if each.isprintable() else " " for each in shown)


# Measuring time; the imports of the launches, a pair at a time, come on top.
DEFAULT_A_BENCHMARK_S = 25.0
DEFAULT_BUDGET_S = (60.0, 600.0)  # of a suite of few benchmarks, and of many
QUICK_A_BENCHMARK_S = 2.5
QUICK_BUDGET_S = (10.0, 120.0)
# Luck of layout is drawn once a launch and is most of the spread, so launches come before longer forks; below half a
# second a fork of its own is mostly set-up.
RACE_S = 0.5
SHORTEST_RACE_S = 0.25
FORK_S = 0.3  # two forks, their builds and warm-ups
# The same of processes that start afresh: a warm-up of each side, in which they compile what they import, and the part
# of three rounds that a race of half a second does not hold, at a third of a second a process.
FRESH_FORK_S = 2.5
WARMUP_S = 0.03
TRACK_S = 0.6
MOST_LAUNCHES = 40
MOST_TRACK_LAUNCHES = (
    8  # tracked numbers vary less; with fewer launches Student's quantile would be most of an interval
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetPlan:
    """What is measured at most; a benchmark that settles at an earlier look stops there."""

    looks: Looks
    durations: PairDurations
    track_launches: int
    load_s: float | None
    budget_s: float

    @property
    def track_looks(self) -> Looks:
        """The looks at tracked numbers: one, after their last launch."""
        return Looks(launches=(self.track_launches,))

    @property
    def launches(self) -> int:
        """The most launches of a benchmark."""
        return self.looks.launches[-1]

    def to_dict(self) -> dict[str, Json]:
        """Return the plan as a record keeps it."""
        return {
            "looks": list(self.looks.launches),
            "track_launches": self.track_launches,
            "warmup_s": self.durations.warmup_s,
            "race_s": self.durations.race_s,
            "load_s": self.load_s,
            "budget_s": self.budget_s,
        }


def plan_for(
    *, timed: int, tracked: int, budget_s: float | None, quick: bool, timeout_s: float, fresh: int = 0
) -> DuetPlan:
    """Return the plan of a duet.

    Args:
        timed: how many benchmarks are timed.
        tracked: how many benchmarks give numbers.
        budget_s: seconds of measuring; None for as long as the suite needs, within limits.
        quick: whether few launches are enough, and none under load.
        timeout_s: how long a side may be silent.
        fresh: how many of the timed benchmarks start a process for each sample.

    Raises:
        RequestError: the budget has no room for them.
    """
    forks_s = (timed - fresh) * FORK_S + fresh * FRESH_FORK_S
    needed_s = (tracked * TRACK_S + forks_s + timed * SHORTEST_RACE_S) * LAUNCHES_OF_A_PLAN
    if budget_s is not None and budget_s < needed_s:
        raise RequestError(
            f"--budget {budget_s:g}s: {timed + tracked} benchmarks need {math.ceil(needed_s)} s or more; "
            f"try --budget {math.ceil(needed_s / 10) * 10}s, or fewer of them with --select"
        )
    budget = budget_s if budget_s is not None else _default_s(timed + tracked, needed_s, quick=quick)
    most = LAUNCHES_OF_A_PLAN if quick else MOST_TRACK_LAUNCHES
    has_room = _launches(timed, forks_s, budget - tracked * TRACK_S * most) >= most
    track_launches = most if has_room else LAUNCHES_OF_A_PLAN
    room_s = budget - tracked * TRACK_S * track_launches
    fit = track_launches if quick or not timed else min(_launches(timed, forks_s, room_s), MOST_LAUNCHES)
    launches = max(track_launches, fit)
    race_s = max(SHORTEST_RACE_S, (room_s / launches - forks_s) / timed) if timed else SHORTEST_RACE_S
    return DuetPlan(
        looks=default_looks(launches) if timed else Looks(launches=(launches,)),
        durations=PairDurations(warmup_s=WARMUP_S, race_s=race_s, timeout_s=timeout_s),
        track_launches=track_launches,
        load_s=None if quick else RACE_S / 2,
        budget_s=budget,
    )


def _launches(timed: int, forks_s: float, room_s: float) -> int:
    """Return the number of launches that a time has room for; of tracked numbers alone, as many as there may be."""
    if not timed:
        return MOST_LAUNCHES if room_s >= 0 else 0
    return int(room_s / (forks_s + timed * RACE_S))


def _default_s(benchmarks: int, needed_s: float, *, quick: bool) -> float:
    each, (least, most) = (QUICK_A_BENCHMARK_S, QUICK_BUDGET_S) if quick else (DEFAULT_A_BENCHMARK_S, DEFAULT_BUDGET_S)
    return max(needed_s, min(max(least, benchmarks * each), most))

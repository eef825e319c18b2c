"""How a duet spends its time: launches, forks and durations for so many benchmarks and a budget. Pure."""

import math
from dataclasses import dataclass

from int8bench.duet.pairs import Durations
from int8bench.errors import RequestError
from int8bench.stats.stopping import Looks, default_looks

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
WARMUP_S = 0.03
TRACK_S = 0.6
FEWEST_LAUNCHES = 4  # the t quantile at 3 degrees of freedom is the last that is of use
MOST_LAUNCHES = 40
TRACK_LAUNCHES = 4  # numbers that hardly vary need no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured at most; a benchmark that settles at an earlier look stops there."""

    looks: Looks
    durations: Durations
    load_s: float | None
    budget_s: float

    @property
    def launches(self) -> int:
        """The most launches of a benchmark."""
        return self.looks.launches[-1]

    def to_dict(self) -> dict[str, object]:
        """What a record keeps of the plan."""
        return {
            "looks": list(self.looks.launches),
            "track_launches": TRACK_LAUNCHES,
            "warmup_s": self.durations.warmup_s,
            "race_s": self.durations.race_s,
            "load_s": self.load_s,
            "budget_s": self.budget_s,
        }


def plan_for(*, timed: int, tracked: int, budget_s: float | None, quick: bool, timeout_s: float) -> Plan:
    """The plan for so many benchmarks of each kind.

    Raises:
        RequestError: the budget has no room for them.
    """
    fixed_s = tracked * TRACK_S * TRACK_LAUNCHES
    needed_s = fixed_s + timed * (FORK_S + SHORTEST_RACE_S) * FEWEST_LAUNCHES
    if budget_s is not None and budget_s < needed_s:
        raise RequestError(
            f"--budget {budget_s:g}s: {timed + tracked} benchmarks need {math.ceil(needed_s)} s or more; "
            f"try --budget {math.ceil(needed_s / 10) * 10}s, or fewer of them with --select"
        )
    budget = budget_s if budget_s is not None else _default_s(timed + tracked, needed_s, quick=quick)
    launches, race_s = FEWEST_LAUNCHES, SHORTEST_RACE_S
    if timed:
        room_s = (budget - fixed_s) / timed
        most = FEWEST_LAUNCHES if quick else MOST_LAUNCHES
        launches = min(max(int(room_s / (FORK_S + RACE_S)), FEWEST_LAUNCHES), most)
        race_s = max(SHORTEST_RACE_S, room_s / launches - FORK_S)
    return Plan(
        looks=default_looks(launches),
        durations=Durations(warmup_s=WARMUP_S, race_s=race_s, timeout_s=timeout_s),
        load_s=None if quick else RACE_S / 2,
        budget_s=budget,
    )


def _default_s(benchmarks: int, needed_s: float, *, quick: bool) -> float:
    each, (least, most) = (QUICK_A_BENCHMARK_S, QUICK_BUDGET_S) if quick else (DEFAULT_A_BENCHMARK_S, DEFAULT_BUDGET_S)
    return max(needed_s, min(max(least, benchmarks * each), most))

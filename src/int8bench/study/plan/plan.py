"""How a run spends the time that it measures: launches, forks and durations for a grid and a budget. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from int8bench import documents
from int8bench.documents import Json
from int8bench.errors import RequestError
from int8bench.lab.sampling import Durations
from int8bench.stats.limits import LAUNCHES_OF_A_PLAN
from int8bench.stats.verdict import Looks, default_looks
from int8bench.workload.cases import Case

# Measuring time, where no budget was given. Launches, conversions and checks come on top; what all of it together may
# take is stated and kept by `budget`.
DEFAULT_BUDGET_S = 150.0
QUICK_BUDGET_S = 26.0
CELL_BUDGET_S = 2.4  # of a grid too large for the default
LAUNCH_BUDGET_S = 18.0  # one launch more for every so many seconds: more launches before longer forks
MOST_LAUNCHES = 40

FORK_S = 0.25  # fork, build and check, before anything is timed
LONGEST_RACE_S = 2.0  # beyond this another launch says more than a longer fork
SHORTEST_RACE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """A plan as a record keeps it."""

    looks: tuple[int, ...]
    forks: int
    warmup_s: float
    race_s: float
    single_s: float
    sample_s: float
    replicates: int
    load_s: float
    budget_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """How thoroughly each step is done."""

    forks: int
    replicates: int
    load_s: float
    warmup_s: float


# The first that a budget has room for; the last is what `--quick` takes.
THOROUGH = _Pace(forks=2, replicates=3, load_s=0.25, warmup_s=0.05)
SINGLE = _Pace(forks=1, replicates=3, load_s=0.25, warmup_s=0.05)
LEAN = _Pace(forks=1, replicates=2, load_s=0.05, warmup_s=0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What a budget has to pay beside measuring: once, and for each launch."""

    start_s: float = 0.0
    launch_s: float = 0.0

    def seconds(self, launches: int) -> float:
        """Return the seconds of the overhead in so many launches."""
        return self.start_s + self.launch_s * launches


NONE = Overhead()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured at most; a group that settles at an earlier look stops there."""

    looks: Looks
    forks: int
    durations: Durations
    replicates: int
    load_s: float
    budget_s: float
    """Of measuring alone."""

    @property
    def launches(self) -> int:
        """The most launches of a cell."""
        return self.looks.launches[-1]

    def lean(self) -> "Plan":
        """Return a plan of the same looks, with forks as few and as short as they may be."""
        return replace(
            self,
            forks=LEAN.forks,
            replicates=LEAN.replicates,
            load_s=LEAN.load_s,
            durations=_durations(LEAN, SHORTEST_RACE_S),
        )

    @classmethod
    def from_dict(cls, stored: Json) -> "Plan":
        """Return the plan that a record keeps; the inverse of `to_dict`.

        Raises:
            RecordError: it is none.
        """
        form = documents.read(_Stored, stored, name="settings", at="plan")
        durations = Durations(
            warmup_s=form.warmup_s, race_s=form.race_s, single_s=form.single_s, sample_s=form.sample_s
        )
        return cls(
            looks=Looks(launches=form.looks),
            forks=form.forks,
            durations=durations,
            replicates=form.replicates,
            load_s=form.load_s,
            budget_s=form.budget_s,
        )

    def to_dict(self) -> dict[str, Json]:
        """Return the form in which a record keeps the plan."""
        return {
            "looks": list(self.looks.launches),
            "forks": self.forks,
            **asdict(self.durations),
            "replicates": self.replicates,
            "load_s": self.load_s,
            "budget_s": self.budget_s,
        }


def plan_for(cases: tuple[Case, ...], *, budget_s: float | None, quick: bool, overhead: Overhead = NONE) -> Plan:
    """Return the plan of a run over `cases`.

    Args:
        cases: the grid.
        budget_s: seconds for measuring and the overhead together; without one, as long as the grid needs.
        quick: whether launches and replicates stay as few as they may be.
        overhead: what a budget has to pay beside.

    Raises:
        RequestError: the budget has no room for the grid.
    """
    least_s = _seconds(cases, LEAN, launches=LAUNCHES_OF_A_PLAN)
    needed_s = least_s + overhead.seconds(LAUNCHES_OF_A_PLAN)
    if budget_s is not None and budget_s < needed_s:
        raise RequestError(
            f"--budget {budget_s:g}s: {len(cases)} cells need {math.ceil(needed_s)} s or more; "
            f"try --budget {_round_figure(needed_s)}s, or fewer of --engines, --batch and --threads"
        )
    if budget_s is None:
        overhead = NONE
        default_s = QUICK_BUDGET_S if quick else max(DEFAULT_BUDGET_S, CELL_BUDGET_S * len(cases))
        budget_s = max(default_s, least_s)
    launches, pace = _affordable(cases, budget_s, overhead, quick=quick)
    turns = launches * pace.forks * len(_contenders(cases))
    measuring_s = budget_s - overhead.seconds(launches)
    spare_s = (measuring_s - _seconds(cases, pace, launches=launches)) / turns
    return Plan(
        looks=default_looks(launches),
        forks=pace.forks,
        durations=_durations(pace, min(SHORTEST_RACE_S + max(0.0, spare_s), LONGEST_RACE_S)),
        replicates=pace.replicates,
        load_s=pace.load_s,
        budget_s=measuring_s,
    )


def _durations(pace: _Pace, fork_s: float) -> Durations:
    return Durations(warmup_s=pace.warmup_s, race_s=0.75 * fork_s, single_s=0.25 * fork_s)


def _affordable(cases: Sequence[Case], budget_s: float, overhead: Overhead, *, quick: bool) -> tuple[int, _Pace]:
    """Return the most launches that a budget asks for and has room for, at the most thorough pace that fits."""

    def fits(pace: _Pace, launches: int) -> bool:
        return _seconds(cases, pace, launches=launches) + overhead.seconds(launches) <= budget_s

    most = LAUNCHES_OF_A_PLAN if quick else min(max(int(budget_s / LAUNCH_BUDGET_S), LAUNCHES_OF_A_PLAN), MOST_LAUNCHES)
    for launches in range(most, LAUNCHES_OF_A_PLAN, -1):
        for pace in (THOROUGH, SINGLE):
            if fits(pace, launches):
                return launches, pace
    for pace in () if quick else (THOROUGH, SINGLE):
        if fits(pace, LAUNCHES_OF_A_PLAN):
            return LAUNCHES_OF_A_PLAN, pace
    return LAUNCHES_OF_A_PLAN, LEAN


def _seconds(cases: Sequence[Case], pace: _Pace, *, launches: int) -> float:
    """Return the seconds that a run measures at a pace, imports apart, if each fork races no longer than it must."""
    solos_s = len(cases) * pace.replicates * (FORK_S + pace.load_s)
    # A contender of a race warms up, and takes a first call or two that a warm-up is too short for.
    turns_s = sum(FORK_S + SHORTEST_RACE_S + 2 * pace.warmup_s * count for count in _contenders(cases))
    return solos_s + launches * pace.forks * turns_s


def _contenders(cases: Sequence[Case]) -> tuple[int, ...]:
    """Return the number of contenders of each group."""
    return tuple(Counter(case.group for case in cases).values())


def _round_figure(seconds: float) -> int:
    """Return seconds rounded up to a figure that a person would type."""
    return 5 * math.ceil(seconds / 5)

"""How a run spends its time: launches, forks and durations for a grid and a budget. Pure."""

from dataclasses import dataclass

from int8bench.cases import Case, Group
from int8bench.errors import RequestError
from int8bench.lab.sampling import Durations
from int8bench.stats.stopping import Looks, default_looks

DEFAULT_BUDGET_S = 170.0  # with set-up and training it stays under four minutes on two cores
QUICK_BUDGET_S = 26.0
SMALLEST_BUDGET_S = 5.0
FEWEST_LAUNCHES = 4  # the t quantile at 3 degrees of freedom is the last that is of use
MOST_LAUNCHES = 40

LAUNCH_S = 2.5  # imports and preparation of one launch, two at a time on two cores
FORK_S = 0.25  # fork, build and check, before anything is timed
LONGEST_RACE_S = 2.0  # beyond this another launch says more than a longer fork
SHORTEST_RACE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured at most; a group that settles at an earlier look stops there."""

    looks: Looks
    forks: int
    durations: Durations
    replicates: int
    load_s: float
    budget_s: float

    @property
    def launches(self) -> int:
        """The most launches of a cell."""
        return self.looks.launches[-1]

    def to_dict(self) -> dict[str, object]:
        """What a record keeps of the plan."""
        return {
            "looks": list(self.looks.launches),
            "forks": self.forks,
            "warmup_s": self.durations.warmup_s,
            "race_s": self.durations.race_s,
            "single_s": self.durations.single_s,
            "sample_s": self.durations.sample_s,
            "replicates": self.replicates,
            "load_s": self.load_s,
            "budget_s": self.budget_s,
        }


def plan_for(cases: tuple[Case, ...], *, budget_s: float | None, quick: bool) -> Plan:
    """The plan of a run over `cases` that measures for about `budget_s` seconds.

    Raises:
        RequestError: the budget is too small to measure anything.
    """
    budget = budget_s if budget_s is not None else QUICK_BUDGET_S if quick else DEFAULT_BUDGET_S
    if budget < SMALLEST_BUDGET_S:
        raise RequestError(
            f"--budget {budget:g}s: expected {SMALLEST_BUDGET_S:.0f} s or more; "
            f"try --budget {QUICK_BUDGET_S:.0f}s or leave it out"
        )
    replicates, load_s, warmup_s = (2, 0.05, 0.02) if quick else (3, 0.25, 0.05)
    forks = 1 if quick else 2
    launches = FEWEST_LAUNCHES if quick else _launches(budget)
    looks = default_looks(launches)
    solos_s = len(cases) * replicates * (FORK_S + load_s)
    groups: dict[Group, int] = {}
    for case in cases:
        groups[case.group] = groups.get(case.group, 0) + 1
    overhead_s = sum(FORK_S + contenders * 2 * warmup_s for contenders in groups.values())
    left_s = budget - launches * LAUNCH_S - solos_s - launches * forks * overhead_s
    fork_s = min(max(left_s / (launches * forks * len(groups)), SHORTEST_RACE_S), LONGEST_RACE_S)
    return Plan(
        looks=looks,
        forks=forks,
        durations=Durations(warmup_s=warmup_s, race_s=0.75 * fork_s, single_s=0.25 * fork_s),
        replicates=replicates,
        load_s=load_s,
        budget_s=budget,
    )


def _launches(budget_s: float) -> int:
    """More launches before longer forks: one for every 20 seconds."""
    return min(max(round(budget_s / 20), FEWEST_LAUNCHES), MOST_LAUNCHES)

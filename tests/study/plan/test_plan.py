import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import int8_variants

from int8bench.errors import RequestError
from int8bench.study.plan.plan import (
    DEFAULT_BUDGET_S,
    FORK_S,
    MOST_LAUNCHES,
    QUICK_BUDGET_S,
    SHORTEST_RACE_S,
    Overhead,
    Plan,
    plan_for,
)
from int8bench.workload.cases import Case, grid

DEFAULT = grid(model="m", variants=int8_variants("fbgemm", "x86"), batches=(1, 8, 32), threads=(1, 2))
SMALL = grid(model="m", variants=int8_variants("fbgemm"), batches=(1,), threads=(1,))
LARGE = grid(
    model="m",
    variants=int8_variants("fbgemm", "x86", "onednn", "qnnpack"),
    batches=tuple(2**i for i in range(8)),
    threads=(1, 2),
)
GRIDS = st.builds(
    lambda engines, batches, threads: grid(
        model="m",
        variants=int8_variants(*(f"e{i}" for i in range(engines))),
        batches=tuple(range(1, batches + 1)),
        threads=tuple(range(1, threads + 1)),
    ),
    st.integers(1, 5),
    st.integers(1, 8),
    st.integers(1, 4),
)


def _planned_s(plan: Plan, cases: tuple[Case, ...]) -> float:
    """Every phase of a whole plan, added up one by one: the forks of all launches, and each cell alone."""
    seconds = 0.0
    groups = dict.fromkeys(case.group for case in cases)
    for _ in range(plan.launches * plan.forks):
        for group in groups:
            contenders = sum(case.group == group for case in cases)
            seconds += FORK_S + contenders * plan.durations.warmup_s + plan.durations.race_s + plan.durations.single_s
    return seconds + len(cases) * plan.replicates * (FORK_S + plan.load_s)


def _least_s(cases: tuple[Case, ...]) -> float:
    """What the leanest plan takes: four launches, one short fork in each, each cell alone twice."""
    groups = len(dict.fromkeys(case.group for case in cases))
    return 4 * (groups * (FORK_S + SHORTEST_RACE_S) + len(cases) * 2 * 0.02) + len(cases) * 2 * (FORK_S + 0.05)


def test_the_default_grid_keeps_to_its_budget_with_several_launches() -> None:
    """The default is eight launches of two forks, inside the budget."""
    plan = plan_for(DEFAULT, budget_s=None, quick=False)
    assert plan.budget_s == DEFAULT_BUDGET_S
    assert (plan.launches, plan.forks, plan.replicates) == (8, 2, 3)
    assert 0.5 * DEFAULT_BUDGET_S < _planned_s(plan, DEFAULT) <= DEFAULT_BUDGET_S


def test_quick_measures_the_default_grid_in_half_a_minute() -> None:
    """The rest of what it takes is launches and checks, and far below what --quick never exceeds."""
    plan = plan_for(DEFAULT, budget_s=None, quick=True)
    assert _planned_s(plan, DEFAULT) <= 30.0
    assert plan.budget_s <= 30.0
    assert plan_for(SMALL, budget_s=None, quick=True).budget_s == QUICK_BUDGET_S


def test_quick_stays_quick_with_time_to_spare() -> None:
    """A budget beside --quick lengthens forks; launches and replicates stay as few as they may be."""
    plan = plan_for(SMALL, budget_s=600.0, quick=True)
    assert (plan.launches, plan.forks, plan.replicates, plan.load_s) == (4, 1, 2, 0.05)
    assert plan.durations.race_s + plan.durations.single_s == 2.0


def test_there_is_a_most_of_everything() -> None:
    """Ten hours are forty launches with forks of two seconds, and no more."""
    plan = plan_for(SMALL, budget_s=36_000.0, quick=False)
    assert (plan.launches, plan.forks) == (40, 2)
    assert plan.durations.race_s + plan.durations.single_s == 2.0


@settings(deadline=None, derandomize=True)
@given(cases=GRIDS, budget_s=st.floats(1.0, 5000.0), quick=st.booleans())
def test_a_budget_is_kept_or_refused(cases: tuple[Case, ...], budget_s: float, quick: bool) -> None:  # noqa: FBT001
    """A plan never takes longer than the budget that was given, and each fork races for a while."""
    if budget_s < _least_s(cases):
        with pytest.raises(RequestError, match=f"{len(cases)} cells need"):
            plan_for(cases, budget_s=budget_s, quick=quick)
        return
    plan = plan_for(cases, budget_s=budget_s, quick=quick)
    assert plan.budget_s == budget_s
    assert _planned_s(plan, cases) <= budget_s
    assert plan.durations.race_s + plan.durations.single_s >= 0.999 * SHORTEST_RACE_S


@settings(deadline=None, derandomize=True)
@given(cases=GRIDS, budget_s=st.floats(300.0, 3000.0), more=st.floats(1.0, 3.0), quick=st.booleans())
def test_more_budget_never_gives_fewer_launches(
    cases: tuple[Case, ...],
    budget_s: float,
    more: float,
    quick: bool,  # noqa: FBT001
) -> None:
    """More time is more launches, up to the most."""
    less, full = (plan_for(cases, budget_s=each, quick=quick) for each in (budget_s, budget_s * more))
    assert less.launches <= full.launches <= MOST_LAUNCHES


def test_a_grid_too_large_for_the_budget_is_a_sentence() -> None:
    """It says how long the grid takes and what to type, and what it says is then taken."""
    with pytest.raises(RequestError) as refused:
        plan_for(LARGE, budget_s=30.0, quick=False)
    sentence = str(refused.value)
    assert sentence.startswith("--budget 30s: 96 cells need ")
    assert "or fewer of --engines, --batch and --threads" in sentence
    proposed_s = float(sentence.partition("try --budget ")[2].partition("s,")[0])
    assert plan_for(LARGE, budget_s=proposed_s, quick=False).launches == 4


@pytest.mark.parametrize("quick", [False, True])
def test_a_large_grid_without_a_budget_gets_the_time_it_needs(quick: bool) -> None:  # noqa: FBT001
    """The plan says what the grid takes, so that the time left is honest from the first step."""
    plan = plan_for(LARGE, budget_s=None, quick=quick)
    assert plan.budget_s >= _planned_s(plan, LARGE)
    assert plan.durations.race_s > 0
    assert plan.budget_s == (max(DEFAULT_BUDGET_S, plan.budget_s) if not quick else plan.budget_s)


def test_a_tight_budget_is_spent_on_launches_first() -> None:
    """Fewer replicates and one fork a launch before fewer launches than the fewest of use."""
    tight, roomy = (plan_for(DEFAULT, budget_s=budget_s, quick=False) for budget_s in (30.0, 240.0))
    assert (tight.launches, tight.forks, tight.replicates) == (4, 1, 2)
    assert (roomy.launches, roomy.forks, roomy.replicates) == (13, 2, 3)


def test_the_plan_is_written_down_whole() -> None:
    """A record keeps what decides which figures a run can have."""
    plan = plan_for(SMALL, budget_s=60.0, quick=False)
    written = plan.to_dict()
    assert written["looks"] == [4]
    assert written["budget_s"] == 60.0
    assert set(written) == {
        "looks",
        "forks",
        "warmup_s",
        "race_s",
        "single_s",
        "sample_s",
        "replicates",
        "load_s",
        "budget_s",
    }


def test_a_budget_pays_for_launches_too() -> None:
    """What is measured, started and paid once fits into it together; what is left is the plan's own."""
    overhead = Overhead(start_s=10.0, launch_s=2.5)
    for budget_s in (60.0, 120.0, 600.0):
        plan = plan_for(DEFAULT, budget_s=budget_s, quick=False, overhead=overhead)
        assert _planned_s(plan, DEFAULT) + overhead.seconds(plan.launches) <= budget_s
        assert plan.budget_s == budget_s - overhead.seconds(plan.launches)


def test_a_budget_that_launches_alone_use_up_is_refused() -> None:
    """The sentence counts them in, and what it says is then taken."""
    overhead = Overhead(start_s=10.0, launch_s=2.5)
    with pytest.raises(RequestError, match=r"--budget 15s: 3 cells need \d\d s or more") as refused:
        plan_for(SMALL, budget_s=15.0, quick=True, overhead=overhead)
    proposed_s = float(str(refused.value).partition("try --budget ")[2].partition("s,")[0])
    assert plan_for(SMALL, budget_s=proposed_s, quick=True, overhead=overhead).launches == 4


def test_without_a_budget_nothing_is_paid_from_it() -> None:
    """The default is a time for measuring; the total that is promised has room for the rest."""
    overhead = Overhead(start_s=10.0, launch_s=2.5)
    with_it, without = (plan_for(DEFAULT, budget_s=None, quick=True, overhead=each) for each in (overhead, Overhead()))
    assert with_it == without


def test_a_lean_plan_has_the_same_looks_and_the_least_of_the_rest() -> None:
    """Looks share out a probability of error, and stay; forks are as few and as short as any plan's."""
    plan = plan_for(SMALL, budget_s=600.0, quick=False)
    least = plan_for(LARGE, budget_s=None, quick=True)
    lean = plan.lean()
    assert lean.looks == plan.looks
    assert (lean.forks, lean.replicates, lean.load_s) == (least.forks, least.replicates, least.load_s)
    assert lean.durations.race_s <= least.durations.race_s < plan.durations.race_s


def test_a_plan_is_read_back_whole() -> None:
    """As a record keeps it."""
    plan = plan_for(DEFAULT, budget_s=100.0, quick=False)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan

"""How a duet spends its time: never more than the budget, and a budget that is too small is told what it would take."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from int8bench.compare.duet import plan
from int8bench.compare.duet.plan import FORK_S, FRESH_FORK_S, SHORTEST_RACE_S, TRACK_S, DuetPlan, plan_for
from int8bench.errors import RequestError
from int8bench.stats.limits import LAUNCHES_OF_A_PLAN


def _planned(
    timed: int, tracked: int = 0, *, fresh: int = 0, budget_s: float | None = None, quick: bool = False
) -> DuetPlan:
    return plan_for(timed=timed, fresh=fresh, tracked=tracked, budget_s=budget_s, quick=quick, timeout_s=60.0)


def _spent_s(found: DuetPlan, timed: int, tracked: int, fresh: int = 0) -> float:
    """What the plan takes where nothing settles early."""
    forks_s = (timed - fresh) * FORK_S + fresh * FRESH_FORK_S
    return found.launches * (forks_s + timed * found.durations.race_s) + tracked * TRACK_S * found.track_launches


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1), st.floats(1, 1e5), st.booleans())
def test_the_budget_is_kept(timed: int, tracked: int, share: float, budget_s: float, quick: bool) -> None:  # noqa: FBT001
    """Whatever is asked, of whichever kinds: it is kept, or refused."""
    fresh = round(timed * share)
    try:
        found = _planned(timed, tracked, fresh=fresh, budget_s=budget_s, quick=quick)
    except RequestError:
        forks_s = (timed - fresh) * (FORK_S + SHORTEST_RACE_S) + fresh * (FRESH_FORK_S + SHORTEST_RACE_S)
        assert budget_s < (forks_s + tracked * TRACK_S) * LAUNCHES_OF_A_PLAN * (1 + 1e-9)
        return
    assert _spent_s(found, timed, tracked, fresh) <= budget_s * (1 + 1e-9)
    assert found.budget_s == budget_s
    assert LAUNCHES_OF_A_PLAN <= found.launches <= plan.MOST_LAUNCHES
    assert found.durations.race_s >= SHORTEST_RACE_S


@given(st.integers(1, 300), st.integers(0, 300), st.booleans())
def test_the_default_has_room_for_any_suite(timed: int, tracked: int, quick: bool) -> None:  # noqa: FBT001
    """Many benchmarks take longer than the usual most; it is never refused."""
    found = _planned(timed, tracked, quick=quick)
    assert _spent_s(found, timed, tracked) <= found.budget_s * (1 + 1e-9)


@pytest.mark.parametrize(
    ("timed", "quick", "budget_s"), [(1, False, 60.0), (6, False, 150.0), (60, False, 600.0), (1, True, 10.0)]
)
def test_the_default_grows_with_the_suite(timed: int, *, quick: bool, budget_s: float) -> None:
    """Between a least and a most."""
    assert _planned(timed, quick=quick).budget_s == budget_s


def test_a_budget_that_is_too_small_says_what_it_would_take() -> None:
    """And the figure that it names is enough."""
    with pytest.raises(
        RequestError, match=r"--budget 5s: 12 benchmarks need .* or fewer of them with --select"
    ) as told:
        _planned(10, 2, budget_s=5)
    tried = re.search(r"try --budget (\d+)s", str(told.value))
    assert tried is not None
    assert _planned(10, 2, budget_s=float(tried[1])).launches == LAUNCHES_OF_A_PLAN


def test_quick_has_the_fewest_launches_and_no_load() -> None:
    """A longer budget then makes longer forks."""
    found = _planned(6, quick=True, budget_s=120)
    assert (found.launches, found.load_s) == (LAUNCHES_OF_A_PLAN, None)
    assert found.durations.race_s > _planned(6, budget_s=120).durations.race_s
    assert _planned(6, budget_s=120).load_s is not None


def test_more_time_goes_into_launches_first() -> None:
    """Most of the spread is between launches; when they are the most, forks get longer."""
    launches = [_planned(1, budget_s=budget_s).launches for budget_s in (3, 10, 20, 1000)]
    assert launches == sorted(launches)
    assert launches[-1] == plan.MOST_LAUNCHES
    assert _planned(1, budget_s=1000).durations.race_s == pytest.approx(1000 / plan.MOST_LAUNCHES - FORK_S)


def test_fresh_processes_leave_room_for_fewer_launches() -> None:
    """Their starts are most of what they take."""
    assert _planned(6, fresh=6, budget_s=200).launches < _planned(6, budget_s=200).launches


def test_a_suite_of_numbers_alone_has_a_plan() -> None:
    """They have the launches that are of use to numbers with noise, such as a peak of memory, in one go."""
    found = _planned(0, 3)
    assert found.looks.launches == found.track_looks.launches == (plan.MOST_TRACK_LAUNCHES,)
    few_s = 3 * TRACK_S * (plan.MOST_TRACK_LAUNCHES - 1)
    assert _planned(0, 3, budget_s=few_s).looks.launches == (LAUNCHES_OF_A_PLAN,)
    assert _planned(0, 3, quick=True).looks.launches == (LAUNCHES_OF_A_PLAN,)


def test_a_plan_is_written_down() -> None:
    """All that a reader needs to know how the figures came about."""
    found: dict[str, Any] = _planned(6, budget_s=100).to_dict()
    assert set(found) == {"looks", "track_launches", "warmup_s", "race_s", "load_s", "budget_s"}
    assert found["looks"][-1] == math.floor(100 / 6 / (FORK_S + plan.RACE_S))
    assert found["budget_s"] == 100

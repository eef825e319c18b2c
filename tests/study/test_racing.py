"""How races that try our verdicts are judged: at which look they stop, and what a fork's ratio is."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from int8bench.stats.limits import Verdict
from int8bench.stats.ratio import LaunchTable
from int8bench.stats.verdict import Looks
from int8bench.study.racing import Design, Judged, judged, judged_at, log_ratio

DESIGN = Design(
    looks=Looks(launches=(4, 6, 8)),
    forks=1,
    race_s=0.1,
    warmup_s=0.0,
    precision=0.005,
    margin=0.01,
    confidence=0.95,
    error_rate=0.001,
)
QUIET = (0.0, 0.0001, -0.0001, 0.0, 0.0002, -0.0002, 0.0, 0.0001)


def table(*means: float) -> LaunchTable:
    """One fork a launch."""
    return LaunchTable(log_ratios=tuple((mean,) for mean in means), pairs=10 * len(means))


def race(kept: tuple[bool, ...], reference: tuple[float, ...], candidate: tuple[float, ...]) -> SimpleNamespace:
    """A fork's race of two tracks."""
    times = {"reference": reference, "candidate": candidate}
    return SimpleNamespace(kept=kept, track=lambda name: SimpleNamespace(times_s=times[name]))


@pytest.mark.parametrize(
    ("half_width", "verdict", "settles"),
    [(0.005, Verdict.SAME, True), (0.005, Verdict.UNCLEAR, False), (0.006, Verdict.BELOW, False)],
)
def test_a_race_stops_when_its_interval_and_its_verdict_are_made(
    half_width: float, verdict: Verdict, *, settles: bool
) -> None:
    """Narrow and clear, both."""
    found = Judged(estimate=SimpleNamespace(half_width=half_width), judgement=SimpleNamespace(verdict=verdict))
    assert found.settles(DESIGN) is settles


def test_a_whole_race_is_judged_where_it_would_have_stopped() -> None:
    """What comes after the look at which it settles has no say; what never settles is judged at the end."""
    spoiled = table(*QUIET[:4], 0.3, -0.3, 0.3, -0.3)
    assert judged(spoiled, DESIGN) == judged_at(replace(spoiled, log_ratios=spoiled.log_ratios[:4]), DESIGN, look=0)
    assert judged(spoiled, DESIGN).judgement.verdict is Verdict.SAME
    wide = table(0.1, -0.1, 0.2, -0.2, 0.1, -0.1, 0.2, -0.2)
    assert judged(wide, DESIGN) == judged_at(wide, DESIGN, look=2)
    assert judged(wide, DESIGN).judgement.verdict is Verdict.UNCLEAR


def test_looking_three_times_costs_width() -> None:
    """Each look's interval is wider than one that is looked at once."""
    once = replace(DESIGN, looks=Looks(launches=(8,)))
    looked, single = (judged_at(table(*QUIET), each, look=len(each.looks.launches) - 1) for each in (DESIGN, once))
    assert looked.estimate.half_width > single.estimate.half_width


def test_a_design_says_all_that_tells_it_from_another() -> None:
    """So that a file can refuse to join unlike races."""
    assert DESIGN.to_dict()["looks"] == [4, 6, 8]
    assert DESIGN.launches == 8
    for change in ({"race_s": 0.2}, {"forks": 2}, {"looks": Looks(launches=(4, 8))}, {"error_rate": 0.01}):
        assert replace(DESIGN, **change).to_dict() != DESIGN.to_dict()


def test_a_fork_is_the_median_of_its_kept_rounds() -> None:
    """Positive where the candidate is faster; a disturbed round has no say."""
    raced = race((True, True, True, False), (2.0, 2.0, 2.0, 2.0), (1.0, 1.0, 1.0, 9.0))
    assert log_ratio(raced, reference="reference", candidate="candidate") == pytest.approx(math.log(2))
    assert log_ratio(raced, reference="candidate", candidate="reference") == pytest.approx(-math.log(2))


def test_a_fork_with_one_kept_round_has_no_ratio() -> None:
    """One round is no median; `noise.kept_rounds` keeps no less than two where there are two."""
    raced = race((True, False), (2.0, 2.0), (1.0, 4.0))
    assert log_ratio(raced, reference="reference", candidate="candidate") is None

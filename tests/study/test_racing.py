"""How races that try our verdicts are judged: at which look they stop, and what a fork's ratio is."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from int8bench.stats.limits import Verdict
from int8bench.stats.ratio import LaunchTable
from int8bench.stats.verdict import Looks
from int8bench.study.cells import RaceSample
from int8bench.study.racing import SHARE, Design, Judged, far_behind, judged, judged_at, log_ratio, paired
from int8bench.workload.cases import FLOAT32, INT8, Case, Group, Variant

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


def sample(*times_s: float, every: int = 1, rounds: int | None = None, launch: int = 0, fork: int = 0) -> RaceSample:
    """One fork of a contender, all of whose rounds count but the second."""
    kept = [1] * (rounds or len(times_s))
    kept[1] = 0
    return RaceSample(
        launch=launch,
        fork=fork,
        calls=1,
        times_s=times_s,
        kept=tuple(kept),
        single_s=(),
        cpu_s=1.0,
        wall_s=1.0,
        lingering_s=0.0,
        noise={},
        every=every,
    )


def test_pairs_are_of_the_same_round_whoever_takes_part_in_a_share() -> None:
    """The second round counts for nobody, and of a share only those rounds count that both took part in."""
    reference = sample(1.0, 9.0, 1.0, 9.0, 4.0, 9.0, 2.0, 9.0)
    half = sample(1.0, 0.5, 2.0, 1.0, every=2, rounds=8)
    quarter = sample(3.0, 1.0, every=4, rounds=8)
    ratio, kept = paired(reference, half)
    assert ratio == pytest.approx(math.log(2))  # of 1, 2, 2, 2
    assert kept == (1, 1, 1, 1)
    assert paired(half, quarter) == (pytest.approx((math.log(1 / 3) + math.log(2)) / 2), (1, 1))
    assert paired(quarter, reference)[0] == pytest.approx(-paired(reference, quarter)[0])
    assert paired(reference, reference) == (0.0, (1, 0, 1, 1, 1, 1, 1, 1))


GROUP = Group(batch=1, threads=1)
LAST, NCHW, QUICK, SLOW = (
    Case(model="m", variant=Variant(engine=engine, precision=precision, layout=layout), group=GROUP)
    for engine, precision, layout in (
        ("torch", FLOAT32, "channels_last"),
        ("torch", FLOAT32, "nchw"),
        ("x86", INT8, "channels_last"),
        ("qnnpack", INT8, "channels_last"),
    )
)
ALL = (LAST, NCHW, QUICK, SLOW)


def shared(
    call_s: dict[Case, float],
    *,
    rounds: int = 4 * SHARE,
    forks: int = 2,
    before: int = 1,
    cases: tuple[Case, ...] = ALL,
) -> set[str]:
    """Who would take part in a share of the rounds, where each call takes so long in all forks of launch 0."""
    races = {
        case.id: [sample(*[seconds] * rounds, fork=fork) for fork in range(forks)] for case, seconds in call_s.items()
    }
    return {case.variant.label for case in far_behind(cases, races, before=before)}


def test_who_is_far_behind_takes_part_in_a_share_of_the_rounds() -> None:
    """The float32 that is not the best one, and an int8 engine far from the quickest and from the best float32."""
    assert shared({LAST: 1.0, NCHW: 2.0, QUICK: 0.4, SLOW: 3.0}) == {"torch float32 nchw", "qnnpack int8"}
    assert shared({LAST: 2.0, NCHW: 1.0, QUICK: 0.4, SLOW: 3.0}) == {"torch float32 channels_last", "qnnpack int8"}
    assert shared({LAST: 1.0, NCHW: 1.05, QUICK: 0.4, SLOW: 1.2}) == set()  # which float32 is best, is open
    assert shared({LAST: 1.0, NCHW: 2.0, QUICK: 0.9, SLOW: 0.95}) == {"torch float32 nchw"}
    assert shared({LAST: 1.0, NCHW: 2.0, SLOW: 3.0}, cases=(LAST, NCHW, SLOW)) == {"torch float32 nchw"}  # it is asked
    assert shared({LAST: 1.0, NCHW: 2.0, QUICK: 0.2, SLOW: 0.5}) == {"torch float32 nchw", "qnnpack int8"}


def test_a_share_needs_forks_and_rounds_of_earlier_launches() -> None:
    """One fork is not enough, nor are few rounds, and the launch that races now has no say."""
    call_s = {LAST: 1.0, NCHW: 2.0, QUICK: 0.4, SLOW: 3.0}
    assert shared(call_s, forks=1) == shared(call_s, rounds=2 * SHARE) == shared(call_s, before=0) == set()
    assert shared({**call_s}, cases=(LAST, NCHW)) == {"torch float32 nchw"}

"""A fork's log-ratio: one rule for every race."""

import math

import pytest

from int8bench.compare.duet.pairs import PairRace
from int8bench.lab.noise import Reading, kept_rounds
from int8bench.lab.sampling import Race, Track
from int8bench.stats.ratio import fork_log_ratio
from int8bench.study.cells import RaceSample
from int8bench.study.racing import launch_table, log_ratio


def test_it_is_the_median_of_the_kept_rounds() -> None:
    """A dropped round has no say, and a candidate of half the time reads log 2."""
    found = fork_log_ratio((2.0, 2.0, 8.0, 2.0), (1.0, 1.0, 1.0, 1.0), (True, True, False, True))
    assert found == pytest.approx(math.log(2))


def test_swapping_the_sides_turns_the_sign() -> None:
    """The ratio the other way round is the inverse."""
    a, b, kept = (1.0, 2.0, 4.0), (3.0, 1.0, 2.0), (True,) * 3
    assert fork_log_ratio(a, b, kept) == pytest.approx(-fork_log_ratio(b, a, kept))


def test_rounds_that_do_not_match_are_refused() -> None:
    """Two and three rounds cannot be paired."""
    with pytest.raises(ValueError, match="longer"):
        fork_log_ratio((1.0, 1.0), (1.0, 1.0, 1.0), (True, True))


@pytest.mark.parametrize(
    ("disturbed", "kept"),
    [
        ((), ()),
        ((False, True), (True, True)),
        ((True, False, False), (False, True, True)),
        ((True, True, False, False), (False, False, True, True)),
        ((True, True, True, False), (True,) * 4),
        ((False,), (True,)),
    ],
)
def test_disturbed_rounds_are_dropped_where_two_or_more_and_half_are_left(disturbed, kept) -> None:
    """Or none is: what is left would be one round's luck."""
    assert kept_rounds(disturbed) == kept


A_S, B_S = (1.0, 1.0), (1.0, 2.0)
QUIET = Reading(involuntary_switches=0, major_faults=0, minor_faults=0, steal_ticks=0, busy_ticks=0, own_cpu_s=0.0)


def _stored(times_s: tuple[float, ...], kept: tuple[int, ...]) -> list[RaceSample]:
    rest = {"calls": 1, "single_s": (), "cpu_s": 0.0, "wall_s": 1.0, "lingering_s": 0.0, "noise": {}}
    return [RaceSample(launch=launch, fork=0, times_s=times_s, kept=kept, **rest) for launch in range(2)]


def _raced(kept: tuple[bool, ...]) -> Race:
    rest = {"calls": 1, "single_s": (), "cpu_s": 0.0, "wall_s": 1.0, "lingering_s": 0.0, "disturbed_rounds": 0}
    tracks = (Track(name=name, times_s=t, involuntary_switches=0, **rest) for name, t in (("a", A_S), ("b", B_S)))
    return Race(tracks=tuple(tracks), kept=kept, disturbance=QUIET, wall_s=1.0)


@pytest.mark.parametrize(("kept", "expected"), [((1, 1), math.log(2) / 2), ((1, 0), None)])
def test_a_fork_of_one_quiet_round_says_the_same_to_every_race(kept: tuple[int, ...], expected: float | None) -> None:
    """The same rounds were once left out by run, taken whole by selftest, and one round's luck in a duet."""
    keeps = tuple(map(bool, kept))
    stored = launch_table(_stored(B_S, kept), _stored(A_S, kept))
    told = [
        PairRace(calls=1, base_s=A_S, head_s=B_S, kept=keeps, faults={}).log_ratio,
        log_ratio(_raced(keeps), reference="b", candidate="a"),
        None if stored is None else stored.log_ratios[0][0],
    ]
    assert told == [expected if expected is None else pytest.approx(expected)] * 3

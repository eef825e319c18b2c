"""Samples of two contenders of one race -> their log-ratios by launch. Pure."""

from collections.abc import Iterable, Sequence

from int8bench.ledger import RaceSample
from int8bench.stats.ratio import FEWEST_LAUNCHES, LaunchTable
from int8bench.stats.sample import Pairs, Sample

FEWEST_ROUNDS = 2  # kept rounds of a fork: below, its ratio is one round's luck, and the fork is left out


def launch_table(reference: Sequence[RaceSample], candidate: Sequence[RaceSample]) -> LaunchTable | None:
    """Log-ratios (launch, fork) of the forks that both have; None where an interval needs more launches."""
    there = {(race.launch, race.fork): race for race in reference}
    joined = [
        (there[race.launch, race.fork], race)
        for race in candidate
        if (race.launch, race.fork) in there and sum(race.kept) >= FEWEST_ROUNDS
    ]
    found = by_launch((mine.launch, _log_ratio(theirs, mine)) for theirs, mine in joined)
    if len(found) < FEWEST_LAUNCHES:
        return None
    return LaunchTable(log_ratios=found, pairs=sum(sum(mine.kept) for _, mine in joined))


def by_launch(found: Iterable[tuple[int, float]]) -> tuple[tuple[float, ...], ...]:
    """(launch, fork), from (launch number, value) in any order."""
    launches: dict[int, list[float]] = {}
    for launch, value in found:
        launches.setdefault(launch, []).append(value)
    return tuple(tuple(launches[launch]) for launch in sorted(launches))


def _log_ratio(reference: RaceSample, candidate: RaceSample) -> float:
    return Pairs(
        reference=Sample(times_s=reference.times_s),
        candidate=Sample(times_s=candidate.times_s),
        kept=tuple(bool(kept) for kept in candidate.kept),
    ).log_ratio

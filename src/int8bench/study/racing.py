"""From the samples of a race to log-ratios by launch; and the design of races that try our own verdicts. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from int8bench.documents import Json
from int8bench.lab.sampling import Durations, Race
from int8bench.stats.limits import LAUNCHES_FOR_A_SPREAD, Verdict
from int8bench.stats.ratio import Estimate, LaunchTable, estimate, fork_log_ratio
from int8bench.stats.verdict import Judgement, Looks, judge, nominal_errors
from int8bench.study.cells import RaceSample
from int8bench.workload.cases import FLOAT32, Case


def launch_table(reference: Sequence[RaceSample], candidate: Sequence[RaceSample]) -> LaunchTable | None:
    """Return log-ratios (launch, fork) of the forks that both cells have; None where an interval needs more launches.

    Args:
        reference: forks of the cell that is held against.
        candidate: forks of the other; log-ratios are positive where it is faster.
    """
    there = {(race.launch, race.fork): race for race in reference}
    both = [(there[race.launch, race.fork], race) for race in candidate if (race.launch, race.fork) in there]
    table, pairs = _joined((mine.launch, *paired(theirs, mine)) for theirs, mine in both)
    return LaunchTable(log_ratios=table, pairs=pairs) if len(table) >= LAUNCHES_FOR_A_SPREAD else None


# Who is far behind, or is shown for context alone, takes part in one of so many rounds: the others have the time, and
# it has rounds enough for a word. With a third of the time of a round (NCHW beside channels-last) that is a third more.
SHARE = 4
BEHIND = 1.5  # times as long: far enough that half the precision says as much
BEHIND_FLOAT32 = 1.1  # of the float32 that is not the best one, and so no reference of the headline
FORKS_TO_SHARE = 2
ROUNDS_TO_SHARE = 3 * SHARE


def far_behind(cases: Sequence[Case], races: Mapping[str, Sequence[RaceSample]], *, before: int) -> set[Case]:
    """Return the contenders that were far behind in each fork until now: a share of the rounds is enough for them.

    Earlier launches alone decide, so that no fork's rounds depend on what they measure; an interval over launches holds
    where their noise differs (Bakirov and Szekely 2006: Student's t keeps its error for normals of unlike variance).

    Args:
        cases: all that are raced together.
        races: their samples by id.
        before: the launch that is about to race.
    """
    earlier = {
        case: {(race.launch, race.fork): race for race in races.get(case.id, ()) if race.launch < before}
        for case in cases
    }
    shared = set.intersection(*map(set, earlier.values()))
    forks = [{case: there[fork] for case, there in earlier.items()} for fork in shared]
    rounds = [len(race.kept) for fork in forks for race in fork.values()]
    if len(forks) < FORKS_TO_SHARE or min(rounds) < ROUNDS_TO_SHARE:
        return set()
    calls_s = [{case: median(race.times_s) for case, race in fork.items()} for fork in forks]
    return {case for case in cases if all(_is_behind(case, call_s) for call_s in calls_s)}


def _is_behind(case: Case, call_s: Mapping[Case, float]) -> bool:
    """Tell whether a contender was far behind the quickest of its kind in one fork.

    One of reduced precision that is near the best float32 is never behind.
    """
    floats = [seconds for each, seconds in call_s.items() if each.variant.precision == FLOAT32]
    best = min(floats, default=math.inf)
    if case.variant.precision == FLOAT32:
        return call_s[case] >= BEHIND_FLOAT32 * best
    near = best / BEHIND < call_s[case] < best * BEHIND
    quickest = min(seconds for each, seconds in call_s.items() if each.variant.precision != FLOAT32)
    return call_s[case] >= BEHIND * quickest and not near


def paired(reference: RaceSample, candidate: RaceSample) -> tuple[float | None, Sequence[int]]:
    """Return the log-ratio of a fork over the rounds that both took part in, and which of these count.

    Positive where the candidate is faster; None where too few rounds count.

    Args:
        reference: the sample of one contender.
        candidate: that of the other, of the same fork.
    """
    step = math.lcm(reference.every, candidate.every)
    kept = candidate.kept[::step]
    theirs, mine = (each.times_s[:: step // each.every] for each in (reference, candidate))
    return fork_log_ratio(theirs, mine, kept), kept


def by_launch(values: Iterable[tuple[int, float]]) -> tuple[tuple[float, ...], ...]:
    """Return values as (launch, fork), from (launch number, value) in any order."""
    launches: dict[int, list[float]] = {}
    for launch, value in values:
        launches.setdefault(launch, []).append(value)
    return tuple(tuple(launches[launch]) for launch in sorted(launches))


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How each race is run; the stopping rule is the one that `run` uses."""

    looks: Looks
    forks: int
    race_s: float
    warmup_s: float
    precision: float
    margin: float
    confidence: float
    error_rate: float

    @property
    def durations(self) -> Durations:
        """The phases of a fork; no singly timed calls, as only ratios are asked for."""
        return Durations(warmup_s=self.warmup_s, race_s=self.race_s, single_s=0.0)

    @property
    def launches(self) -> int:
        """The most launches of a race."""
        return self.looks.launches[-1]

    def to_dict(self) -> dict[str, Json]:
        """Return the document of the design, by which a file tells races of another design apart."""
        return {**asdict(self), "looks": list(self.looks.launches)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a race shows at one of its looks: the 95 % interval, and the verdict."""

    estimate: Estimate
    judgement: Judgement

    def settles(self, design: Design) -> bool:
        """Tell whether a race of that design stops here: precise enough, and the verdict made."""
        return self.estimate.half_width <= design.precision and self.judgement.verdict is not Verdict.UNCLEAR


def judged_at(table: LaunchTable, design: Design, look: int) -> Judged:
    """Return the interval and the verdict of a race at a look, when it has the launches of the table.

    Args:
        table: log-ratios (launch, fork), positive where the candidate is faster.
        design: of the race.
        look: its number, from 0.
    """
    shown, judged = (nominal_errors(design.looks, e)[look] for e in (1 - design.confidence, design.error_rate))
    return Judged(
        estimate=estimate(table, confidence=design.confidence, nominal_error=shown),
        judgement=judge(table, nominal_error=judged, margin=design.margin),
    )


def judged(table: LaunchTable, design: Design) -> Judged:
    """Return the interval and the verdict of a race at the look at which it would have stopped.

    Args:
        table: log-ratios (launch, fork) of all its launches, in order.
        design: of the race.
    """
    for look, launches in enumerate(design.looks.launches):
        seen = LaunchTable(log_ratios=table.log_ratios[:launches], pairs=table.pairs)
        judgement = judged_at(seen, design, look)
        if judgement.settles(design):
            break
    return judgement


def log_ratio(race: Race, *, reference: str, candidate: str) -> float | None:
    """Return the log-ratio of two contenders in one fork; None of too few rounds.

    Args:
        race: of the fork.
        reference: the name of one contender.
        candidate: that of the other; the log-ratio is positive where it is faster.
    """
    return fork_log_ratio(race.track(reference).times_s, race.track(candidate).times_s, race.kept)


def race_table(launches: Iterable[Sequence[Race]], *, reference: str, candidate: str) -> LaunchTable:
    """Return log-ratios (launch, fork) of races, without the forks that have none.

    Args:
        launches: of each, the races of its forks.
        reference: the name of one contender.
        candidate: that of the other; log-ratios are positive where it is faster.

    Raises:
        ValueError: no fork has one.
    """
    table, pairs = _joined(
        (launch, log_ratio(race, reference=reference, candidate=candidate), race.kept)
        for launch, forks in enumerate(launches)
        for race in forks
    )
    return LaunchTable(log_ratios=table, pairs=pairs)


def _joined(
    forks: Iterable[tuple[int, float | None, Sequence[int]]],
) -> tuple[tuple[tuple[float, ...], ...], int]:
    """Return the log-ratios (launch, fork) of the forks that have one, and the pairs behind them.

    `forks` are (launch, log-ratio, kept).
    """
    ratios = [(launch, ratio, sum(kept)) for launch, ratio, kept in forks if ratio is not None]
    return by_launch((launch, ratio) for launch, ratio, _ in ratios), sum(pairs for _, _, pairs in ratios)

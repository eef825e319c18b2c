"""From the samples of a race to log-ratios by launch; and the design of races that try our own verdicts. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from int8bench.documents import Json
from int8bench.lab.sampling import Durations, Race
from int8bench.stats.limits import LAUNCHES_FOR_A_SPREAD, Verdict
from int8bench.stats.ratio import Estimate, LaunchTable, estimate, fork_log_ratio
from int8bench.stats.verdict import Judgement, Looks, judge, nominal_errors
from int8bench.study.cells import RaceSample


def launch_table(reference: Sequence[RaceSample], candidate: Sequence[RaceSample]) -> LaunchTable | None:
    """Log-ratios (launch, fork) of the forks that both have; None where an interval needs more launches."""
    there = {(race.launch, race.fork): race for race in reference}
    both = [(there[race.launch, race.fork], race) for race in candidate if (race.launch, race.fork) in there]
    ratios = (fork_log_ratio(theirs.times_s, mine.times_s, mine.kept) for theirs, mine in both)
    table, pairs = _joined((mine.launch, ratio, mine.kept) for (_, mine), ratio in zip(both, ratios, strict=True))
    return LaunchTable(log_ratios=table, pairs=pairs) if len(table) >= LAUNCHES_FOR_A_SPREAD else None


def by_launch(found: Iterable[tuple[int, float]]) -> tuple[tuple[float, ...], ...]:
    """(launch, fork), from (launch number, value) in any order."""
    launches: dict[int, list[float]] = {}
    for launch, value in found:
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
        """What a file keeps of it, so that unlike races are never joined."""
        return {**asdict(self), "looks": list(self.looks.launches)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a race shows at one of its looks: the 95 % interval, and the verdict."""

    estimate: Estimate
    judgement: Judgement

    def settles(self, design: Design) -> bool:
        """Whether a race of that design stops here: precise enough, and the verdict made."""
        return self.estimate.half_width <= design.precision and self.judgement.verdict is not Verdict.UNCLEAR


def judged_at(table: LaunchTable, design: Design, look: int) -> Judged:
    """What a race of that design shows at a look, when it has the launches of the table."""
    shown, judged = (nominal_errors(design.looks, e)[look] for e in (1 - design.confidence, design.error_rate))
    return Judged(
        estimate=estimate(table, confidence=design.confidence, nominal_error=shown),
        judgement=judge(table, nominal_error=judged, margin=design.margin),
    )


def judged(table: LaunchTable, design: Design) -> Judged:
    """What a race with all its launches shows at the look at which it would have stopped."""
    for look, launches in enumerate(design.looks.launches):
        seen = LaunchTable(log_ratios=table.log_ratios[:launches], pairs=table.pairs)
        found = judged_at(seen, design, look)
        if found.settles(design):
            break
    return found


def log_ratio(race: Race, *, reference: str, candidate: str) -> float | None:
    """One contender against another in one fork: positive where the candidate is faster; None of too few rounds."""
    return fork_log_ratio(race.track(reference).times_s, race.track(candidate).times_s, race.kept)


def race_table(launches: Iterable[Sequence[Race]], *, reference: str, candidate: str) -> LaunchTable:
    """Log-ratios (launch, fork) of races, without the forks that have none.

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
    """(launch, fork) of the forks that have a log-ratio, and the pairs behind them; from (launch, log-ratio, kept)."""
    told = [(launch, ratio, sum(kept)) for launch, ratio, kept in forks if ratio is not None]
    return by_launch((launch, ratio) for launch, ratio, _ in told), sum(pairs for _, _, pairs in told)

"""Trials of our own verdicts: the same code raced with itself, and with a copy slowed by a known amount.

What comes out says how far the intervals and verdicts of this machine can be trusted; nothing is assumed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from int8bench import hardware, worker
from int8bench.cases import Group, Variant
from int8bench.lab.environment import ProcessSettings, cores_for
from int8bench.lab.launches import Launch, launched
from int8bench.lab.messages import Setup
from int8bench.lab.sampling import Durations, Race
from int8bench.stats.ratio import Estimate, LaunchTable, estimate, fork_log_ratio
from int8bench.stats.stopping import Looks, nominal_errors
from int8bench.stats.verdict import Judgement, Verdict, judge

FORK_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How each race of a trial is run; the stopping rule is the one that `run` uses."""

    looks: Looks
    forks: int
    race_s: float
    warmup_s: float
    precision: float
    confidence: float
    error_rate: float

    @property
    def durations(self) -> Durations:
        """The phases of a fork; no singly timed calls, as only ratios are asked for."""
        return Durations(warmup_s=self.warmup_s, race_s=self.race_s, single_s=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One race of a trial."""

    group: Group
    race: int
    slowed: bool
    estimate: Estimate
    judgement: Judgement
    measured_s: float

    @property
    def covers_one(self) -> bool:
        """Whether the interval holds the ratio 1."""
        return self.estimate.low <= 1.0 <= self.estimate.high

    @property
    def half_width(self) -> float:
        """Half the width of the interval, as a fraction of the ratio."""
        return (self.estimate.high - self.estimate.low) / 2 / self.estimate.value

    def to_dict(self) -> dict[str, object]:
        """One line of the trial's file."""
        return {
            "batch": self.group.batch,
            "threads": self.group.threads,
            "race": self.race,
            "slowed": self.slowed,
            "value": self.estimate.value,
            "low": self.estimate.low,
            "high": self.estimate.high,
            "launches": self.estimate.launches,
            "forks": self.estimate.forks,
            "pairs": self.estimate.pairs,
            "verdict": self.judgement.verdict.value,
            "measured_s": self.measured_s,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a set of outcomes adds up to."""

    races: int
    exclude_one: int
    faster: int
    slower: int
    same: int
    unclear: int
    median_half_width: float
    median_measured_s: float
    longest_measured_s: float


def tally(outcomes: Sequence[Outcome]) -> Tally:
    """The counts and medians of a set of outcomes, at least one."""
    verdicts = [outcome.judgement.verdict for outcome in outcomes]
    return Tally(
        races=len(outcomes),
        exclude_one=sum(not outcome.covers_one for outcome in outcomes),
        faster=verdicts.count(Verdict.FASTER),
        slower=verdicts.count(Verdict.SLOWER),
        same=verdicts.count(Verdict.SAME),
        unclear=verdicts.count(Verdict.UNCLEAR),
        median_half_width=median(outcome.half_width for outcome in outcomes),
        median_measured_s=median(outcome.measured_s for outcome in outcomes),
        longest_measured_s=max(outcome.measured_s for outcome in outcomes),
    )


def trial(
    order: worker.Order,
    variant: Variant,
    groups: Sequence[Group],
    design: Design,
    *,
    races: range,
    calls: tuple[int, int] | None,
    report: Callable[[Outcome], None],
) -> Iterator[Outcome]:
    """Races a variant with itself, `races` times in every group.

    Races of one number share launches across groups; two races of the same group share none.

    Args:
        order: the model and its data.
        variant: what is raced with itself.
        groups: the batches and thread counts.
        design: launches, forks and the stopping rule.
        races: the numbers of the races; they seed the order.
        calls: calls of a sample of the reference and of the candidate, where the candidate is slowed; else None.
        report: told of every outcome as it comes.

    Raises:
        LabError: a measuring process failed; a trial with holes would say nothing.
    """
    for race in races:
        for outcome in _one_race_everywhere(order, variant, groups, design, race, calls):
            report(outcome)
            yield outcome


def _one_race_everywhere(
    order: worker.Order,
    variant: Variant,
    groups: Sequence[Group],
    design: Design,
    race: int,
    calls: tuple[int, int] | None,
) -> list[Outcome]:
    setup = Setup(function="int8bench.worker:prepare", payload=order)
    rng = np.random.default_rng([race, calls is not None])
    measured: dict[Group, list[list[Race]]] = {group: [] for group in groups}
    settled: dict[Group, Outcome] = {}
    first = 0
    for look, last in enumerate(design.looks.launches):
        with launched(range(first, last), setup, settings=ProcessSettings()) as launches:
            for launch in launches:
                for group in (g for g in groups if g not in settled):
                    measured[group].append(_forks(launch, variant, group, design, calls, rng))
        for group in (g for g in groups if g not in settled):
            outcome = _outcome(measured[group], group, design, look, race=race, slowed=calls is not None)
            if _may_stop(outcome, design) or last == design.looks.launches[-1]:
                settled[group] = outcome
        first = last
        if len(settled) == len(groups):
            break
    return [settled[group] for group in groups]


def _forks(
    launch: Launch,
    variant: Variant,
    group: Group,
    design: Design,
    calls: tuple[int, int] | None,
    rng: np.random.Generator,
) -> list[Race]:
    cores = cores_for(threads=group.threads, launch=launch.index, usable=hardware.usable_processors())
    raced = []
    for _ in range(design.forks):
        order = worker.TrialOrder(
            variant=variant, group=group, durations=design.durations, seed=int(rng.integers(1 << 62)), calls=calls
        )
        result = launch.fork("int8bench.worker:trial", order, cores=cores).result(FORK_TIMEOUT_S)
        assert isinstance(result, Race)
        raced.append(result)
    return raced


def _outcome(
    launches: Sequence[Sequence[Race]], group: Group, design: Design, look: int, *, race: int, slowed: bool
) -> Outcome:
    table = LaunchTable(
        log_ratios=tuple(tuple(_log_ratio(fork) for fork in forks) for forks in launches),
        pairs=sum(sum(fork.kept) for forks in launches for fork in forks),
    )
    shown, judged = (nominal_errors(design.looks, e)[look] for e in (1 - design.confidence, design.error_rate))
    return Outcome(
        group=group,
        race=race,
        slowed=slowed,
        estimate=estimate(table, confidence=design.confidence, nominal_error=shown),
        judgement=judge(table, nominal_error=judged),
        measured_s=sum(fork.wall_s for forks in launches for fork in forks),
    )


def _log_ratio(race: Race) -> float:
    """Positive where the candidate is faster, as everywhere."""
    reference, candidate = race.track(worker.REFERENCE), race.track(worker.CANDIDATE)
    return fork_log_ratio(np.array(reference.times_s), np.array(candidate.times_s), np.array(race.kept))


def _may_stop(outcome: Outcome, design: Design) -> bool:
    return outcome.half_width <= design.precision and outcome.judgement.verdict is not Verdict.UNCLEAR

"""How far verdicts can be trusted, from races whose answer is known: the same code, and a known slow-down. Pure."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import median

from int8bench import units
from int8bench.selftest.answer import (
    Bounded,
    CellFigures,
    Counted,
    Coverage,
    FalseAlarms,
    Figures,
    SlowDown,
    SlowDowns,
)
from int8bench.stats.limits import POWER, Verdict
from int8bench.stats.prediction import chance_seen, sd_bounds, smallest_effect
from int8bench.stats.proportion import Proportion, chance_of_at_least, chance_of_at_most, proportion
from int8bench.stats.ratio import LaunchTable, centre_and_error, spread
from int8bench.stats.verdict import nominal_errors
from int8bench.study.cells import speed_word
from int8bench.study.racing import Design, Judged, judged
from int8bench.workload.cases import Group

FIRST_SHARE = 0.02  # the slow-down of the first races, before the spread of the machine is known
MOST_SHARE = 0.2  # beyond, a machine is too noisy for any figure of ours
# A machine whose verdicts keep what they declare is called untrustworthy by one selftest in a hundred at most:
# false alarms, intervals of either kind of race, and slow-downs each have their part of it (Bonferroni).
CONDEMNING_ERROR = 0.01
CHECKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One fork: the log-ratio of the code with itself, that of its slowed copy, and what the latter should be.

    Log-ratios are positive where the second side is faster; `added` is the known slow-down, log(1 + wait / call).
    """

    launch: int
    batch: int
    threads: int
    itself: float
    slowed: float
    added: float
    pairs: int

    @property
    def group(self) -> Group:
        """The cell that the fork belongs to."""
        return Group(batch=self.batch, threads=self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRace:
    """One race of a cell: the code with itself, and with its slowed copy, of which `added` is the true slow-down."""

    itself: Judged
    slowed: Judged
    added: float

    @property
    def false_alarm(self) -> bool:
        """Whether the code was called faster or slower than itself."""
        return self.itself.judgement.verdict in {Verdict.ABOVE, Verdict.BELOW}

    @property
    def seen(self) -> bool:
        """Whether the slowed copy was called slower."""
        return self.slowed.judgement.verdict is Verdict.BELOW

    @property
    def held(self) -> bool:
        """Whether the interval of the code with itself holds 1."""
        return _holds(self.itself, 0.0)

    @property
    def held_slowed(self) -> bool:
        """Whether the interval of the slowed copy holds its true slow-down."""
        return _holds(self.slowed, -self.added)


@dataclass(frozen=True, slots=True, kw_only=True)
class RacedCell:
    """What the races of one cell come to."""

    group: Group
    outcomes: tuple[KnownRace, ...]
    launch_sd: float
    fork_sd: float
    mean_sd: Bounded
    """Of the launch means, in log units: what the width of an interval comes from."""
    smallest: Bounded
    """The slow-down, as a fraction, that a race calls with probability `POWER`."""

    @property
    def figures(self) -> CellFigures:
        """The figures of the cell that an answer keeps."""
        return CellFigures(
            batch=self.group.batch,
            threads=self.group.threads,
            races=len(self.outcomes),
            false_alarms=sum(race.false_alarm for race in self.outcomes),
            median_half_width=_half_width(self.outcomes),
            launch_sd=self.launch_sd,
            fork_sd=self.fork_sd,
            smallest_slow_down=self.smallest,
            slow_downs=tuple(
                SlowDown(
                    true=math.expm1(race.added),
                    found=1 / race.slowed.estimate.value - 1,
                    verdict=speed_word(race.slowed.judgement.verdict),
                )
                for race in self.outcomes
            ),
        )


@dataclass(frozen=True, kw_only=True)  # no slots: cached properties
class Reliability:
    """What all races come to."""

    design: Design
    cells: tuple[RacedCell, ...]

    @property
    def outcomes(self) -> list[KnownRace]:
        """The races of all cells."""
        return [outcome for cell in self.cells for outcome in cell.outcomes]

    @cached_property
    def false_alarms(self) -> Proportion:
        """Races of the code with itself that ended in `faster` or `slower`."""
        return self._share([outcome.false_alarm for outcome in self.outcomes])

    @cached_property
    def held(self) -> Proportion:
        """Intervals of the code with itself that hold 1."""
        return self._share([outcome.held for outcome in self.outcomes])

    @cached_property
    def held_slowed(self) -> Proportion:
        """Intervals of slowed copies that hold the true slow-down."""
        return self._share([outcome.held_slowed for outcome in self.outcomes])

    @cached_property
    def seen(self) -> Proportion:
        """Slowed copies that were called slower."""
        return self._share([outcome.seen for outcome in self.outcomes])

    @cached_property
    def chances(self) -> list[float]:
        """How likely each slowed copy was to be called slower, from its true slow-down and the upper end of spread."""
        nominal = _last_error(self.design)
        return [
            chance_seen(outcome.added, sd=cell.mean_sd.high, launches=self.design.launches, nominal_error=nominal)
            for cell in self.cells
            for outcome in cell.outcomes
        ]

    @property
    def trusted_down_to(self) -> float:
        """The smallest slow-down that is called in any cell: the upper end of the noisiest, the margin at least."""
        return max(self.design.margin, *(cell.smallest.high for cell in self.cells))

    @cached_property
    def objections(self) -> tuple[str, ...]:
        """Why verdicts here cannot be trusted; empty where they can."""
        level = CONDEMNING_ERROR / CHECKS
        declared, outside = self.design.error_rate, 1 - self.design.confidence
        alarms, seen = self.false_alarms, self.seen
        sentences = []
        if chance_of_at_least(alarms.count, alarms.trials, declared) < level:
            sentences.append(
                f"{_counted(alarms.count, 'false alarm')} in {_counted(alarms.trials, 'race')} of the same code with "
                f"itself, where {_percent(declared)} is declared"
            )
        for held, what in ((self.held, "the same code with itself"), (self.held_slowed, "a known slow-down")):
            if chance_of_at_least(held.trials - held.count, held.trials, outside) < level:
                sentences.append(
                    f"{held.count} of {held.trials} intervals of {what} hold the truth, where "
                    f"{_percent(self.design.confidence)} is declared"
                )
        if chance_of_at_most(seen.count, self.chances) < level:
            sentences.append(
                f"{seen.count} of {_counted(seen.trials, 'slow-down')} seen, where the spread of launches promises "
                f"{sum(self.chances):.1f}"
            )
        return tuple(sentences)

    @property
    def judgement(self) -> str:
        """One line: whether verdicts can be trusted here, and down to what."""
        if self.objections:
            return f"verdicts here cannot be trusted: {'; '.join(self.objections)}"
        return f"verdicts here can be trusted down to {units.down_to(self.trusted_down_to)}"

    @property
    def figures(self) -> Figures:
        """The figures of all cells that an answer keeps, with the judgement."""
        return Figures(
            trusted=not self.objections,
            trusted_down_to=None if self.objections else self.trusted_down_to,
            judgement=self.judgement,
            races=len(self.outcomes),
            false_alarms=FalseAlarms(**asdict(self.false_alarms), declared=self.design.error_rate),
            coverage=Coverage(
                declared=self.design.confidence,
                itself=Counted(**asdict(self.held)),
                slowed=Counted(**asdict(self.held_slowed)),
            ),
            slow_downs=SlowDowns(**asdict(self.seen), expected=sum(self.chances), power=POWER),
            median_half_width=_half_width(self.outcomes),
            cells=tuple(cell.figures for cell in self.cells),
        )

    def _share(self, happened: Sequence[bool]) -> Proportion:
        return proportion(sum(happened), len(happened), confidence=self.design.confidence)


def reliability(samples: Sequence[Sample], design: Design) -> Reliability:
    """Return the reliability that samples show; launches of a race that is not whole count for the spread alone.

    Args:
        samples: one a fork, of any cells.
        design: with which each race was run.

    Raises:
        ValueError: no cell has a whole race.
    """
    cells = tuple(_cell(group, launches, design) for group, launches in _by_cell(samples).items())
    if not any(cell.outcomes for cell in cells):
        raise ValueError(f"reliability: no whole race of {design.launches} launches")
    return Reliability(design=design, cells=cells)


def whole_races(samples: Sequence[Sample], design: Design) -> int:
    """Return the number of races that are whole in every cell.

    Args:
        samples: one a fork, of any cells.
        design: whose launches make a race whole.
    """
    launches: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for sample in samples:
        launches[sample.batch, sample.threads].add(sample.launch)
    return min(map(len, launches.values()), default=0) // design.launches


def share_for(group: Group, samples: Sequence[Sample], design: Design) -> float:
    """Return the slow-down to try in the next race of a cell: the smallest that its races so far claim to see.

    It is a fraction of a call's time, between the margin and `MOST_SHARE`; `FIRST_SHARE` before the first whole race.

    Args:
        group: the cell.
        samples: one a fork, of any cells.
        design: of the races.
    """
    mine = [sample for sample in samples if sample.group == group]
    if whole_races(mine, design) == 0:
        return FIRST_SHARE
    claimed = _smallest(_mean_sd(_table(_by_cell(mine)[group], lambda fork: fork.itself), design), design).high
    return min(MOST_SHARE, max(design.margin, claimed))


def _by_cell(samples: Sequence[Sample]) -> dict[Group, list[list[Sample]]]:
    """Return the samples of each cell as (launch, fork), launches in order."""
    samples_of: defaultdict[Group, defaultdict[int, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        samples_of[sample.group][sample.launch].append(sample)
    cells = sorted(samples_of, key=lambda group: (group.threads, group.batch))
    return {group: [samples_of[group][index] for index in sorted(samples_of[group])] for group in cells}


def _cell(group: Group, launches: Sequence[Sequence[Sample]], design: Design) -> RacedCell:
    whole = len(launches) - len(launches) % design.launches
    races = (launches[first : first + design.launches] for first in range(0, whole, design.launches))
    table = _table(launches, lambda fork: fork.itself)
    parts, mean_sd = spread(table), _mean_sd(table, design)
    return RacedCell(
        group=group,
        outcomes=tuple(_outcome(race, design) for race in races),
        launch_sd=parts.launch_sd,
        fork_sd=parts.fork_sd,
        mean_sd=mean_sd,
        smallest=_smallest(mean_sd, design),
    )


def _mean_sd(table: LaunchTable, design: Design) -> Bounded:
    """Return the spread of launch means, over all launches of a cell: all of them have the same truth."""
    _, error = centre_and_error(table)
    sd = error * math.sqrt(table.launches)
    low, high = sd_bounds(sd, freedom=table.launches - 1, confidence=design.confidence)
    return Bounded(value=sd, low=low, high=high)


def _smallest(mean_sd: Bounded, design: Design) -> Bounded:
    """Return the slow-down that a race sees, for a spread and both of its ends."""
    nominal = _last_error(design)
    value, low, high = (
        smallest_effect(sd, launches=design.launches, nominal_error=nominal, power=POWER)
        for sd in (mean_sd.value, mean_sd.low, mean_sd.high)
    )
    return Bounded(value=value, low=low, high=high)


def _outcome(launches: Sequence[Sequence[Sample]], design: Design) -> KnownRace:
    return KnownRace(
        itself=judged(_table(launches, lambda fork: fork.itself), design),
        slowed=judged(_table(launches, lambda fork: fork.slowed), design),
        added=math.fsum(_table(launches, lambda fork: fork.added).launch_means) / len(launches),
    )


def _table(launches: Sequence[Sequence[Sample]], read: Callable[[Sample], float]) -> LaunchTable:
    return LaunchTable(
        log_ratios=tuple(tuple(map(read, forks)) for forks in launches),
        pairs=sum(fork.pairs for forks in launches for fork in forks),
    )


def _last_error(design: Design) -> float:
    return nominal_errors(design.looks, design.error_rate)[-1]


def _holds(raced: Judged, log_truth: float) -> bool:
    return raced.estimate.low <= math.exp(log_truth) <= raced.estimate.high


def _half_width(outcomes: Sequence[KnownRace]) -> float:
    return median(outcome.itself.estimate.half_width for outcome in outcomes)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"

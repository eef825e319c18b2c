"""One benchmark on both sides: rounds of paired samples in random order, the idle side asleep; and sustained load."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from int8bench.errors import LabError
from int8bench.lab import noise, sampling
from int8bench.lab.agent.wire import First, Sampled, SideRequest, Sustain, Sustained, TurnSample, Warm
from int8bench.stats.ratio import fork_log_ratio

T = TypeVar("T")

BASE, HEAD = 0, 1
SIDES = (BASE, HEAD)
# A turn begins with a process that was asleep, on a core whose caches the other side has filled: some calls are not
# timed, for this long or one call, before a sample that is long against what is left of it.
UNTIMED_S = 0.0003
SAMPLE_S = 0.001
MOST_UNTIMED = 20
FRESH_ROUNDS = 3  # of fresh processes, each of which draws its own luck of layout: a fork needs no more of them
NO_TIME = "a call took no time by the clock; measure something longer"


class RacingSide(Protocol):
    """What of `peers.Turns` is needed here."""

    def ask(self, request: SideRequest[T], timeout_s: float) -> T:
        """Return the side's answer to a request.

        Args:
            request: what the side is to do.
            timeout_s: how long the side may be silent.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDurations:
    """How long the phases of one fork last, in seconds."""

    warmup_s: float
    race_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRace:
    """One fork of each side: mean seconds a call, round by round (round,) on both sides, and which rounds are kept.

    Where a side failed, `faults` has the reason by side, and rounds say nothing.
    """

    calls: int
    base_s: tuple[float, ...]
    head_s: tuple[float, ...]
    kept: tuple[bool, ...]
    faults: Mapping[int, str]

    @property
    def log_ratio(self) -> float | None:
        """The median log(head / base) of the kept rounds: positive where head takes longer; None for too few rounds."""
        return fork_log_ratio(self.head_s, self.base_s, self.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """Asks sides that have not failed; a side that fails is asked no more, and the other one goes on without it.

    Both are so given as much occasion to fail, and neither by the other's fate: two outcomes that can be compared.
    """

    sides: Sequence[RacingSide]
    timeout_s: float
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def answering(self) -> list[int]:
        """The sides that have not failed."""
        return [side for side in SIDES if side not in self.faults]

    def all(self, request: SideRequest[T], order: Sequence[int]) -> dict[int, T]:
        """Return the answers of the sides that give one, by side.

        Args:
            request: what each side is to do.
            order: the sides, in the order in which they are asked.
        """
        answers: dict[int, T] = {}
        for side in order:
            if side not in self.faults:
                try:
                    answers[side] = self.sides[side].ask(request, self.timeout_s)
                except LabError as error:
                    self.faults[side] = str(error)
        return answers


def race(
    sides: Sequence[RacingSide],
    durations: PairDurations,
    *,
    rng: np.random.Generator,
    fresh: bool = False,
    now: Callable[[], float] = sampling.shared_now,
) -> PairRace:
    """Race base and head after their first call: warm-up, then rounds of one sample of each, in random order.

    Args:
        sides: base, then head.
        durations: how long each phase lasts.
        rng: draws the order of each round.
        fresh: whether a call is a process of its own, of which one is a sample and none goes untimed before it.
        now: the clock that all processes share.

    Raises:
        LabError: a call took no time.
    """
    asking = _Asking(sides=sides, timeout_s=durations.timeout_s)
    warm = {} if fresh else asking.all(Warm(duration_s=durations.warmup_s), rng.permutation(SIDES).tolist())
    fastest = [each.fastest_s for each in warm.values()] or [0.0]
    calls, untimed = (1, 0) if fresh else _calls(fastest)
    fewest = FRESH_ROUNDS if fresh else sampling.FEWEST_ROUNDS
    asked = TurnSample(calls=calls, untimed=untimed)
    rounds: list[tuple[float, float]] = []
    disturbed: list[bool] = []
    turns = 0
    start = now()
    while asking.answering and not sampling.is_over(now() - start, turns, durations.race_s, fewest=fewest):
        before = noise.read()
        answers = asking.all(asked, rng.permutation(SIDES).tolist())
        stolen = noise.read().since(before).steal_ticks
        turns += 1
        if not asking.faults:
            rounds.append((_time(answers[BASE]), _time(answers[HEAD])))
            disturbed.append(stolen > 0 or any(each.lost > 0 for each in answers.values()))
    return PairRace(
        calls=calls,
        base_s=tuple(base for base, _ in rounds),
        head_s=tuple(head for _, head in rounds),
        kept=noise.kept_rounds(disturbed),
        faults=asking.faults,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstCalls:
    """What came of the first call of each side: seconds where it answered, and why it failed where it did."""

    seconds: Mapping[int, float]
    faults: Mapping[int, str]


def first(
    sides: Sequence[RacingSide], *, rng: np.random.Generator, timeout_s: float, cores: Sequence[int] = ()
) -> FirstCalls:
    """Return the outcome of each side's first call, after which the side's threads have their cores.

    Args:
        sides: base, then head.
        rng: draws who is called first, and so has what only one process can have.
        timeout_s: how long a side may be silent.
        cores: that the threads of a side are spread over, one each, where it has as many.
    """
    asking = _Asking(sides=sides, timeout_s=timeout_s)
    answers = asking.all(First(cores=cores), rng.permutation(SIDES).tolist())
    return FirstCalls(seconds={side: each.first_s for side, each in answers.items()}, faults=asking.faults)


def sustained(
    streams: Sequence[Sequence[T]],
    *,
    load_s: float,
    timeout_s: float,
    together: Callable[[Sequence[T], Sustain, float], list[Sustained]],
    now: Callable[[], float] = sampling.shared_now,
) -> float:
    """Return the log of head's sustained throughput over base's.

    Each side's streams call together for a while, in the order base, head, head, base.

    Args:
        streams: (side, stream).
        load_s: how long each turn lasts.
        timeout_s: how long a stream may be silent.
        together: asks all streams the same before it waits for their answers.
        now: the clock that all processes share.

    Raises:
        LabError: a stream raised, died, or took no time.
    """
    logs: dict[int, list[float]] = {BASE: [], HEAD: []}
    for side in (BASE, HEAD, HEAD, BASE):
        answers = together(streams[side], Sustain(until_s=now() + load_s), timeout_s)
        first, last = min(each.started_s for each in answers), max(each.ended_s for each in answers)
        if not last > first:
            raise LabError(NO_TIME)
        logs[side].append(math.log(sum(each.calls for each in answers) / (last - first)))
    return sum(logs[HEAD]) / len(logs[HEAD]) - sum(logs[BASE]) / len(logs[BASE])


def _calls(fastest: Sequence[float]) -> tuple[int, int]:
    """Return the number of calls that are timed together, and that of untimed calls before them.

    `fastest` has the seconds of a call (side,).
    """
    slower = max(*fastest, 1e-9)
    untimed = min(MOST_UNTIMED, math.ceil(UNTIMED_S / slower)) if min(fastest) < sampling.LEAD_IN_BELOW_S else 0
    return max(1, round(SAMPLE_S / slower)), untimed


def _time(sampled: Sampled) -> float:
    if not sampled.mean_s > 0:
        raise LabError(NO_TIME)
    return sampled.mean_s

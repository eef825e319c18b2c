"""Launches of one test raced until the answer is clear. Judges as every race of ours is judged.

A test that asks for a race gets its answer, so all its launches are raced, shorter where time is short; what stops it,
a person or a process that dies, is pytest's to report, and nothing is kept.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from int8bench import machine
from int8bench.compare.comparisons import SideRatio
from int8bench.compare.pytest import node
from int8bench.compare.pytest.node import CANDIDATE, REFERENCE, ForkOrder, NodeOrder
from int8bench.compare.pytest.result import RaceResult
from int8bench.errors import RequestError
from int8bench.lab import sampling
from int8bench.lab.channel import Setup
from int8bench.lab.clock import SILENCE_S
from int8bench.lab.environment import ProcessSettings, cores_for
from int8bench.lab.launches import Launch, launched
from int8bench.lab.session import blocks, seed_of_fork
from int8bench.machine import emulation
from int8bench.stats import limits
from int8bench.stats.ratio import LaunchTable, estimate
from int8bench.stats.verdict import FIRST_LOOK, default_looks, nominal_errors
from int8bench.study.cells import speed_word
from int8bench.study.racing import Design, Judged, judged_at, race_table

DEFAULT_LAUNCHES = 8  # Student's quantile at an error of 0.001 is 5.4; twice the launches would make it 4.1
MOST_LAUNCHES = 1000
FORKS = 2  # the design that races of the same code have shown honest (METHOD)
WARMUP_S = 0.05
PRECISION = 0.005  # of the 95 % interval, at which a clear race stops
SHORTEST_RACE_S, LONGEST_RACE_S = 0.1, 2.0  # of a fork: fewer pairs say little; more launches say more than more pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceRequest:
    """What one call of race asks for.

    Raises:
        RequestError: too few launches for a verdict, or more threads than cores.
    """

    name: str
    budget_s: float
    launches: int
    threads: int

    def __post_init__(self) -> None:
        """Check the numbers of launches and threads."""
        usable = len(_processors())
        if not FIRST_LOOK <= self.launches <= MOST_LAUNCHES:
            raise RequestError(
                f"launches={self.launches}: expected {FIRST_LOOK} to {MOST_LAUNCHES}; try launches={DEFAULT_LAUNCHES}"
            )
        if not 1 <= self.threads <= usable:
            raise RequestError(f"threads={self.threads}: this machine can use 1 to {usable}; try threads=1")

    @property
    def settings(self) -> ProcessSettings:
        """A launch's variables; its libraries start no more threads than the race is about, none before the fork."""
        return ProcessSettings(variables=(*ProcessSettings().variables, ("OMP_NUM_THREADS", str(self.threads))))


def measure(order: NodeOrder, request: RaceRequest) -> RaceResult:
    """Return the result of a race, measured in launches of its test.

    Args:
        order: the test, and how its launches run it.
        request: what the call of race asks for.

    Raises:
        LabError: the test does not run alone, or a callable raises, dies or hangs.
        NothingMeasuredError: the processor is played by a program.
    """
    emulation.refuse()
    setup = Setup(function=node.run, payload=order, serves=True)
    design = _design(request)
    rng = np.random.default_rng(zlib.crc32(request.name.encode()))
    begun, raced = sampling.shared_now(), list[list[sampling.Race]]()
    for look, indexes in blocks(design.looks.launches):
        started = sampling.shared_now()
        with launched(indexes, setup, settings=request.settings) as launches:
            now = sampling.shared_now()
            start_s = (now - started) / len(launches)
            left_s = request.budget_s - (now - begun) - start_s * (design.launches - indexes.stop)
            timed = replace(design, race_s=_race_s(left_s, design.launches - indexes.start))
            raced += [_forks(launch, timed, request.threads, rng) for launch in launches]
        table = race_table(raced, reference=REFERENCE, candidate=CANDIDATE)
        judgement = judged_at(table, design, look)
        if judgement.settles(design):
            break
    return _result(table, judgement, design, look, request)


def _processors() -> tuple[int, ...]:
    """Return the processors for a race, no more than a container's quota pays for."""
    return machine.usable_processors()[: machine.usable_core_count()]


def _design(request: RaceRequest) -> Design:
    return Design(
        looks=default_looks(request.launches),
        forks=FORKS,
        race_s=LONGEST_RACE_S,
        warmup_s=WARMUP_S,
        precision=PRECISION,
        margin=limits.MARGIN,
        confidence=limits.CONFIDENCE,
        error_rate=limits.ERROR_RATE,
    )


def _race_s(left_s: float, launches: int) -> float:
    """Return the seconds of each fork's race, so that the launches still to come take the time that is left."""
    share = left_s / (launches * FORKS) - 2 * WARMUP_S  # a warm-up of each side
    return min(LONGEST_RACE_S, max(SHORTEST_RACE_S, share))


def _forks(launch: Launch, design: Design, threads: int, rng: np.random.Generator) -> list[sampling.Race]:
    cores = cores_for(threads=threads, launch=launch.index, usable=_processors())
    races = []
    for _ in range(design.forks):
        order = ForkOrder(durations=design.durations, seed=seed_of_fork(rng))
        fork = launch.fork(node.race, order, cores=cores)
        raced = fork.result(SILENCE_S + sampling.LONGEST * design.race_s)
        races.append(raced)
    return races


def _result(table: LaunchTable, found: Judged, design: Design, look: int, request: RaceRequest) -> RaceResult:
    nominal = nominal_errors(design.looks, design.error_rate)[look]
    sure = estimate(table, confidence=1 - design.error_rate, nominal_error=nominal)
    judgement = found.judgement
    return RaceResult(
        name=request.name,
        ratio=_turned(found.estimate.value, found.estimate.low, found.estimate.high),
        sure=_turned(sure.value, sure.low, sure.high),
        verdict=speed_word(judgement.verdict),
        error_rate=design.error_rate,
        launches=table.launches,
        forks=table.forks,
        pairs=table.pairs,
        smallest_visible_effect=judgement.smallest_visible_effect,
        reason=None if judgement.reason is None else _what_it_takes(judgement.more_launches, table.launches),
    )


def _turned(value: float, low: float, high: float) -> SideRatio:
    """Return the ratio of candidate to reference, from that of reference to candidate."""
    return SideRatio(value=1 / value, low=1 / high, high=1 / low)


def _what_it_takes(more: int | None, launches: int) -> str:
    holds = f"holds 1 and is wider than {limits.MARGIN:.0%}"
    if more is None or launches + more > MOST_LAUNCHES:
        return f"{holds}; no number of launches would tell"
    return f"{holds}; launches={launches + more} and {1 + more / launches:.1f} times the budget would tell"

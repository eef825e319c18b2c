"""A variant raced with itself and with a copy that a known wait makes slower. Runs in measuring processes.

The wait is real work of the processor in every timed call of one side, and is timed where it happens: after a forward,
which has taken the caches, it is some microseconds longer than alone. All sides wait, the others for no time, so that
what a wait costs beside its time is the same for all.
"""

import time
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from int8bench.lab import sampling
from int8bench.lab.channel import Channel
from int8bench.lab.clock import spin
from int8bench.lab.sampling import Call, Clock, Contender, Durations, Race
from int8bench.lab.session import heap_shift, shuffled
from int8bench.study.session.worker import CANDIDATE, REFERENCE, Prepared, pictures, predictor
from int8bench.workload.cases import Group, Variant

SLOWED = "slowed"
SETTLING_CALLS = 3  # the first packs, the next ones reuse
TIMED_CALLS = 15  # whose median says how long a call takes, and how long the wait really is


@dataclass(frozen=True, slots=True, kw_only=True)
class HandicapOrder:
    """One fork's race; the third contender waits in each call for about `share` of the time that a call takes."""

    variant: Variant
    group: Group
    durations: Durations
    seed: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Handicapped:
    """A race of `REFERENCE`, `CANDIDATE` and `SLOWED`, and the seconds that the last one waits in each call."""

    race: Race
    wait_s: float


def race(state: Prepared, order: HandicapOrder, _line: Channel) -> Handicapped:
    """Build the variant three times, in random order on a shifted heap, and race the three.

    Args:
        state: of the launch, prepared.
        order: of one fork's race.
    """
    rng = np.random.default_rng(order.seed)
    batch = pictures(state.order.validation, order.group.batch)
    shift = bytearray(heap_shift(rng))
    names = [REFERENCE, CANDIDATE, SLOWED]
    built = {name: predictor(state, order.variant, order.group).bind(batch) for name in shuffled(names, rng)}
    waits_s = {**dict.fromkeys(names, 0.0), SLOWED: order.share * _call_s(built[SLOWED])}
    waited = {name: Waiting(call=built[name], wait_s=waits_s[name]) for name in names}
    result = sampling.race([Contender(name=name, call=waited[name]) for name in names], order.durations, rng=rng)
    del shift
    return Handicapped(race=result, wait_s=waited[SLOWED].median_s - waited[REFERENCE].median_s)


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """A call and then a wait, which is timed each time."""

    call: Call
    wait_s: float
    clock: Clock = time.perf_counter
    seconds: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        """Call, and wait."""
        self.call()
        began = self.clock()
        spin(self.wait_s)
        self.seconds.append(self.clock() - began)

    @property
    def median_s(self) -> float:
        """How long the wait really was."""
        return median(self.seconds)


def _call_s(call: Call) -> float:
    for _ in range(SETTLING_CALLS):
        call()
    return median(sampling.time_once(call) for _ in range(TIMED_CALLS))

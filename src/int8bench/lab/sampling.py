"""Races contenders: interleaved, randomised, paired samples with an injected clock: no time of ours is read elsewhere.

A sample is one untimed call and then the mean time of `calls` calls; a round is one sample of each contender, in random
order; the rounds of a fork are aligned, so the ratio of two contenders is taken round by round.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from int8bench.lab import noise

Clock = Callable[[], float]
Call = Callable[[], object]

# Long against the clock and the loop (0.2 us a sample), and else as short as can be: a preemption spoils one short
# sample, which the median leaves out, or the mean of a long one. SimpleCNN at batch 1, the same code against itself for
# 0.3 s: fork estimates spread by 0.6 % with samples of one call of 0.3 ms, and by 1.4 % with the mean of eight.
SAMPLE_S = 0.0001
# Before each sample one call is not timed, so that a contender does not pay for the caches that the other left: some 50
# us, by which float32's first call after int8's is 8 % longer than its second at 0.4 ms, 4 % at 1.4 ms, and less than
# the noise at 4.4 ms. Where all contenders take longer than this, the time goes into more rounds instead.
LEAD_IN_BELOW_S = 0.004
FEWEST_ROUNDS = 8  # a median of fewer says little; measured even when the time is up
FEWEST_PAIRS = 2  # below, a fork has no ratio at all: made whatever it takes
LONGEST = 8.0  # a fork may take this many times its asked duration before it stops short of FEWEST_ROUNDS
# A pool of threads may go on spinning when a contender has answered, on the core of whoever is next. After its warm-up
# the process sleeps this long, and the processor time that passes meanwhile is how long it lingers; so long everybody
# rests after each of its samples. Less than the shortest is over in a lead-in call, and is not listened to: the kernel
# counts the time of a thread that sleeps at once, but that of one that runs at its next tick, milliseconds later, so
# that a pool which is about to sleep would seem to linger for a tick.
LISTENING_S = 0.02
SHORTEST_REST_S = 0.0004
MOST_SINGLES = 400  # singly timed calls a contender and fork: enough for a p99 over the forks of a run
# Where a sample is one call and a fork has so many rounds, the samples say what single calls take, and the time for
# those goes into more rounds: four forks, the fewest of a run, have a hundred.
ROUNDS_FOR_SINGLES = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The clocks of a race, in seconds: wall time, processor time of all threads of this process; and how to wait."""

    wall: Clock = time.perf_counter
    cpu: Clock = time.process_time
    sleep: Callable[[float], object] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A name and the one call that is timed."""

    name: str
    call: Call
    every: int = 1
    """It takes part in one of so many rounds, the first one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long the phases of one fork last, in seconds."""

    warmup_s: float
    race_s: float
    single_s: float
    sample_s: float = SAMPLE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What one contender did in one fork; `times_s` has one entry a round that it took part in."""

    name: str
    every: int = 1
    """It took part in one of so many rounds, the first one included."""
    calls: int
    times_s: tuple[float, ...]
    single_s: tuple[float, ...]
    """Calls timed one by one beside the rounds; none where the rounds themselves say what single calls take."""
    cpu_s: float
    wall_s: float
    involuntary_switches: int
    disturbed_rounds: int
    lingering_s: float
    """Processor time that its idle threads take from `SHORTEST_REST_S` after a call on, heard for `LISTENING_S`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """One fork's race: a track a contender, which rounds are kept, and what disturbed the fork."""

    tracks: tuple[Track, ...]
    kept: tuple[bool, ...]
    disturbance: noise.Reading
    wall_s: float

    def track(self, name: str) -> Track:
        """Return the track of the contender of that name."""
        return next(track for track in self.tracks if track.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What one contender does in a round: perhaps one untimed call, then `calls` timed together."""

    call: Call
    call_s: float
    """Of the fastest call of the warm-up."""
    calls: int
    every: int
    lead_in: bool
    lingering_s: float

    @property
    def least_s(self) -> float:
        """How long a turn takes when it goes quickest, spread over all rounds."""
        return (self.call_s * (self.calls + self.lead_in) + self.rest_s) / self.every

    @property
    def rest_s(self) -> float:
        """How long to wait until its threads sleep."""
        return min(SHORTEST_REST_S + self.lingering_s, LISTENING_S) if self.lingering_s > SHORTEST_REST_S else 0.0


@dataclass(frozen=True, slots=True)
class _Sample:
    """The timed calls of one turn, and what disturbed the turn."""

    cpu_s: float
    wall_s: float
    reading: noise.Reading


def race(
    contenders: Sequence[Contender],
    durations: Durations,
    *,
    rng: np.random.Generator,
    clocks: Clocks = Clocks(),
    read: noise.Reader = noise.read,
) -> Race:
    """Race the contenders in this process: warm-up, rounds, and singly timed calls where samples are none.

    Args:
        contenders: what is raced; each is called many times.
        durations: how long each phase lasts.
        rng: draws the order of each round.
        clocks: wall and processor time.
        read: the disturbance counters.
    """
    with _no_collector():
        turns = _turns(contenders, durations, clocks)
        several = {i: turn for i, turn in enumerate(turns) if turn.calls > 1}
        singles = _singles(several, durations.single_s, rng, clocks)
        left_s = max(0.0, durations.single_s - sum(map(sum, singles.values())))
        longer_s = durations.race_s + left_s
        least_s = ROUNDS_FOR_SINGLES * sum(turn.least_s for turn in turns)
        enough = left_s > 0 and len(several) < len(turns) and least_s <= longer_s
        race_s, fewest = (longer_s, ROUNDS_FOR_SINGLES) if enough else (durations.race_s, FEWEST_ROUNDS)
        started, before = clocks.wall(), read()
        rounds = list(_rounds(turns, race_s, rng, clocks, read, fewest=fewest))
        ended, after = clocks.wall(), read()
        if not enough:
            rest = {i: turn for i, turn in enumerate(turns) if i not in several}
            singles |= _singles(rest, left_s, rng, clocks)
    kept = noise.kept_rounds([any(sample.reading.disturbed for sample in each.values()) for each in rounds])
    tracks = tuple(
        _track(each, turns[i], [samples[i] for samples in rounds if i in samples], singles.get(i, []))
        for i, each in enumerate(contenders)
    )
    return Race(tracks=tracks, kept=kept, disturbance=after.since(before), wall_s=ended - started)


def is_over(passed_s: float, rounds: int, race_s: float, *, fewest: int = FEWEST_ROUNDS) -> bool:
    """Tell whether a race has gone on for long enough, with enough rounds.

    Args:
        passed_s: seconds since its first round began.
        rounds: made so far.
        race_s: seconds that it is to last.
        fewest: rounds that it must have; `FEWEST_PAIRS` do once `LONGEST` times its seconds have passed.
    """
    late = passed_s >= LONGEST * race_s and rounds >= FEWEST_PAIRS
    return late or (passed_s >= race_s and rounds >= fewest)


def time_calls(call: Call, calls: int, clock: Clock) -> float:
    """Return the seconds that `calls` calls of `call` take together.

    The timed body is the call and nothing else.

    Args:
        call: made without arguments; its result is dropped.
        calls: how many are timed.
        clock: gives seconds.
    """
    rounds = repeat(None, calls)
    start = clock()
    for _ in rounds:
        call()
    return clock() - start


def sustained(call: Call, *, until: float, clock: Clock = time.monotonic) -> tuple[int, float, float]:
    """Call until the clock shows `until`; return the number of calls, the first one's beginning, the last one's end.

    Args:
        call: made without arguments, one after another; its result is dropped.
        until: seconds on the clock.
        clock: one that all processes of the machine share, so that concurrent streams can be lined up.
    """
    count, start = 0, clock()
    now = start
    while now < until:
        call()
        count += 1
        now = clock()
    return count, start, now


def time_once(call: Call, clock: Clock = time.perf_counter) -> float:
    """Return the seconds that one call takes.

    Args:
        call: made without arguments; its result is dropped.
        clock: gives seconds.
    """
    return time_calls(call, 1, clock)


def shared_now() -> float:
    """Return the seconds now, on the clock that all processes of this machine share."""
    return time.monotonic()


def _turns(contenders: Sequence[Contender], durations: Durations, clocks: Clocks) -> list[_Turn]:
    """Return the turns of a race, after a warm-up of each contender; all of them have a lead-in, or none has."""
    warm = [
        (_warm_up(contender.call, durations.warmup_s, clocks), _lingering(clocks) if len(contenders) > 1 else 0.0)
        for contender in contenders
    ]
    fastest = [seconds for seconds, _ in warm]
    lead_in = min(fastest) < LEAD_IN_BELOW_S
    calls = [max(1, round(durations.sample_s / max(each, 1e-9))) for each in fastest]
    return [
        _Turn(
            call=each.call,
            call_s=seconds,
            calls=filling,
            every=each.every,
            lead_in=lead_in,
            lingering_s=lingering_s,
        )
        for each, filling, (seconds, lingering_s) in zip(contenders, calls, warm, strict=True)
    ]


def _lingering(clocks: Clocks) -> float:
    """Return this process's processor time while its main thread sleeps, from `SHORTEST_REST_S` after a call on."""
    clocks.sleep(SHORTEST_REST_S)
    before = clocks.cpu()
    clocks.sleep(LISTENING_S)
    return max(0.0, clocks.cpu() - before)


def _warm_up(call: Call, duration_s: float, clocks: Clocks) -> float:
    """Call for `duration_s` seconds, once at least, and return the seconds of the fastest call."""
    fastest = time_calls(call, 1, clocks.wall)
    end = clocks.wall() + duration_s
    while clocks.wall() < end:
        fastest = min(fastest, time_calls(call, 1, clocks.wall))
    return fastest


def _rounds(
    turns: Sequence[_Turn],
    race_s: float,
    rng: np.random.Generator,
    clocks: Clocks,
    read: noise.Reader,
    *,
    fewest: int,
) -> Iterator[dict[int, _Sample]]:
    start, done = clocks.wall(), 0
    while True:
        if is_over(clocks.wall() - start, done, race_s, fewest=fewest):
            return
        yield _one_after_another({i: turn for i, turn in enumerate(turns) if done % turn.every == 0}, rng, clocks, read)
        done += 1


def _one_after_another(
    turns: Mapping[int, _Turn], rng: np.random.Generator, clocks: Clocks, read: noise.Reader
) -> dict[int, _Sample]:
    """Run one round, turn after turn in random order, and return each sample with the counters that moved in it."""
    samples: dict[int, _Sample] = {}
    before = read()
    for i in rng.permutation(list(turns)).tolist():
        if turns[i].lead_in:
            turns[i].call()
        cpu = clocks.cpu()
        wall_s = time_calls(turns[i].call, turns[i].calls, clocks.wall)
        cpu_s = clocks.cpu() - cpu
        after = read()
        samples[i] = _Sample(cpu_s, wall_s, after.since(before))
        before = after
        if turns[i].rest_s:
            clocks.sleep(turns[i].rest_s)
            before = read()
    return samples


def _singles(
    turns: Mapping[int, _Turn], duration_s: float, rng: np.random.Generator, clocks: Clocks
) -> dict[int, list[float]]:
    """Return the seconds of calls timed one by one, as many of each contender.

    One at least is made, where there is any time for them.
    """
    singles: dict[int, list[float]] = {i: [] for i in turns}
    end, done = clocks.wall() + duration_s, 0
    while turns and duration_s > 0 and (not done or clocks.wall() < end) and done < MOST_SINGLES:
        done += 1
        for i in rng.permutation(list(turns)).tolist():
            singles[i].append(time_calls(turns[i].call, 1, clocks.wall))
            if turns[i].rest_s:
                clocks.sleep(turns[i].rest_s)
    return singles


def _track(contender: Contender, turn: _Turn, samples: Sequence[_Sample], singles: Sequence[float]) -> Track:
    return Track(
        name=contender.name,
        every=turn.every,
        calls=turn.calls,
        times_s=tuple(sample.wall_s / turn.calls for sample in samples),
        single_s=tuple(singles),
        cpu_s=sum(sample.cpu_s for sample in samples),
        wall_s=sum(sample.wall_s for sample in samples),
        involuntary_switches=sum(sample.reading.involuntary_switches for sample in samples),
        disturbed_rounds=sum(sample.reading.disturbed for sample in samples),
        lingering_s=turn.lingering_s,
    )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Hold Python's garbage collector back, as a collection would fall on one contender, by chance."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

"""Rounds of paired samples with a clock of ours: a known ratio comes back, and the phases last as long as asked."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from int8bench.compare.duet import pairs
from int8bench.compare.duet.pairs import BASE, HEAD, PairDurations, PairRace
from int8bench.errors import LabError
from int8bench.lab import noise, sampling
from int8bench.lab.agent.wire import Sampled, SideRequest, Sustain, Sustained, TurnSample, Warm, Warmed

DURATIONS = PairDurations(warmup_s=0.03, race_s=0.5, timeout_s=9.0)
QUIET = noise.Reading(
    involuntary_switches=0, major_faults=0, minor_faults=0, steal_ticks=0, busy_ticks=0, own_cpu_s=0.0
)


class _World:
    """The clock that both sides move on, what they were asked in order, and the ticks that were stolen."""

    def __init__(self) -> None:
        self.now = 50.0
        self.asked: list[tuple[int, SideRequest[object]]] = []
        self.stolen: Iterator[int] = iter(())
        self.ticks = 0

    def clock(self) -> float:
        return self.now

    def read(self) -> noise.Reading:
        self.ticks += next(self.stolen, 0)
        return noise.Reading(**{**_fields(QUIET), "steal_ticks": self.ticks})


def _fields(reading: noise.Reading) -> dict[str, float]:
    return {name: getattr(reading, name) for name in reading.__slots__}


class _Side:
    """A side whose calls take a known time; `lost` says in which of its samples the processor was taken away."""

    def __init__(self, world: _World, index: int, call_s: Callable[[], float], lost: Sequence[int] = ()) -> None:
        self.world, self.index, self.call_s, self.lost = world, index, call_s, set(lost)
        self.samples = 0

    def ask(self, request: SideRequest[Any], timeout_s: float) -> Any:
        assert timeout_s == DURATIONS.timeout_s
        mean_s = self.call_s()
        self.world.asked.append((self.index, request))
        if isinstance(request, Warm):
            self.world.now += DURATIONS.warmup_s
            return Warmed(fastest_s=mean_s)
        assert isinstance(request, TurnSample)
        self.world.now += mean_s * (request.calls + request.untimed)
        self.samples += 1
        return Sampled(mean_s=mean_s, cpu_s=mean_s * request.calls, lost=int(self.samples - 1 in self.lost))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> _World:
    """A machine on which nothing happens but what a test says."""
    world = _World()
    monkeypatch.setattr(pairs.noise, "read", world.read)
    return world


def _raced(world: _World, base: _Side, head: _Side, *, seed: int = 1, durations: PairDurations = DURATIONS) -> PairRace:
    return pairs.race((base, head), durations, rng=np.random.default_rng(seed), now=world.clock)


def _sides(world: _World, base_s: float, head_s: float, **more: Sequence[int]) -> tuple[_Side, _Side]:
    return _Side(world, BASE, lambda: base_s, **more), _Side(world, HEAD, lambda: head_s)


@pytest.mark.parametrize("ratio", [0.5, 0.98, 1.0, 1.03, 2.0])
def test_a_known_ratio_comes_back(world: _World, ratio: float) -> None:
    """Positive where head takes longer; under noise that hits both sides of a pair, and one call in ten alone."""
    rng = np.random.default_rng(7)
    drift = np.exp(rng.normal(scale=0.2, size=10_000))

    def call(share: float) -> Callable[[], float]:
        return lambda: 0.001 * share * drift[len(world.asked) // 2] * (3.0 if rng.random() < 0.1 else 1.0)

    raced = _raced(world, _Side(world, BASE, call(1.0)), _Side(world, HEAD, call(ratio)))
    assert math.exp(raced.log_ratio) == pytest.approx(ratio, rel=1e-9)
    assert len(raced.base_s) == len(raced.head_s) == len(raced.kept)


def test_both_warm_up_before_the_first_sample(world: _World) -> None:
    """Once each, in random order: who comes first may take what only one of them can have."""
    warm = Warm(duration_s=DURATIONS.warmup_s)
    began = set()
    for seed in range(8):
        world.asked.clear()
        _raced(world, *_sides(world, 0.001, 0.002), seed=seed)
        assert sorted(side for side, message in world.asked[:2] if message == warm) == [BASE, HEAD]
        assert not any(isinstance(message, Warm) for _, message in world.asked[2:])
        began.add(world.asked[0][0])
    assert began == {BASE, HEAD}


def test_each_round_has_one_sample_of_each_in_random_order(world: _World) -> None:
    """Drawn by the generator that is given: both orders come up, and a seed says which."""
    _raced(world, *_sides(world, 0.001, 0.001))
    order = [index for index, message in world.asked if isinstance(message, TurnSample)]
    rounds = list(zip(order[::2], order[1::2], strict=True))
    assert {tuple(sorted(each)) for each in rounds} == {(BASE, HEAD)}
    first = sum(each[0] == HEAD for each in rounds) / len(rounds)
    assert 0.3 < first < 0.7
    expected = np.random.default_rng(1)
    expected.permutation([0, 1])  # of the warm-up
    assert rounds == [tuple(expected.permutation([0, 1]).tolist()) for _ in rounds]


@pytest.mark.parametrize(
    ("base_s", "head_s", "calls", "untimed"),
    [
        (0.0001, 0.0001, 10, 3),  # a millisecond a sample, 0.3 ms untimed
        (0.0001, 0.0002, 5, 2),  # of the slower side
        (0.000001, 0.000001, 1000, pairs.MOST_UNTIMED),
        (0.003, 0.01, 1, 1),
        (0.005, 0.01, 1, 0),  # long against what the other side left in the caches
    ],
)
def test_a_sample_is_as_long_as_the_slower_side_needs(
    world: _World, base_s: float, head_s: float, calls: int, untimed: int
) -> None:
    """The same number of calls on both sides, and the same number that is not timed."""
    raced = _raced(world, *_sides(world, base_s, head_s))
    asked = [message for _, message in world.asked if isinstance(message, TurnSample)]
    assert raced.calls == calls
    assert all(message == TurnSample(calls=calls, untimed=untimed) for message in asked)


def test_it_ends_when_the_time_is_up(world: _World) -> None:
    """After as many rounds as begin in it."""
    raced = _raced(world, *_sides(world, 0.001, 0.001))
    assert len(raced.base_s) == round(DURATIONS.race_s / 0.004)  # two samples of one call, one untimed before each


@pytest.mark.parametrize(
    ("call_s", "rounds"),
    [(0.2, sampling.FEWEST_ROUNDS), (0.375, 6), (1.0, sampling.FEWEST_PAIRS), (60.0, sampling.FEWEST_PAIRS)],
)
def test_slow_calls_have_a_few_rounds_all_the_same(world: _World, call_s: float, rounds: int) -> None:
    """Eight, unless that takes eight times the time; two whatever it takes."""
    assert len(_raced(world, *_sides(world, call_s, call_s)).base_s) == rounds


@pytest.mark.parametrize(
    ("call_s", "rounds"), [(2**-20, 4), (0.125, 3), (0.0625, 4), (0.5, 3), (60.0, sampling.FEWEST_PAIRS)]
)
def test_fresh_processes_have_three_rounds_of_one(world: _World, call_s: float, rounds: int) -> None:
    """None goes untimed before it, and there are more where the time holds them."""
    took_s = max(call_s, 0.0625)  # with the start of the interpreter, which is not in the answer

    def call() -> float:
        world.now += took_s - call_s
        return call_s

    sides = [_Side(world, side, call) for side in (BASE, HEAD)]
    raced = pairs.race(sides, DURATIONS, rng=np.random.default_rng(1), fresh=True, now=world.clock)
    assert len(raced.base_s) == rounds
    asked = [message for _, message in world.asked if isinstance(message, TurnSample)]
    assert all(message == TurnSample(calls=1, untimed=0) for message in asked)
    assert raced.calls == 1


def test_rounds_in_which_a_side_lost_the_processor_are_dropped(world: _World) -> None:
    """They stay in the record and are in no figure."""
    raced = _raced(world, *_sides(world, 0.001, 0.001, lost=(0, 3)))
    assert [i for i, kept in enumerate(raced.kept) if not kept] == [0, 3]
    assert len(raced.kept) == len(raced.base_s)


def test_rounds_in_which_the_machine_was_stolen_from_are_dropped(world: _World) -> None:
    """By the counter of the whole machine, read before and after each round."""
    world.stolen = iter([0, 0, 0, 2, 0, 0])  # before and after: the second round
    raced = _raced(world, *_sides(world, 0.001, 0.001))
    assert [i for i, kept in enumerate(raced.kept) if not kept] == [1]


def test_dropped_rounds_do_not_move_the_ratio() -> None:
    """Only what is kept counts."""
    raced = PairRace(calls=1, base_s=(1.0, 1.0, 1.0), head_s=(2.0, 9.0, 2.0), kept=(True, False, True), faults={})
    assert raced.log_ratio == pytest.approx(math.log(2))


def test_where_most_rounds_are_disturbed_all_are_kept(world: _World) -> None:
    """Undisturbed ones would be the exception."""
    raced = _raced(world, *_sides(world, 0.001, 0.001, lost=range(10_000)))
    assert all(raced.kept)


def test_a_call_that_takes_no_time_is_refused(world: _World) -> None:
    """There is no ratio to nothing."""
    with pytest.raises(LabError, match="a call took no time by the clock"):
        _raced(world, *_sides(world, 0.001, 0.0))


class _Stream(_Side):
    """A stream under load, which makes `rate` calls a second for as long as it is asked to."""

    def __init__(self, world: _World, index: int, rate: float, late_s: float = 0.0) -> None:
        super().__init__(world, index, lambda: 1 / rate)
        self.rate, self.late_s = rate, late_s

    def sustain(self, request: Sustain) -> Sustained:
        self.world.asked.append((self.index, request))
        start, until = self.world.now + self.late_s, request.until_s
        calls: Any = self.rate * (until - start)  # a share of a call is none of a process, but tells the rate exactly
        return Sustained(calls=calls, started_s=start, ended_s=until)


def _together(streams: Sequence[_Stream], request: Sustain, _: float) -> list[Sustained]:
    found = [each.sustain(request) for each in streams]
    streams[0].world.now += 1.0
    return found


def _sustained(world: _World, base: Sequence[_Stream], head: Sequence[_Stream]) -> float:
    return pairs.sustained((base, head), load_s=0.25, timeout_s=9.0, together=_together, now=world.clock)


def test_throughput_is_of_all_streams_together(world: _World) -> None:
    """Calls of all over the time from the first start to the last end; base, head, head, base, for drift."""
    base = [_Stream(world, BASE, 100.0), _Stream(world, BASE, 50.0)]
    head = [_Stream(world, HEAD, 100.0), _Stream(world, HEAD, 20.0)]
    assert _sustained(world, base, head) == pytest.approx(math.log(120 / 150))
    assert [index for index, _ in world.asked[::2]] == [BASE, HEAD, HEAD, BASE]
    assert [message for _, message in world.asked] == [
        Sustain(until_s=50.25 + turn) for turn in (0, 0, 1, 1, 2, 2, 3, 3)
    ]


def test_a_stream_that_starts_late_costs_its_side(world: _World) -> None:
    """The time counts from the first start."""
    base = [_Stream(world, BASE, 100.0), _Stream(world, BASE, 100.0)]
    head = [_Stream(world, HEAD, 100.0), _Stream(world, HEAD, 100.0, late_s=0.125)]
    assert _sustained(world, base, head) == pytest.approx(math.log(0.75))


def test_a_load_that_took_no_time_is_refused(world: _World) -> None:
    """As a call is."""
    base = [_Stream(world, BASE, 100.0, late_s=0.25)]
    with pytest.raises(LabError, match="no time"):
        _sustained(world, base, base)

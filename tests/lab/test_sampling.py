"""Racing with a fake clock: what is called, in which order, how often, and what the samples say."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from int8bench.lab import noise
from int8bench.lab.sampling import (
    LISTENING_S,
    SHORTEST_REST_S,
    Clocks,
    Contender,
    Durations,
    race,
    sustained,
    time_calls,
    time_once,
)

QUIET = noise.Reading(
    involuntary_switches=0, major_faults=0, minor_faults=0, steal_ticks=0, busy_ticks=0, own_cpu_s=0.0
)


class FakeMachine:
    """A machine whose clock moves only when a contender works."""

    def __init__(self) -> None:
        """At time zero, with nothing called yet."""
        self.now_s = 0.0
        self.log: list[str] = []
        self.lingering: dict[str, float] = {}
        self.left_s = 0.0
        self.rests: list[tuple[str, float]] = []

    def clock(self) -> float:
        """Seconds; each reading takes a nanosecond."""
        self.now_s += 1e-9
        return self.now_s

    def worker(self, name: str, cost_s: float) -> Callable[[], object]:
        """A call that takes `cost_s` seconds of this clock and is logged."""

        def call() -> None:
            self.log.append(name)
            self.now_s += cost_s
            self.left_s = self.lingering.get(name, 0.0)

        return call

    def clocks(self) -> Clocks:
        """Both clocks of a race."""
        return Clocks(wall=self.clock, cpu=lambda: self.now_s, sleep=self.sleep)

    def sleep(self, duration_s: float) -> None:
        """Lets time pass, and the idle threads of whoever worked last take processor time."""
        self.rests.append((self.log[-1], duration_s))
        spun_s = min(self.left_s, duration_s)
        self.left_s -= spun_s
        self.now_s += spun_s


def _race(machine: FakeMachine, *contenders: Contender, seed: int = 0, read: noise.Reader = lambda: QUIET, **durations):
    asked = {"warmup_s": 0.0, "race_s": 0.1, "single_s": 0.0, **durations}
    return race(contenders, Durations(**asked), rng=np.random.default_rng(seed), clocks=machine.clocks(), read=read)


def test_the_timed_body_is_exactly_the_calls_asked_for() -> None:
    """Timing seven calls makes seven calls, and the clock is read once before and once after."""
    machine = FakeMachine()
    readings = []

    def clock() -> float:
        readings.append(len(machine.log))
        return machine.clock()

    assert time_calls(machine.worker("a", 0.5), 7, clock) == pytest.approx(3.5)
    assert machine.log == ["a"] * 7
    assert readings == [0, 7]


def test_one_call_is_timed_as_one_call() -> None:
    """Timing once calls once."""
    machine = FakeMachine()
    assert time_once(machine.worker("a", 0.25), machine.clock) == pytest.approx(0.25)
    assert machine.log == ["a"]


def test_a_sample_holds_the_calls_that_fill_its_time() -> None:
    """A contender of 25 us is called four times a sample of 0.1 ms, and the sample is the mean of one call."""
    machine = FakeMachine()
    result = _race(machine, Contender(name="a", call=machine.worker("a", 0.000_025)))
    track = result.track("a")
    assert track.calls == 4
    assert track.times_s == pytest.approx([0.000_025] * len(track.times_s), rel=1e-3)
    assert machine.log == ["a"] * (1 + 5 * len(track.times_s))  # one call warms up; then one untimed, four timed


def test_a_long_call_is_a_sample_of_its_own() -> None:
    """A contender of 1 ms is called once untimed and once timed in each round."""
    machine = FakeMachine()
    result = _race(machine, Contender(name="a", call=machine.worker("a", 0.001)))
    assert result.track("a").calls == 1
    assert machine.log == ["a"] * (1 + 2 * len(result.kept))


def test_the_call_before_a_sample_is_not_timed() -> None:
    """A first call that pays for the caches which the other contender left does not count."""
    machine = FakeMachine()
    costs = {"a": 0.001, "b": 0.002}

    def worker(name: str) -> Callable[[], object]:
        def call() -> None:
            paid = 0.0 if machine.log[-1:] == [name] else 0.001
            machine.log.append(name)
            machine.now_s += costs[name] + paid

        return call

    result = _race(machine, *(Contender(name=name, call=worker(name)) for name in "ab"))
    for name, cost in costs.items():
        assert result.track(name).times_s == pytest.approx([cost] * len(result.kept), rel=1e-3)


def test_whoever_lingers_is_waited_for() -> None:
    """Idle threads that spin for 3 ms after a call have gone to sleep before the next contender is timed."""
    machine = FakeMachine()
    machine.lingering = {"spins": 0.003}
    result = _race(machine, *(Contender(name=name, call=machine.worker(name, 0.001)) for name in ("spins", "sleeps")))
    assert result.track("spins").lingering_s == pytest.approx(0.003 - SHORTEST_REST_S)
    assert result.track("sleeps").lingering_s == 0.0
    heard = [(name, rest_s) for name in ("spins", "sleeps") for rest_s in (SHORTEST_REST_S, LISTENING_S)]
    assert machine.rests[:4] == heard
    assert machine.rests[4:] == [("spins", pytest.approx(0.003))] * len(result.kept)


@pytest.mark.parametrize(("lingering_s", "rest_s"), [(0.0002, None), (0.0007, None), (0.5, LISTENING_S)])
def test_a_rest_is_neither_very_short_nor_long(lingering_s: float, rest_s: float | None) -> None:
    """What a lead-in call outlasts is not waited for, and a pool that never sleeps is not waited for any longer."""
    machine = FakeMachine()
    machine.lingering = {"spins": lingering_s}
    result = _race(machine, *(Contender(name=name, call=machine.worker(name, 0.001)) for name in ("spins", "sleeps")))
    heard_s = min(max(0.0, lingering_s - SHORTEST_REST_S), LISTENING_S)
    assert result.track("spins").lingering_s == pytest.approx(heard_s)
    rests = {duration_s for name, duration_s in machine.rests[4:] if name == "spins"}
    assert rests == ({rest_s} if rest_s else set())


def test_contenders_that_are_all_slow_have_no_lead_in() -> None:
    """From 4 ms a call on, every call is timed; where one contender is faster, all have their untimed call."""
    for fast_s, calls_a_round in ((0.005, 2), (0.001, 4)):
        machine = FakeMachine()
        a = Contender(name="a", call=machine.worker("a", fast_s))
        b = Contender(name="b", call=machine.worker("b", 0.02))
        result = _race(machine, a, b)
        assert len(machine.log) == 2 + calls_a_round * len(result.kept)


def test_each_round_samples_every_contender_once_in_random_order() -> None:
    """Rounds are complete, back to back, and both orders occur."""
    machine = FakeMachine()
    a, b = (Contender(name=name, call=machine.worker(name, 0.004)) for name in "ab")
    result = _race(machine, a, b, race_s=1.0)
    calls = machine.log[2:]
    rounds = [tuple(calls[i : i + 2]) for i in range(0, len(calls), 2)]
    assert len(rounds) == len(result.kept) == len(result.track("a").times_s)
    assert set(rounds) == {("a", "b"), ("b", "a")}


def test_the_order_follows_the_generator() -> None:
    """The same seed gives the same order, another seed another."""
    logs = []
    for seed in (1, 1, 2):
        machine = FakeMachine()
        a, b = (Contender(name=name, call=machine.worker(name, 0.004)) for name in "ab")
        _race(machine, a, b, seed=seed)
        logs.append(machine.log)
    assert logs[0] == logs[1] != logs[2]


def test_times_stay_with_their_contender_whatever_the_order() -> None:
    """Two contenders of different speed keep their own times through all random orders."""
    machine = FakeMachine()
    fast = Contender(name="fast", call=machine.worker("fast", 0.001))
    slow = Contender(name="slow", call=machine.worker("slow", 0.003))
    result = _race(machine, slow, fast)
    assert np.median(result.track("fast").times_s) == pytest.approx(0.001, rel=1e-3)
    assert np.median(result.track("slow").times_s) == pytest.approx(0.003, rel=1e-3)


def test_rounds_are_made_even_when_the_time_is_up() -> None:
    """A contender slower than the whole fork still gets the fewest rounds, up to the hard stop."""
    machine = FakeMachine()
    result = _race(machine, Contender(name="a", call=machine.worker("a", 0.05)), race_s=0.1)
    assert len(result.kept) == 8


def test_a_very_slow_contender_is_stopped() -> None:
    """No fork takes more than eight times the time it was given, by more than a round."""
    machine = FakeMachine()
    result = _race(machine, Contender(name="a", call=machine.worker("a", 1.0)), race_s=0.5)
    assert len(result.kept) == 4


def test_the_slowest_contender_still_has_its_pairs_and_a_single_call() -> None:
    """Two rounds and one single call are made whatever they take: less would be no figure at all."""
    machine = FakeMachine()
    result = _race(machine, Contender(name="a", call=machine.worker("a", 50.0)), race_s=0.5, single_s=0.1)
    assert len(result.kept) == 2
    assert len(result.track("a").single_s) == 1


def test_a_contender_may_take_part_in_a_share_of_the_rounds() -> None:
    """In the first and every fourth after it; the others have the time, and all rounds stay aligned."""
    machine = FakeMachine()
    a = Contender(name="a", call=machine.worker("a", 0.005))
    b = Contender(name="b", call=machine.worker("b", 0.005), every=4)
    result = _race(machine, a, b, race_s=0.3)
    assert [result.track(name).every for name in "ab"] == [1, 4]
    assert len(result.kept) == len(result.track("a").times_s) == 48
    assert len(result.track("b").times_s) == 12
    orders = "".join(machine.log)[2:]  # after the warm-up
    assert all(orders[5 * i : 5 * i + 5].count("b") == 1 for i in range(12))
    assert all("b" in orders[5 * i : 5 * i + 2] for i in range(12))


def test_a_disturbed_round_is_left_out_whoever_took_part() -> None:
    """`kept` is of all rounds, for each contender."""
    machine = FakeMachine()
    a = Contender(name="a", call=machine.worker("a", 0.005))
    b = Contender(name="b", call=machine.worker("b", 0.005), every=2)
    switches = iter(range(10_000))

    def read() -> noise.Reading:
        count = next(switches)
        return replace(QUIET, involuntary_switches=0 if count < 20 else 1)

    result = _race(machine, a, b, race_s=0.1, read=read)
    assert result.kept.count(False) == 1


def test_rounds_of_single_calls_take_the_time_of_single_calls() -> None:
    """Where a sample is one call and rounds are enough, nothing is timed twice: the time goes into more rounds."""
    machine = FakeMachine()
    a, b = (Contender(name=name, call=machine.worker(name, 0.005)) for name in "ab")
    result = _race(machine, a, b, race_s=0.3, single_s=0.1)
    assert result.track("a").single_s == result.track("b").single_s == ()
    assert result.track("a").calls == 1
    assert len(result.track("a").times_s) == len(result.kept) == 40


def test_rounds_that_are_too_few_leave_the_time_to_single_calls() -> None:
    """Twenty-five would not fit: the race is as long as it was asked for, and calls are timed one by one after it."""
    machine = FakeMachine()
    a, b = (Contender(name=name, call=machine.worker(name, 0.010)) for name in "ab")
    result = _race(machine, a, b, race_s=0.3, single_s=0.1)
    assert len(result.track("a").times_s) == 15
    assert len(result.track("a").single_s) == len(result.track("b").single_s) == 5


def test_a_contender_whose_samples_are_several_calls_is_timed_one_by_one() -> None:
    """It alone; the other's samples are single calls, and what is left of the time goes into rounds."""
    machine = FakeMachine()
    a = Contender(name="a", call=machine.worker("a", 0.00002))
    b = Contender(name="b", call=machine.worker("b", 0.003))
    result = _race(machine, a, b, race_s=0.3, single_s=0.1)
    assert (result.track("a").calls, result.track("b").calls) == (5, 1)
    assert len(result.track("a").single_s) == 400
    assert result.track("b").single_s == ()
    assert len(result.track("b").times_s) == pytest.approx((0.4 - 400 * 0.00002) / (6 * 0.00002 + 2 * 0.003), abs=1)


def test_single_calls_are_timed_one_by_one() -> None:
    """The singles of a contender are single calls, as many for each contender."""
    machine = FakeMachine()
    a, b = (Contender(name=name, call=machine.worker(name, 0.002)) for name in "ab")
    result = _race(machine, a, b, race_s=0.0, single_s=0.1)
    assert len(result.track("a").single_s) == len(result.track("b").single_s) == 25
    assert result.track("a").single_s[0] == pytest.approx(0.002, rel=1e-3)


def test_disturbed_rounds_are_dropped_by_their_counters_alone() -> None:
    """A round with an involuntary switch is not kept, whatever its time; the others are."""
    machine = FakeMachine()
    reads = iter(range(10_000))
    switches = 0

    def read() -> noise.Reading:
        nonlocal switches
        if next(reads) == 2:
            switches += 1
        return noise.Reading(
            involuntary_switches=switches, major_faults=0, minor_faults=0, steal_ticks=0, busy_ticks=0, own_cpu_s=0.0
        )

    result = _race(machine, Contender(name="a", call=machine.worker("a", 0.004)), read=read)
    assert result.kept[0] is False
    assert all(result.kept[1:])
    assert result.track("a").disturbed_rounds == 1
    assert result.disturbance.involuntary_switches == 1


def test_sustained_calls_until_the_time_shown() -> None:
    """Sustained load stops with the first call that ends after the time given."""
    machine = FakeMachine()
    calls, started, ended = sustained(machine.worker("a", 0.1), until=1.0, clock=machine.clock)
    assert calls == len(machine.log) == 10
    assert ended - started == pytest.approx(1.0, abs=0.1)

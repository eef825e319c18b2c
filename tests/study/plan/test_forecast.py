"""First guesses, scaled; and what has been seen in their place."""

from dataclasses import replace

import converters
import numpy as np
import pytest

from int8bench.engines.base import Conversion
from int8bench.engines.registry import engine_named, engine_names
from int8bench.lab.noise import Reading
from int8bench.lab.sampling import Clocks, Contender, Durations, race
from int8bench.machine import Hardware
from int8bench.stats.verdict import default_looks
from int8bench.study.plan.forecast import CONVERSIONS, MOST_DRIFT, UNKNOWN, Pace, Spent, together_s
from int8bench.study.plan.plan import FORK_S, Plan
from int8bench.workload.cases import Case, Group, Variant, float32_references, int8_variant
from int8bench.workload.order import CALIBRATION, PYTHON_S, Guess, Network

NETWORK = Network(layers=10, picture_s=0.01)
PACE = Pace(network=NETWORK)
FLOAT32, NCHW = float32_references()
INT8 = int8_variant("x86")
QUIET = Reading(involuntary_switches=0, major_faults=0, minor_faults=0, steal_ticks=0, busy_ticks=0, own_cpu_s=0.0)
PLAN = Plan(
    looks=default_looks(4),
    forks=1,
    durations=Durations(warmup_s=0.02, race_s=0.075, single_s=0.025),
    replicates=2,
    load_s=0.05,
    budget_s=26.0,
)


def case(variant: Variant, *, batch: int = 1, threads: int = 1) -> Case:
    """A cell."""
    return Case(model="m", variant=variant, group=Group(batch=batch, threads=threads))


def test_a_guess_grows_with_layers_pictures_and_a_slow_machine() -> None:
    """Twice as slow at Python doubles what is done in Python, and no call of the model."""
    guess = Guess(fixed_s=5.0, layer_s=0.1, calls=2.0)
    assert NETWORK.seconds(guess) == pytest.approx(5.0 + 0.1 * 10 + 2.0 * CALIBRATION * 0.01)
    slow = replace(NETWORK, python_s=2 * PYTHON_S)
    assert slow.seconds(guess) == pytest.approx(2 * (5.0 + 0.1 * 10) + 2.0 * CALIBRATION * 0.01)


def test_every_engine_of_ours_that_converts_has_a_guess() -> None:
    """A converter that moves to another module would be guessed as a stranger's."""
    machine = Hardware(arch="x86_64", flags=frozenset({"avx2"}))
    engines = [engine_named(name) for name in engine_names() if name != "tensorrt"]
    asked = [each.conversion(variant, machine) for each in engines for variant in each.variants]
    modules = {conversion.function.__module__ for conversion in asked if conversion is not None}
    assert modules == set(CONVERSIONS)


def test_a_strangers_conversion_is_guessed_too() -> None:
    """It is no reason to promise a run that takes no time."""
    stranger = Conversion(name="theirs", function=converters.sums, packages=())
    assert PACE.conversion_s(stranger) == NETWORK.seconds(UNKNOWN) > 0


def test_what_was_timed_is_worth_more_than_the_guess() -> None:
    """An interpreter that takes a second for a picture is known to once its answers were checked."""
    seen = replace(PACE, pictures_s={INT8: 1.0})
    assert seen.call_s(INT8, Group(batch=8, threads=1)) == 8.0
    assert PACE.call_s(INT8, Group(batch=8, threads=1)) == pytest.approx(0.08)
    assert seen.solo_s(case(INT8), PLAN, 2) > 10 > PACE.solo_s(case(INT8), PLAN, 2)


def test_launches_that_have_started_say_how_long_the_next_take() -> None:
    """Two start together; one more is less than two, and what prepares more takes longer."""
    foreseen_s = PACE.launch_s((FLOAT32,), 2)
    seen = replace(PACE, slowness=20.0 / foreseen_s)
    assert seen.launch_s((FLOAT32,), 2) == pytest.approx(20.0)
    assert seen.launch_s((FLOAT32,), 4) == pytest.approx(40.0)
    assert 0.0 < seen.launch_s((FLOAT32,), 1) < 20.0
    assert seen.launch_s((FLOAT32,), 0) == 0.0
    assert seen.launch_s((FLOAT32, INT8), 2) > 20.0


def test_what_took_longer_than_foreseen_makes_the_rest_longer() -> None:
    """By as much, once there was enough of it; a moment that took twice as long says little."""
    group = Group(batch=1, threads=1)
    assert PACE.drift(group) == 1.0
    assert PACE.learned(group, Spent(took_s=0.2, foreseen_s=0.1)).drift(group) < 1.2
    assert PACE.learned(group, Spent(took_s=200.0, foreseen_s=100.0)).drift(group) == pytest.approx(2.0, rel=0.05)
    assert PACE.learned(group, Spent(took_s=50.0, foreseen_s=100.0)).drift(group) < 0.6


def test_a_batch_that_is_slow_does_not_make_another_slow() -> None:
    """Once that was seen itself; before, it is taken for slow too, but not beyond measure."""
    small, large = Group(batch=1, threads=1), Group(batch=8, threads=1)
    surprised = PACE.learned(large, Spent(took_s=600.0, foreseen_s=6.0))
    assert surprised.drift(large) > 50
    assert surprised.drift(small) == MOST_DRIFT
    assert surprised.learned(small, Spent(took_s=20.0, foreseen_s=20.0)).drift(small) < 1.5


@pytest.mark.parametrize("call_s", [0.0003, 0.003, 0.03, 0.3, 3.0])
@pytest.mark.parametrize("contenders", [2, 17])
def test_a_race_takes_what_is_foreseen(call_s: float, contenders: int) -> None:
    """Held against the race itself, played with a clock that moves with the calls: within a third."""
    now = [0.0]

    def call() -> None:
        now[0] += call_s

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clocks = Clocks(wall=lambda: now[0], cpu=lambda: 0.0, sleep=sleep)
    variants = [Variant(engine=f"e{i}", precision="int8", layout="nchw") for i in range(contenders)]
    racing = [Contender(name=each.label, call=call) for each in variants]
    race(racing, PLAN.durations, rng=np.random.default_rng(0), clocks=clocks, read=lambda: QUIET)
    pace = Pace(network=replace(NETWORK, picture_s=call_s))
    foreseen_s = pace.race_s([case(each) for each in variants], PLAN)
    checked_s = contenders * call_s  # the answers of each, before the race
    assert foreseen_s - FORK_S == pytest.approx(now[0] + checked_s, rel=1 / 3)


def test_conversions_run_two_at_a_time() -> None:
    """But the longest takes what it takes."""
    assert together_s([10.0, 10.0, 10.0, 10.0]) == 20.0
    assert together_s([100.0, 10.0]) == 100.0
    assert together_s([]) == 0.0


def test_a_conversion_of_float32_calibrates_nothing() -> None:
    """Whichever engine's: with a network that takes a second for a picture int8 takes minutes longer."""
    machine = Hardware(arch="x86_64", flags=frozenset({"avx2"}))
    slow = Pace(network=replace(NETWORK, picture_s=1.0))
    for name in ("onnxruntime", "executorch", "litert", "inductor"):
        engine = engine_named(name)
        asked = {variant.precision: engine.conversion(variant, machine) for variant in engine.variants}
        seconds = {precision: slow.conversion_s(each) for precision, each in asked.items() if each is not None}
        assert seconds["int8"] > seconds["float32"] + CALIBRATION

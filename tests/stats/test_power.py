"""What a race of a known spread can see, against simulated races, and how sure a spread is."""

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from int8bench.stats.limits import POWER
from int8bench.stats.prediction import chance_seen, sd_bounds, smallest_effect
from int8bench.stats.ratio import LaunchTable, centre_and_error
from int8bench.stats.verdict import smallest_visible_effect

ERROR = 0.001
RACES = 20_000


def called_slower(effect: float, *, sd: float, launches: int) -> float:
    """The share of simulated races in which a t test calls the effect, in log units, in its direction."""
    means = np.random.default_rng(7).normal(effect, sd, size=(RACES, launches))
    errors = means.std(axis=1, ddof=1) / math.sqrt(launches)
    return float(np.mean(means.mean(axis=1) / errors > stdtrit(launches - 1, 1 - ERROR / 2)))


@pytest.mark.parametrize("launches", [4, 8, 20])
@pytest.mark.parametrize("share", [0.6, 1.0, 1.4])
def test_simulated_races_call_as_often_as_promised(launches: int, share: float) -> None:
    """At the smallest effect with its power, and below and above it with the chance that is told."""
    smallest = math.log1p(smallest_effect(0.004, launches=launches, nominal_error=ERROR, power=POWER))
    told = chance_seen(share * smallest, sd=0.004, launches=launches, nominal_error=ERROR)
    spread = math.sqrt(0.25 / RACES)
    assert called_slower(share * smallest, sd=0.004, launches=launches) == pytest.approx(told, abs=4 * spread)
    if share == 1.0:
        assert told == pytest.approx(POWER)


def test_the_smallest_effect_is_the_one_that_verdicts_name() -> None:
    """For the spread of a table of as many launches."""
    table = LaunchTable(log_ratios=((0.01,), (0.012,), (0.007,), (0.011,), (0.014,)), pairs=5)
    _, error = centre_and_error(table)
    found = smallest_effect(error * math.sqrt(5), launches=5, nominal_error=ERROR, power=POWER)
    assert found == pytest.approx(smallest_visible_effect(table, ERROR))


@pytest.mark.parametrize(("effect", "chance"), [(0.02, 1.0), (0.0, 0.0)])
def test_without_any_spread_everything_is_seen(effect: float, chance: float) -> None:
    """And nothing is called nothing."""
    assert chance_seen(effect, sd=0.0, launches=8, nominal_error=ERROR) == chance


@pytest.mark.parametrize("launches", [4, 8])
def test_an_effect_far_above_the_spread_is_certain(launches: int) -> None:
    """A chance of a number, however far out."""
    assert chance_seen(0.2, sd=0.0005, launches=launches, nominal_error=ERROR) == pytest.approx(1.0)


def test_bounds_of_a_spread_hold_it_as_often_as_declared() -> None:
    """95 of 100 intervals over simulated samples, and half of the misses on either side."""
    drawn = np.random.default_rng(3).normal(0.0, 2.0, size=(4000, 9)).std(axis=1, ddof=1)
    bounds = [sd_bounds(float(sd), freedom=8, confidence=0.95) for sd in drawn]
    assert np.mean([low > 2.0 for low, _ in bounds]) == pytest.approx(0.025, abs=0.01)
    assert np.mean([high < 2.0 for _, high in bounds]) == pytest.approx(0.025, abs=0.01)

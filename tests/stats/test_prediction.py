"""One run against earlier ones: the interval is Student's prediction interval, and keeps its error."""

import math

import numpy as np
import pytest
from scipy import stats

from int8bench.stats.limits import POWER, RUNS_OF_A_PREDICTION
from int8bench.stats.prediction import change, runs_to_see

EARLIER = (1.00, 1.02, 0.99, 1.01, 1.00, 0.98)


@pytest.mark.parametrize("error_rate", [0.05, 0.001])
def test_the_interval_is_students_prediction_interval(error_rate: float) -> None:
    """Against a slow version: mean and spread of the logs, and scipy's t distribution."""
    found = change(EARLIER, 1.1)
    logs = np.log(EARLIER)
    half = stats.t(len(logs) - 1).isf(error_rate / 2) * logs.std(ddof=1) * math.sqrt(1 + 1 / len(logs))
    centre = math.log(1.1) - logs.mean()
    assert found.interval(error_rate) == pytest.approx((math.exp(centre - half), math.exp(centre + half)))


def test_the_unit_of_time_does_not_matter() -> None:
    """Nanoseconds say what seconds say."""
    in_ns = change([value * 1e9 for value in EARLIER], 1.1e9)
    assert in_ns.interval(0.001) == pytest.approx(change(EARLIER, 1.1).interval(0.001))


def test_fewer_runs_than_tell_their_spread_are_refused() -> None:
    """The interval of three runs would be 32 standard errors wide."""
    with pytest.raises(ValueError, match=f"expected {RUNS_OF_A_PREDICTION} or more"):
        change(EARLIER[: RUNS_OF_A_PREDICTION - 1], 1.0)


@pytest.mark.parametrize("runs", [RUNS_OF_A_PREDICTION, 10])
def test_a_run_like_the_others_seldom_counts_as_changed(runs: int) -> None:
    """Of 4000 histories without a change, 5 % have an interval that excludes 1, few runs or many."""
    rng = np.random.default_rng(runs)
    histories = np.exp(rng.normal(0.0, 0.03, (4000, runs + 1)))
    excluded = 0
    for *earlier, new in histories.tolist():
        low, high = change(earlier, new).interval(0.05)
        excluded += not low <= 1 <= high
    assert 0.04 < excluded / len(histories) < 0.06


def test_the_smallest_visible_change_is_seen_as_often_as_it_says() -> None:
    """With the spread known to be what these runs have, 95 % of so large changes exclude 1 (noncentral t)."""
    found = change(EARLIER, 1.0)
    effect = math.log1p(found.smallest_visible(0.001)) / found.error
    critical = stats.t(found.freedom).isf(0.0005)
    assert stats.nct(found.freedom, effect).sf(critical) == pytest.approx(POWER, abs=1e-6)


def test_what_it_takes_is_told() -> None:
    """So many stored runs narrow the interval below the effect, one fewer do not; a spread beyond it none can."""
    found = change(EARLIER, 1.0)
    runs = runs_to_see(found, 0.06, 0.001)
    assert runs is not None
    spread = float(np.log(EARLIER).std(ddof=1))
    half = [stats.t(n - 1).isf(0.0005) * spread * math.sqrt(1 + 1 / n) for n in (runs - 1, runs)]
    assert half[0] > math.log1p(0.06) > half[1]
    assert runs_to_see(found, 0.01, 0.001) is None

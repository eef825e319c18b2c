"""Estimates against slow oracles and known answers."""

import math
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from int8bench.stats.ratio import LaunchTable, estimate, mean_interval, smallest_of, spread

T_975_3 = 3.182446  # Student's 97.5 % quantile at 3 degrees of freedom, from printed tables
TABLE = LaunchTable(log_ratios=((0.10, 0.12), (0.08, 0.10), (0.13, 0.11), (0.09, 0.07)), pairs=400)

tables = st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=4).map(tuple), min_size=2, max_size=8).map(
    lambda forks: LaunchTable(log_ratios=tuple(forks), pairs=1)
)


def test_the_estimate_is_a_students_interval_on_launch_means() -> None:
    """Value and both ends by hand."""
    means = [0.11, 0.09, 0.12, 0.08]
    half = T_975_3 * stdev(means) / 2
    found = estimate(TABLE, confidence=0.95)
    assert found.value == pytest.approx(math.exp(mean(means)))
    assert found.low == pytest.approx(math.exp(mean(means) - half), rel=1e-6)
    assert found.high == pytest.approx(math.exp(mean(means) + half), rel=1e-6)
    assert (found.launches, found.forks, found.pairs, found.confidence) == (4, 8, 400, 0.95)


def test_more_forks_of_one_launch_do_not_narrow_its_luck() -> None:
    """Repeating every fork a hundred times changes nothing: forks of a launch are not independent."""
    many = LaunchTable(log_ratios=tuple(forks * 100 for forks in TABLE.log_ratios), pairs=400)
    few, much = estimate(TABLE, confidence=0.95), estimate(many, confidence=0.95)
    assert (few.low, few.high) == pytest.approx((much.low, much.high))


@given(tables, st.floats(-2, 2))
def test_a_shift_of_the_logs_scales_the_ratio(table: LaunchTable, shift: float) -> None:
    """Twice as fast everywhere is an estimate twice as large, ends and all."""
    moved = LaunchTable(log_ratios=tuple(tuple(v + shift for v in forks) for forks in table.log_ratios), pairs=1)
    before, after = estimate(table, confidence=0.9), estimate(moved, confidence=0.9)
    scale = math.exp(shift)
    assert (after.low, after.value, after.high) == pytest.approx(
        (before.low * scale, before.value * scale, before.high * scale), rel=1e-6
    )


@given(tables)
def test_swapping_the_sides_gives_the_inverse(table: LaunchTable) -> None:
    """The ratio the other way round is 1 / ratio, and the ends change places."""
    turned = LaunchTable(log_ratios=tuple(tuple(-v for v in forks) for forks in table.log_ratios), pairs=1)
    a, b = estimate(table, confidence=0.95), estimate(turned, confidence=0.95)
    assert (1 / b.high, 1 / b.value, 1 / b.low) == pytest.approx((a.low, a.value, a.high), rel=1e-6)


@given(tables)
def test_the_order_of_launches_does_not_matter(table: LaunchTable) -> None:
    """Launches are exchangeable."""
    turned = LaunchTable(log_ratios=table.log_ratios[::-1], pairs=1)
    assert estimate(turned, confidence=0.95).low == pytest.approx(estimate(table, confidence=0.95).low, rel=1e-9)


def test_one_launch_has_no_interval() -> None:
    """An interval needs two launches."""
    with pytest.raises(ValueError, match="2 launches or more, got 1"):
        estimate(LaunchTable(log_ratios=((0.1, 0.2),), pairs=9), confidence=0.95)


@pytest.mark.parametrize("rows", [(), ((),), ((0.1,), ()), ((math.nan,), (0.1,))])
def test_what_is_no_table_is_refused(rows: tuple[tuple[float, ...], ...]) -> None:
    """No launch, no fork, or no number."""
    with pytest.raises(ValueError, match="LaunchTable"):
        LaunchTable(log_ratios=rows, pairs=1)


def test_spread_finds_both_levels() -> None:
    """Known launch and fork noise is found again from many launches."""
    rng = np.random.default_rng(5)
    launches = rng.normal(0, 0.03, (4000, 1)) + rng.normal(0, 0.02, (4000, 3))
    found = spread(LaunchTable(log_ratios=tuple(map(tuple, launches.tolist())), pairs=1))
    assert found.launch_sd == pytest.approx(0.03, rel=0.05)
    assert found.fork_sd == pytest.approx(0.02, rel=0.05)


def test_spread_is_never_negative() -> None:
    """Launch means closer than forks say that there is no launch noise."""
    assert spread(LaunchTable(log_ratios=((-1.0, 1.0), (1.0, -1.0)), pairs=1)).launch_sd == 0.0


def test_against_one_reference_the_smallest_is_the_plain_estimate() -> None:
    """With nothing to choose from nothing is paid for choosing."""
    name, found = smallest_of({"a": TABLE}, confidence=0.95)
    assert (name, found) == ("a", estimate(TABLE, confidence=0.95))


def test_the_smallest_covers_the_best_reference_when_references_tie() -> None:
    """With tied, correlated references the interval misses the truth in no more than 5 % of 4,000 runs."""
    rng = np.random.default_rng(11)
    missed = 0
    for _ in range(4000):
        shared, own = rng.normal(0, 0.01, (6, 1)), rng.normal(0, 0.01, (6, 2))
        noise = shared + own
        two = {
            name: LaunchTable(log_ratios=tuple((v,) for v in noise[:, i].tolist()), pairs=1)
            for i, name in enumerate("ab")
        }
        _, found = smallest_of(two, confidence=0.95)
        missed += not found.low <= 1.0 <= found.high
    assert missed <= 4000 * 0.057  # three standard errors above 5 %


def test_a_mean_has_a_students_interval() -> None:
    """By hand for four replicates; one replicate has no width."""
    found = mean_interval([1.0, 2.0, 3.0, 4.0], confidence=0.95)
    half = T_975_3 * stdev([1.0, 2.0, 3.0, 4.0]) / 2
    assert (found.low, found.value, found.high) == pytest.approx((2.5 - half, 2.5, 2.5 + half), rel=1e-6)
    assert mean_interval([7.0], confidence=0.95).low == 7.0
    with pytest.raises(ValueError, match="no replicate"):
        mean_interval([], confidence=0.95)


def test_an_interval_that_no_float_holds_ends_where_floats_do() -> None:
    """Two launches that disagree, at the error of one verdict of many: wide beyond use, but still two numbers."""
    found = estimate(LaunchTable(log_ratios=((-1.0,), (1.0,)), pairs=2), confidence=0.95, nominal_error=1e-5)
    assert 0.0 < found.low < 1e-300
    assert 1e300 < found.high < math.inf
    assert not found.is_bounded
    assert estimate(LaunchTable(log_ratios=((-1.0,), (1.0,)), pairs=2), confidence=0.95).is_bounded

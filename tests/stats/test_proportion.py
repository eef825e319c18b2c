"""Shares with exact intervals: known answers, a slow version with whole numbers, and what bounds a declared rate."""

import math
from itertools import product

import pytest

from int8bench.stats.proportion import chance_of_at_least, chance_of_at_most, proportion


def tail(count: int, trials: int, rate: float) -> float:
    """The probability of `count` or more, summed term by term."""
    terms = (math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(count, trials + 1))
    return math.fsum(terms)


@pytest.mark.parametrize(
    ("count", "trials", "low", "high"),
    [
        (0, 48, 0.0, 1 - 0.025 ** (1 / 48)),
        (48, 48, 0.025 ** (1 / 48), 1.0),
        (5, 10, 0.1871, 0.8129),
        (1, 20, 0.0013, 0.2487),
    ],
)
def test_intervals_are_the_published_ones(count: int, trials: int, low: float, high: float) -> None:
    """Clopper and Pearson's, where tables and closed forms give them."""
    found = proportion(count, trials, confidence=0.95)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert (found.count, found.trials, found.value) == (count, trials, count / trials)


@pytest.mark.parametrize(("count", "trials"), [(1, 3), (2, 30), (7, 9), (150, 160)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_each_end_leaves_half_the_error_to_its_side(count: int, trials: int, confidence: float) -> None:
    """At the lower end so many or more, and at the upper end so many or fewer, have exactly half the error."""
    found = proportion(count, trials, confidence=confidence)
    half = (1 - confidence) / 2
    assert tail(count, trials, found.low) == pytest.approx(half)
    assert 1 - tail(count + 1, trials, found.high) == pytest.approx(half)


@pytest.mark.parametrize(("count", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_share_is_refused(count: int, trials: int) -> None:
    """A count outside its trials, or no trial at all."""
    with pytest.raises(ValueError, match=f"{count} of {trials}"):
        proportion(count, trials, confidence=0.95)


@pytest.mark.parametrize("count", range(6))
def test_the_chance_of_so_many_or_more_is_the_binomial_tail(count: int) -> None:
    """Summed term by term; none or more is certain."""
    assert chance_of_at_least(count, 5, 0.05) == pytest.approx(tail(count, 5, 0.05))


def test_the_chance_of_so_many_or_fewer_of_unlike_trials() -> None:
    """Against every outcome written out, and against the binomial where the trials are alike."""
    rates = (0.9, 0.2, 0.55, 0.7)
    for count in range(5):
        slow = math.fsum(
            math.prod(rate if hit else 1 - rate for rate, hit in zip(rates, hits, strict=True))
            for hits in product((False, True), repeat=4)
            if sum(hits) <= count
        )
        assert chance_of_at_most(count, rates) == pytest.approx(slow)
        assert chance_of_at_most(count, [0.3] * 6) == pytest.approx(1 - tail(count + 1, 6, 0.3))
    assert chance_of_at_most(0, []) == 1.0

"""Samples and pairs are checked once at the door."""

import math

import pytest

from int8bench.stats.sample import Pairs, Sample


def _pairs(reference: tuple[float, ...], candidate: tuple[float, ...], kept: tuple[bool, ...]) -> Pairs:
    return Pairs(reference=Sample(times_s=reference), candidate=Sample(times_s=candidate), kept=kept)


@pytest.mark.parametrize("values", [(), (1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, math.nan), (1.0, math.inf)])
def test_what_is_no_sample_is_refused(values: tuple[float, ...]) -> None:
    """Fewer than two values, and values that are no time, are refused."""
    with pytest.raises(ValueError, match="expected"):
        Sample(times_s=values)


def test_the_log_ratio_is_the_median_of_the_kept_rounds() -> None:
    """A dropped round has no say, and a candidate of half the time reads log 2."""
    pairs = _pairs((2.0, 2.0, 8.0, 2.0), (1.0, 1.0, 1.0, 1.0), (True, True, False, True))
    assert pairs.log_ratio == pytest.approx(math.log(2))


def test_swapping_the_sides_turns_the_sign() -> None:
    """The ratio the other way round is the inverse."""
    a, b, kept = (1.0, 2.0, 4.0), (3.0, 1.0, 2.0), (True,) * 3
    assert _pairs(a, b, kept).log_ratio == pytest.approx(-_pairs(b, a, kept).log_ratio)


def test_rounds_that_do_not_match_are_refused() -> None:
    """Two and three rounds cannot be paired."""
    with pytest.raises(ValueError, match=r"lengths \[2, 3\]"):
        _pairs((1.0, 1.0), (1.0, 1.0, 1.0), (True, True))


def test_one_kept_round_is_refused() -> None:
    """A median of one round is that round's luck."""
    with pytest.raises(ValueError, match="1 rounds kept"):
        _pairs((1.0, 1.0), (1.0, 1.0), (True, False))

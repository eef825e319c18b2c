"""Verdicts, their margins, and the error of a grid."""

import math

import pytest

from int8bench.stats.limits import Verdict
from int8bench.stats.ratio import LaunchTable, comparison_error
from int8bench.stats.verdict import judge, judge_against_best


def _table(centre: float, spread: float, launches: int = 8) -> LaunchTable:
    """A table of known mean ratio and spread of launches."""
    steps = [spread * (1 if i % 2 else -1) for i in range(launches)]
    return LaunchTable(log_ratios=tuple((math.log(centre) + step,) for step in steps), pairs=launches)


@pytest.mark.parametrize(
    ("centre", "spread", "verdict"),
    [
        (1.20, 0.01, Verdict.ABOVE),
        (0.80, 0.01, Verdict.BELOW),
        (1.00, 0.001, Verdict.SAME),
        (1.004, 0.0005, Verdict.SAME),  # excludes 1, but lies within the margin
        (1.00, 0.05, Verdict.UNCLEAR),
        (1.03, 0.05, Verdict.UNCLEAR),
    ],
)
def test_a_verdict_follows_the_interval(centre: float, spread: float, verdict: Verdict) -> None:
    """Outside 1 is faster or slower, inside the margin the same, anything else unclear."""
    assert judge(_table(centre, spread), nominal_error=0.001, margin=0.01).verdict is verdict


def test_unclear_says_what_it_would_take() -> None:
    """It names its reason, the smallest effect it could have seen, and the launches that would settle it."""
    found = judge(_table(1.03, 0.05), nominal_error=0.001, margin=0.01)
    assert "holds 1" in str(found.reason)
    assert found.smallest_visible_effect is not None
    assert found.smallest_visible_effect > 0.05
    assert found.more_launches is not None
    settled = _table(1.03, 0.05, launches=8 + found.more_launches + 8 + found.more_launches % 2)
    assert judge(settled, nominal_error=0.001, margin=0.01).verdict is Verdict.ABOVE


def test_two_launches_never_tell() -> None:
    """However large the effect, two launches are unclear."""
    found = judge(_table(3.0, 0.0001, launches=2), nominal_error=0.001, margin=0.01)
    assert found.verdict is Verdict.UNCLEAR
    assert found.more_launches == 1


def test_against_the_best_the_smallest_ratio_decides() -> None:
    """Three times as fast as one reference and slower than the other is slower."""
    tables = {"best": _table(0.9, 0.001), "naive": _table(3.0, 0.001)}
    assert judge_against_best(tables, nominal_error=0.001, margin=0.01).verdict is Verdict.BELOW


def test_a_small_grid_keeps_the_declared_error() -> None:
    """Up to fifty comparisons an error of 0.001 each is within 5 % for all; beyond, each gets its share."""
    assert comparison_error(12, each=0.001, family=0.05) == 0.001
    assert comparison_error(100, each=0.001, family=0.05) == pytest.approx(0.0005)
    with pytest.raises(ValueError, match="0 comparisons"):
        comparison_error(0, each=0.001, family=0.05)

"""From the interval of a ratio to a word: above, below, the same, or unclear. Pure.

What a ratio above 1 is called (faster, more) is said by whoever knows what was measured.
"""

from enum import StrEnum

from int8bench.stats.limits import LAUNCHES_FOR_A_VERDICT


class Verdict(StrEnum):
    """What a comparison says."""

    ABOVE = "above"
    BELOW = "below"
    SAME = "same"
    UNCLEAR = "unclear"


def word(low: float, high: float, margin: float) -> Verdict:
    """The word that the interval of a ratio allows.

    Args:
        low: its lower end.
        high: its upper end.
        margin: differences up to this fraction either way are "same".
    """
    if 1 / (1 + margin) <= low and high <= 1 + margin:
        return Verdict.SAME  # also where the interval excludes 1: a difference within the margin does not matter
    if low > 1:
        return Verdict.ABOVE
    return Verdict.BELOW if high < 1 else Verdict.UNCLEAR


def why_unclear(low: float, high: float, margin: float, error: float) -> str:
    """Why an interval allows no word, in a sentence without its subject's name."""
    ends = f"{low:.3f} to {high:.3f}"
    return f"the interval {ends} at error {error:.2g} holds 1 and is wider than the margin of {margin:.0%}"


def why_too_few(launches: int, needed: int = LAUNCHES_FOR_A_VERDICT) -> str:
    """Why so few launches allow no word, or no interval."""
    return f"{launches} launches, {needed} or more are needed to tell"

"""Every constant of inference, once: what is declared, what is called the same, and how little is too little. Pure.

And by them the word of an interval: above, below, the same, or unclear. Without scipy, so that a report needs none.
"""

from enum import StrEnum

CONFIDENCE = 0.95  # of an interval that is shown
POWER = 0.95  # with which the smallest visible effect would have been called
ERROR_RATE = 0.001  # of one verdict; that of the grid or suite is bounded beside it, see `ratio.comparison_error`
FAMILY_ERROR_RATE = 0.05  # of a single wrong verdict in the whole grid or suite
HISTORY_ERROR_RATE = 0.01  # of one false change or more in all series of a history together
MARGIN = 0.01  # a difference of up to 1 % either way is "same"

ROUNDS_OF_A_FORK = 2  # that count: a median of one round is that round's luck
LAUNCHES_FOR_A_SPREAD = 2
LAUNCHES_FOR_A_VERDICT = 3  # with two, one degree of freedom: the quantile at 0.001 is 637 standard errors
LAUNCHES_OF_A_PLAN = 4  # the t quantile at 3 degrees of freedom is the last that is of use
LAUNCHES_FOR_A_FAILURE = 7  # 7 of 7 against 0 of 7: 1 in 3,432 by chance, the first below one in a thousand
RUNS_OF_A_PREDICTION = 4  # with three, Student's quantile at an error of 0.001 is 31.6 standard errors


class Verdict(StrEnum):
    """What a comparison says."""

    ABOVE = "above"
    BELOW = "below"
    SAME = "same"
    UNCLEAR = "unclear"


def word(low: float, high: float, margin: float) -> Verdict:
    """Return the word that the interval of a ratio allows.

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
    """Return why an interval allows no word, as a sentence without its subject.

    Args:
        low: its lower end, as a ratio.
        high: its upper end, as a ratio.
        margin: the fraction either way up to which a difference is "same".
        error: two-sided, of the interval.
    """
    ends = f"{low:.3f} to {high:.3f}"
    return f"the interval {ends} at error {error:.2g} holds 1 and is wider than the margin of {margin:.0%}"


def why_too_few(launches: int, needed: int = LAUNCHES_FOR_A_VERDICT) -> str:
    """Return why so few launches allow no word, or no interval.

    Args:
        launches: that there are.
        needed: the fewest that would do.
    """
    return f"{launches} launches, {needed} or more are needed to tell"

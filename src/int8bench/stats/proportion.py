"""How often something happens, from a count, with an exact interval; and whether so many fit a declared rate. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import bdtrc, betaincinv


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """A count out of so many trials, the share, and its interval."""

    count: int
    trials: int
    value: float
    low: float
    high: float
    confidence: float


def proportion(count: int, trials: int, *, confidence: float) -> Proportion:
    """Return the share of successes with the exact binomial interval (Clopper and Pearson 1934), error split evenly.

    Args:
        count: of successes.
        trials: one or more.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: no trial, or a count outside 0 to `trials`.
    """
    if not 0 <= count <= trials or trials < 1:
        raise ValueError(f"proportion: {count} of {trials}, expected a count from 0 up to the number of trials")
    tail = (1 - confidence) / 2
    return Proportion(
        count=count,
        trials=trials,
        value=count / trials,
        low=float(betaincinv(count, trials - count + 1, tail)) if count else 0.0,
        high=float(betaincinv(count + 1, trials - count, 1 - tail)) if count < trials else 1.0,
        confidence=confidence,
    )


def chance_of_at_least(count: int, trials: int, rate: float) -> float:
    """Return the probability of `count` events or more in independent trials of one probability each (binomial).

    Args:
        count: of events, or more.
        trials: how often it was tried.
        rate: probability of an event in each trial.
    """
    return float(bdtrc(count - 1, trials, rate)) if count > 0 else 1.0


def chance_of_at_most(count: int, rates: Sequence[float]) -> float:
    """Return the probability of `count` events or fewer in independent trials of unlike probability (Poisson binomial).

    Args:
        count: of events, or fewer.
        rates: probability of an event in each trial, (trial,).
    """
    chances = [1.0]  # of 0, 1, 2 ... events so far
    for rate in rates:
        stays = [*(chance * (1 - rate) for chance in chances), 0.0]
        grows = [0.0, *(chance * rate for chance in chances)]
        chances = [a + b for a, b in zip(stays, grows, strict=True)]
    return min(1.0, math.fsum(chances[: count + 1]))


def chance_of_more(head: int, base: int, *, launches: int) -> float:
    """Return the probability that head fails this much more often than base by chance alone, both tried equally often.

    Fisher's exact test, one-sided: given how often both failed together, the probability that head has `head` of
    these or more where each launch of either side is as likely to fail (Fisher 1935). Where failures come with what
    both sides of a launch draw alike, their counts differ less than this assumes, and the true probability is smaller.

    Args:
        head: the launches of head that failed.
        base: those of base.
        launches: how often each was tried.

    Raises:
        ValueError: no launch, or a count outside 0 to `launches`.
    """
    if launches < 1 or not (0 <= head <= launches and 0 <= base <= launches):
        raise ValueError(f"chance_of_more: {head} and {base} of {launches}, expected counts from 0 to the launches")
    together = head + base
    ways = sum(
        math.comb(launches, each) * math.comb(launches, together - each)
        for each in range(head, min(launches, together) + 1)
    )
    return ways / math.comb(2 * launches, together)

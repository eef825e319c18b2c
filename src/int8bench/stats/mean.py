"""The mean of a few replicates with its Student interval. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanInterval:
    """A mean and its two-sided interval; both ends are the mean itself where one replicate cannot tell."""

    value: float
    low: float
    high: float
    replicates: int


def mean_interval(values: Sequence[float], *, confidence: float) -> MeanInterval:
    """The mean of independent replicates with a Student interval at `confidence`.

    Args:
        values: one number a replicate, in any unit; finite.
        confidence: between 0 and 1.

    Raises:
        ValueError: no value.
    """
    count = len(values)
    if count == 0:
        raise ValueError("mean_interval: no replicate, expected one or more")
    mean = math.fsum(values) / count
    if count == 1:
        return MeanInterval(value=mean, low=mean, high=mean, replicates=1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = float(stdtrit(count - 1, 0.5 + confidence / 2)) * math.sqrt(variance / count)
    return MeanInterval(value=mean, low=mean - half, high=mean + half, replicates=count)

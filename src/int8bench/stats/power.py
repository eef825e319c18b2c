"""How small a difference a race of a known spread can see, and how sure that spread itself is. Pure."""

import math

from scipy.special import chdtri, nctdtr, nctdtrinc, stdtrit

from int8bench.stats.ratio import LARGEST_LOG


def visible_effect(error: float, *, freedom: int, nominal_error: float, power: float) -> float:
    """The difference, as a fraction, whose interval excludes 1 with probability `power`.

    In standard errors it is the noncentrality at which noncentral t exceeds the critical t with that power.

    Args:
        error: standard error of the log-ratio.
        freedom: its degrees of freedom.
        nominal_error: two-sided error of the interval.
        power: between 0 and 1.
    """
    critical = float(stdtrit(freedom, 1 - nominal_error / 2))
    return math.expm1(min(LARGEST_LOG, float(nctdtrinc(freedom, 1 - power, critical)) * error))


def smallest_effect(sd: float, *, launches: int, nominal_error: float, power: float) -> float:
    """The difference, as a fraction, that a race calls with probability `power`; see `verdict.smallest_visible_effect`.

    Args:
        sd: standard deviation of launch means, in log units.
        launches: how many a race has, two or more.
        nominal_error: two-sided error of the race's last look.
        power: between 0 and 1.
    """
    error = sd / math.sqrt(launches)
    return visible_effect(error, freedom=launches - 1, nominal_error=nominal_error, power=power)


def chance_seen(log_effect: float, *, sd: float, launches: int, nominal_error: float) -> float:
    """The probability that such a race calls a difference of that size, in log units, in its direction."""
    if sd == 0:
        return 1.0 if log_effect > 0 else 0.0
    distance = log_effect / (sd / math.sqrt(launches))
    critical = float(stdtrit(launches - 1, 1 - nominal_error / 2))
    return 1 - float(nctdtr(launches - 1, distance, critical))


def sd_bounds(sd: float, *, freedom: int, confidence: float) -> tuple[float, float]:
    """The interval of a standard deviation of normal values that has so many degrees of freedom (chi-square)."""
    tail = (1 - confidence) / 2
    low, high = (sd * math.sqrt(freedom / float(chdtri(freedom, above))) for above in (tail, 1 - tail))
    return low, high
